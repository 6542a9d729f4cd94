"""What records look like in JSON, for those who describe interfaces: Pydantic and FastAPI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

from popoto._unknown_names import tell
from popoto.models.record.from_json import is_required, record_of
from popoto.models.record.record import Record

_FORMS: Final[Mapping[type, dict[str, Any]]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Decimal: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string"},
    UUID: {"type": "string", "format": "uuid"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    dict: {"type": "object"},
    list: {"type": "array", "items": {}},
    tuple: {"type": "array", "items": {}},
    set: {"type": "array", "items": {}, "uniqueItems": True},
}
_KEY: Final = {"type": "string"}


def of_model(model: type[Record], *, is_input: bool = False) -> dict[str, Any]:
    """The JSON schema of a model's records, as they are shown, or as they are taken."""
    properties: dict[str, Any] = {}
    for name, field in model._options.explicit_fields.items():
        form = _KEY if field.is_reference else _FORMS.get(field.type, {})
        may_be_null = form and not field.key and field.null
        properties[name] = {"anyOf": [form, {"type": "null"}]} if may_be_null else form
    return {
        "title": model.__name__,
        "type": "object",
        "properties": properties,
        "required": [
            name
            for name, field in model._options.explicit_fields.items()
            if not is_input or is_required(field)
        ],
    }


def core_schema(source: type[Record]) -> Any:
    """How Pydantic takes and shows records: instances, and mappings to make them of."""
    from pydantic_core import core_schema as schemas  # optional

    shown = schemas.plain_serializer_function_ser_schema(_shown, info_arg=True)
    return schemas.no_info_plain_validator_function(partial(_taken, source), serialization=shown)


def _shown(record: Record, info: Any) -> Any:
    """What Pydantic shows of a record, with its own keywords for what is left out.

    In Python, without any of them, that is the record.
    """
    if info.exclude_unset:
        tell(
            f"{record._meta.model_name}: exclude_unset has no effect on records, which do not know "
            "what was set; exclude_defaults leaves out what is as a new record has it",
            refuse=False,
        )
    is_cut = info.include is not None or info.exclude is not None
    if info.mode == "python" and not (is_cut or info.exclude_none or info.exclude_defaults):
        return record
    whole: Any = record  # with `to_dict`, which is added to models above this folder
    shown: dict[str, Any] = whole.to_dict() if info.mode == "python" else dict(whole)
    if info.exclude_defaults:
        fields = record._options.explicit_fields
        for name in [
            each for each in shown if getattr(record, each) == fields[each].make_default()
        ]:
            del shown[name]
    if info.exclude_none:
        shown = {name: value for name, value in shown.items() if value is not None}
    return _cut(shown, info.include, info.exclude)


def _cut(value: Any, include: Any, exclude: Any) -> Any:
    """A value without what is not wanted of it: names of a dict, places of a list, further down."""
    is_dict = _is_a(value, dict)
    if not is_dict and (not _is_a(value, list) or include is exclude is None):
        return value
    parts: Any = value.items() if is_dict else enumerate(value)
    kept = [
        (name, _cut(part, _below(include, name), _below(exclude, name)))
        for name, part in parts
        if (include is None or _names(include, name)) and not _names(exclude, name, whole=True)
    ]
    return dict(kept) if is_dict else [part for _, part in kept]


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _names(given: Any, name: object, *, whole: bool = False) -> bool:
    """Whether a name is among those of `include` or `exclude`, of which type ever that is."""
    if given is None or (name not in given and "__all__" not in given):
        return False
    return not whole or _below(given, name) is None


def _below(given: Any, name: object) -> Any:
    """What is said of the parts of a name; None if it is meant as a whole, or not at all."""
    if not _is_a(given, Mapping):
        return None
    found = given.get(name, given.get("__all__"))
    return None if found is True or found is ... else found


def _taken(model: type[Record], value: object) -> Record:
    """A record of a value that Pydantic has met. Raises its ValidationError, by fields."""
    from pydantic_core import PydanticCustomError, ValidationError  # optional

    if isinstance(value, model):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError(
            "record_type",
            "Input should be a record ({model}) or an object",
            {"model": model.__name__},
        )
    made = record_of(model, cast("Mapping[str, Any]", value))
    if isinstance(made, Record):
        return made
    problems: list[Any] = []
    for kind, name, given, problem in made:
        word: Any = f"record_{kind}"
        told = PydanticCustomError(word, "{problem}", {"problem": problem})
        place = () if name is None else (name,)
        problems.append(
            {"type": "missing" if kind == "missing" else told, "loc": place, "input": given}
        )
    raise ValidationError.from_exception_data(model.__name__, problems)
