"""The type variables of the fields, with the type that a field without annotation has.

`KeyField()` without ``type=`` holds str and `SortedField()` holds float; a mixin without a
parameter says nothing, so ``class X(SortedFieldMixin, Field)`` is no contradiction. Type
variables with a default are in `typing` from Python 3.13 on, so checkers read them from
typing_extensions; nothing is installed for it, and run time needs no default.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

__all__ = ["FitsAnyAnnotation", "Items", "MixedIn", "Number", "Target", "Value"]

if TYPE_CHECKING:
    from typing import Any as FitsAnyAnnotation

    from typing_extensions import TypeVar

    Value = TypeVar("Value", default=str)
    Number = TypeVar("Number", default=float)
    Items = TypeVar("Items", default=list[typing.Any])
    MixedIn = TypeVar("MixedIn", default=typing.Any)
    Target = TypeVar("Target", default=typing.Any)
else:
    Value = typing.TypeVar("Value")
    Number = typing.TypeVar("Number")
    Items = typing.TypeVar("Items")
    MixedIn = typing.TypeVar("MixedIn")
    Target = typing.TypeVar("Target")

    class FitsAnyAnnotation:
        """Lets checkers accept ``name: str = KeyField()``; means nothing at run time."""
