"""Messages as bytes: msgpack, and what msgpack lacks in the form that records store it in.

A message of what msgpack knows is as popoto 1.6 sends it, tuples as lists among it. A date, a
Decimal or a set is a map of two entries there, as described in `engine.tagging`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgpack

from popoto.engine.plain import unwrapped
from popoto.engine.tagging import (
    MAX_DEPTH,
    PAYLOAD,
    EncodeError,
    looks_tagged,
    pack,
    tree_of,
    unpack,
    value_of,
)

__all__ = ["packed", "unpacked"]

_MARK: Final = PAYLOAD.encode()


def packed(data: object) -> bytes:
    """The payload. Raises TypeError for a type that has no form, ValueError, OverflowError."""
    try:
        payload: bytes = msgpack.packb(data)
    except TypeError:
        payload = b""
    # Nearly all messages are known to msgpack, and hold nothing that could pass for a tagged map.
    if not payload or _MARK in payload:
        payload = msgpack.packb(_tree(data, 1))
    return payload


def unpacked(payload: bytes) -> Any:
    """The data. Raises ValueError or TypeError for what is no msgpack."""
    if _MARK in payload:
        try:
            return value_of(unpack(payload))
        except (ValueError, TypeError, OverflowError):
            pass  # a map of another program, which has a meaning of its own there
    return msgpack.unpackb(payload, strict_map_key=False)


def _tree(value: object, depth: int) -> object:
    """The value as msgpack can pack it."""
    if depth > MAX_DEPTH:
        raise EncodeError(f"containers are nested more than {MAX_DEPTH} deep")
    for kind, build in _TREES.items():
        if isinstance(value, kind):
            return build(value, depth)
    return unwrapped(value)


def _list_tree(value: Any, depth: int) -> object:
    return [_tree(item, depth + 1) for item in value]


def _set_tree(value: Any, depth: int) -> object:
    items = [_tree(item, depth + 1) for item in value]
    return {"__tagged_set__": True, PAYLOAD: sorted(items, key=pack)}


def _map_tree(value: Any, depth: int) -> object:
    pairs = [(_tree(key, depth + 1), _tree(item, depth + 1)) for key, item in value.items()]
    if looks_tagged(value) or any(isinstance(key, dict | list) for key, _ in pairs):
        return {"__dict__": True, PAYLOAD: pairs}
    return dict(pairs)


def _uuid_tree(value: Any, _: int) -> object:
    return {"__UUID__": True, PAYLOAD: value.hex}


def _timedelta_tree(value: Any, _: int) -> object:
    return {"__timedelta__": True, PAYLOAD: [value.days, value.seconds, value.microseconds]}


_TREES: dict[type, Callable[[Any, int], object]] = {
    Enum: lambda member, depth: _tree(member.value, depth),
    dict: _map_tree,
    list: _list_tree,
    tuple: _list_tree,
    set: _set_tree,
    frozenset: _set_tree,
    Decimal: tree_of,
    date: tree_of,
    time: tree_of,
    UUID: _uuid_tree,
    timedelta: _timedelta_tree,
}
