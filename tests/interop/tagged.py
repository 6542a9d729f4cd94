"""Python values as JSON text and back, without losing their types.

Both processes of the harness speak it. A value that JSON has no word for is
`{"$": kind, "v": payload}`; every dict travels as a list of pairs, so nothing a
test stores can look like a tag.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import cast

TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        int, float, Decimal, str, bool, bytes, list, dict, set, tuple, date, datetime, time,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A stored record, as the value of a relationship field."""

    model: str
    key: str


@dataclass(frozen=True)
class ModelNamed:
    """The model class of that name, as a field option."""

    name: str


def dumps(value: object) -> str:
    """One line of JSON. Raises TypeError for a type that the harness does not move."""
    return json.dumps(_to_json(value))


def loads(text: str) -> object:
    """The value that `dumps` was given."""
    return _from_json(json.loads(text))


def _tag(kind: str, payload: object) -> dict[str, object]:
    return {"$": kind, "v": payload}


def _to_json(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, tuple):
        return _tag("tuple", [_to_json(item) for item in value])
    if isinstance(value, set | frozenset):
        return _tag("set", [_to_json(item) for item in value])
    if isinstance(value, Mapping):
        return _tag("dict", [[_to_json(key), _to_json(item)] for key, item in value.items()])
    if isinstance(value, bytes):
        return _tag("bytes", value.hex())
    if isinstance(value, Decimal):
        return _tag("Decimal", str(value))
    if isinstance(value, datetime):
        return _tag("datetime", value.isoformat())
    if isinstance(value, date):
        return _tag("date", value.isoformat())
    if isinstance(value, time):
        return _tag("time", value.isoformat())
    if isinstance(value, type):
        return _tag("type", value.__name__)
    if isinstance(value, Reference):
        return _tag("reference", [value.model, value.key])
    if isinstance(value, ModelNamed):
        return _tag("model", value.name)
    raise TypeError(f"the harness does not move {type(value).__name__} values")


def _pairs(payload: object) -> dict[object, object]:
    return {
        _from_json(key): _from_json(item)
        for key, item in cast("list[tuple[object, object]]", payload)
    }


def _items(payload: object) -> list[object]:
    return [_from_json(item) for item in cast("list[object]", payload)]


_READERS: dict[str, Callable[[object], object]] = {
    "tuple": lambda payload: tuple(_items(payload)),
    "set": lambda payload: set(_items(payload)),
    "dict": _pairs,
    "bytes": lambda payload: bytes.fromhex(str(payload)),
    "Decimal": lambda payload: Decimal(str(payload)),
    "datetime": lambda payload: datetime.fromisoformat(str(payload)),
    "date": lambda payload: date.fromisoformat(str(payload)),
    "time": lambda payload: time.fromisoformat(str(payload)),
    "type": lambda payload: TYPES[str(payload)],
    "reference": lambda payload: Reference(*cast("list[str]", payload)),
    "model": lambda payload: ModelNamed(str(payload)),
}


def _from_json(value: object) -> object:
    if isinstance(value, list):
        return _items(value)
    if isinstance(value, dict):
        return _READERS[value["$"]](value["v"])
    return value
