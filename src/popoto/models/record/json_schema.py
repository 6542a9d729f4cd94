"""What records look like in JSON, for those who describe interfaces: Pydantic and FastAPI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

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

    shown = schemas.plain_serializer_function_ser_schema(dict, when_used="json")
    return schemas.no_info_plain_validator_function(partial(_taken, source), serialization=shown)


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
