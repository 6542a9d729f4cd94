"""Names that nobody knows: a warning at the caller's line, or an error where that is wanted."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType

from popoto.exceptions import UnknownNameError

__all__ = [
    "closest",
    "is_strict",
    "missing_attribute",
    "set_strict",
    "slip_of",
    "tell",
    "tell_of_class",
    "tell_of_slips",
    "warn_caller",
]

#: Frames of these are passed over: what they were asked for was written by the caller.
_NOT_THE_CALLER = tuple(f"{Path(file).parent}/" for file in (__file__, asyncio.__file__))

_strict = False


def set_strict(wanted: bool) -> None:
    """Whether unknown names are refused in this process, where a model says nothing of it."""
    global _strict  # noqa: PLW0603  # a default of the process, as `configure` sets others
    _strict = wanted


def is_strict(own: bool | None = None) -> bool:
    """Whether unknown names are refused. `own`: what a model says of it, if it says anything."""
    return _strict if own is None else own


def closest(name: str, known: Iterable[str], what: str, further: Iterable[str] = ()) -> str:
    """A remedy, for the end of a message: the nearest known name, or all of them.

    `further` names are proposed where they are meant, and not listed.
    """
    names = list(known)
    near = difflib.get_close_matches(name, [*names, *further], n=1)
    return f"did you mean {near[0]!r}?" if near else f"{what} are {', '.join(names)}"


def missing_attribute(holder: object, name: str, remedy: str = "") -> AttributeError:
    """The error for what a class or an instance does not have, and what to write instead.

    Without a remedy Python proposes a name of much the same letters, where it knows one.
    """
    if isinstance(holder, type):
        what = f"type object {holder.__name__!r}"
    else:
        what = f"{type(holder).__name__!r} object"
    told = f"{what} has no attribute {name!r}"
    if remedy:
        return AttributeError(f"{told}; {remedy}")
    return AttributeError(told, name=name, obj=holder)


def tell(message: str, *, refuse: bool) -> None:
    """Warn the caller of a name that nobody knows, or raise UnknownNameError."""
    if refuse:
        raise UnknownNameError(message)
    warn_caller(message)


def tell_of_slips(cls: type, known: Iterable[str]) -> set[str]:
    """Tell of attributes in the body of a class that look like a known one, and are none.

    Returns the names of these.
    """
    names = list(known)
    told: set[str] = set()
    for name in vars(cls):
        if name.startswith("__") or any(hasattr(base, name) for base in cls.__mro__[1:]):
            continue
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.85)
        meant = near[0] if near else slip_of(name, names)
        if meant is not None:
            told.add(name)
            tell(
                f"{cls.__name__}.{name}: nothing reads it; did you mean {meant!r}?",
                refuse=_strict,
            )
    return told


def tell_of_class(given: object, method: str, where: str) -> bool:
    """Tell of a class that was given where one of its instances is wanted; whether it was so.

    `method` is asked of what is given: a class that has one of its own will do.
    """
    is_class = isinstance(given, type)
    found = is_class and isinstance(inspect.getattr_static(given, method, None), FunctionType)
    if found:
        tell(f"{where}: {given!r} is a class; give one of its instances", refuse=is_strict())
    return found


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody meant who wrote this one in haste; None where none is likely.

    Stricter than `closest`: other words, plurals and numbered names are none. Another case, and
    underscores within the name, are slips in names of any length.
    """
    plain = _plain(name)
    return next(
        (
            each
            for each in known
            if each != name and (_plain(each) == plain or (len(each) > 3 and _is_slip(name, each)))
        ),
        None,
    )


def _plain(name: str) -> str:
    return (name[:1] + name[1:].replace("_", "")).lower()


def _is_slip(name: str, meant: str) -> bool:
    longer, shorter = sorted((name, meant), key=len, reverse=True)
    pairs = zip(name, meant, strict=False)
    first = next((at for at, (one, other) in enumerate(pairs) if one != other), -1)
    if len(longer) - len(shorter) == 1:
        at = first if first >= 0 else len(shorter)
        is_plural = at == len(shorter) and longer[at] == "s"
        is_one_more = longer[:at] + longer[at + 1 :] == shorter
        return is_one_more and longer[at].isalpha() and not is_plural and len(shorter) > 4
    if len(longer) != len(shorter) or first < 0:
        return False
    swapped = name[:first] + name[first : first + 2][::-1] + name[first + 2 :]
    if swapped == meant:
        return True
    is_one_other = name[first + 1 :] == meant[first + 1 :] and len(name) > 5
    return is_one_other and name[first].isalpha() and meant[first].isalpha()


def warn_caller(message: str) -> None:
    """Warn at the line, outside popoto, from which this was called."""
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_CALLER):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=depth + 1)
