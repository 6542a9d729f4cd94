"""What records look like in JSON, for those who describe interfaces: Pydantic and FastAPI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

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


def of_model(model: type[Record]) -> dict[str, Any]:
    """The JSON schema of a model's records."""
    properties: dict[str, Any] = {}
    for name, field in model._options.explicit_fields.items():
        form = _KEY if field.is_reference else _FORMS.get(field.type, {})
        may_be_null = form and not field.key and field.null
        properties[name] = {"anyOf": [form, {"type": "null"}]} if may_be_null else form
    return {
        "title": model.__name__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def core_schema(source: type[Record]) -> Any:
    """How Pydantic takes and shows records."""
    from pydantic_core import core_schema as schemas  # optional

    shown = schemas.plain_serializer_function_ser_schema(dict, when_used="json")
    return schemas.is_instance_schema(source, serialization=shown)
