"""Names that nobody knows: a warning at the caller's line, or an error where that is wanted."""

from __future__ import annotations

import asyncio
import difflib
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from popoto.exceptions import UnknownNameError

__all__ = ["closest", "is_strict", "set_strict", "tell", "warn_caller"]

#: Frames of these are passed over: what they were asked for was written by the caller.
_NOT_THE_CALLER = tuple(f"{Path(file).parent}/" for file in (__file__, asyncio.__file__))

_strict = False


def set_strict(wanted: bool) -> None:
    """Whether unknown names are refused in this process, where a model says nothing of it."""
    global _strict  # noqa: PLW0603  # a default of the process, as `configure` sets others
    _strict = wanted


def is_strict() -> bool:
    """Whether unknown names are refused where a model says nothing of it."""
    return _strict


def closest(name: str, known: Iterable[str], what: str, further: Iterable[str] = ()) -> str:
    """A remedy, for the end of a message: the nearest known name, or all of them.

    `further` names are proposed where they are meant, and not listed.
    """
    names = list(known)
    near = difflib.get_close_matches(name, [*names, *further], n=1)
    return f"did you mean {near[0]!r}?" if near else f"{what} are {', '.join(names)}"


def tell(message: str, *, refuse: bool) -> None:
    """Warn the caller of a name that nobody knows, or raise UnknownNameError."""
    if refuse:
        raise UnknownNameError(message)
    warn_caller(message)


def warn_caller(message: str) -> None:
    """Warn at the line, outside popoto, from which this was called."""
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_CALLER):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=depth + 1)
