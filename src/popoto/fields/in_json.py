"""Values as JSON holds them: what `to_dict(json=True)` gives, and what FastAPI returns."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from popoto.engine.plain import Real, plain, unwrapped
from popoto.fields.describing import describe


class NotInJSON(ValueError):  # a reason, which its catcher puts into an error
    """A value that has no form in JSON. The message is the reason and names no field."""


def in_json(value: Any) -> Any:
    """The value as None, a bool, number, text, list, or dict with texts as keys."""
    if value is None or isinstance(value, bool):
        return value
    for kind, shown in _FORMS.items():
        if isinstance(value, kind):
            return shown(value)
    inside = unwrapped(value)
    if inside is not value:
        return in_json(inside)
    if hasattr(value, "tolist"):
        return in_json(value.tolist())
    raise NotInJSON(f"{describe(value)} has no form in JSON")


def _number(value: Any) -> float | str:
    number = float.__pos__(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _list(values: Any) -> list[Any]:
    return [in_json(value) for value in values]


def _sorted(values: Any) -> list[Any]:
    shown = _list(values)
    try:
        return sorted(shown)
    except TypeError:  # of several types
        return sorted(shown, key=json.dumps)


def _dict(values: Any) -> dict[str, Any]:
    shown = {_key(key): in_json(value) for key, value in values.items()}
    if len(shown) < len(values):
        raise NotInJSON(f"two keys of {describe(values)} have the same text")
    return shown


def _key(key: Any) -> str:
    shown = in_json(key)
    return shown if isinstance(shown, str) else json.dumps(shown)


_FORMS: dict[type, Callable[[Any], Any]] = {
    Enum: lambda member: in_json(member.value),
    str: lambda text: plain(str, text),
    int: lambda number: plain(int, number),
    float: _number,
    Decimal: Decimal.__str__,
    date: lambda day: (
        Real.datetime.isoformat(day) if isinstance(day, Real.datetime) else Real.date.isoformat(day)
    ),
    time: Real.time.isoformat,
    timedelta: timedelta.__str__,
    UUID: UUID.__str__,
    bytes: lambda content: base64.b64encode(content).decode(),
    dict: _dict,
    list: _list,
    tuple: _list,
    set: _sorted,
    frozenset: _sorted,
}
