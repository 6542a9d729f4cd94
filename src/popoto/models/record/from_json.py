"""Records from what JSON has: the body of a request, as Pydantic and FastAPI hand it on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from popoto._unknown_names import closest
from popoto.exceptions import ModelException
from popoto.fields.coercion import CoercionError
from popoto.fields.field import Field
from popoto.models.record.finishing import is_filled
from popoto.models.record.record import Record

#: What is wrong with a value: the type of the error, the field, the value, and a message.
Problem = tuple[str, str | None, Any, str]


def is_required(field: Field[Any]) -> bool:
    """Whether a record has to be given a value here."""
    if field.auto or is_filled(field) or field.default is not None:
        return False
    return (field.key and not field.null_given) or not field.null


def record_of(model: type[Record], given: Mapping[str, Any]) -> Record | list[Problem]:
    """A record that is not stored yet, or all that is wrong with what was given."""
    values = {
        name: _decoded(field, given[name])
        for name, field in model._meta.explicit_fields.items()
        if name in given
    }
    problems = [*_lacking(model, given), *_unknown(model, given), *_wrong(model, values)]
    if problems:
        return problems
    try:
        return model(**values)
    except ModelException as error:
        return [("record", None, given, str(error))]


def _decoded(field: Field[Any], value: Any) -> Any:
    """Bytes stand in JSON as base64; all else is what fields take."""
    if field.type is not bytes or not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return value


def _lacking(model: type[Record], given: Mapping[str, Any]) -> Iterator[Problem]:
    for name, field in model._meta.explicit_fields.items():
        if name not in given and is_required(field):
            yield "missing", name, dict(given), "Field required"


def _unknown(model: type[Record], given: Mapping[str, Any]) -> Iterator[Problem]:
    fields = model._meta.explicit_fields
    for name in given:
        if name not in fields:
            hint = closest(str(name), fields, "fields")
            yield "unknown", str(name), given[name], f"{model.__name__} has no such field; {hint}"


def _wrong(model: type[Record], values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in values.items():
        field = model._meta.explicit_fields[name]
        try:
            problem = field.problem(field.coerce(value), null_check=True)
        except CoercionError as error:
            problem = str(error)
        if problem is None and value is None and is_required(field):
            problem = "it cannot be null"
        if problem is not None:
            yield "value", name, value, problem
