"""The names that methods speak of: what a class calls by itself, nobody else need call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

__all__ = ["is_spoken_of", "names_in"]


def is_spoken_of(name: str, body: Mapping[str, Any]) -> bool:
    """Whether methods of a class body call a name, or may."""
    return any(name in names_in(value) for value in body.values())


def names_in(value: Any) -> Iterator[str]:
    """The names that a method of a class body speaks of."""
    value = getattr(value, "fget", value)
    function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    code: object = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        yield from _names_of(code)


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _names_of(constant)
