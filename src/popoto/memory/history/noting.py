"""`History`, the bounds of histories, and `Noting`: who changes what, when and why.

The entries themselves are written by `noting.lua`, in the step that makes the change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from popoto import clock
from popoto.acting import actor
from popoto.engine.request import Argument
from popoto.engine.steps import KeyArgument
from popoto.exceptions import ModelException

__all__ = ["History", "Kind", "Noting", "history_key"]

#: What changes.
Kind: TypeAlias = Literal["confidence", "decay", "cycle", "pressure", "link", "access", "proposal"]

DEFAULT_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class History:
    """How much is kept of what changed in the memory of each record (`Meta.history`).

    `max_length`  how many entries, the latest ones; None: all
    `max_age`     entries that are older go, a timedelta or seconds; None: none goes for its age
    """

    max_length: int | None = DEFAULT_LENGTH
    max_age: timedelta | float | None = None

    def __post_init__(self) -> None:
        length: object = self.max_length
        if length is not None and (
            isinstance(length, bool) or not isinstance(length, int) or length < 1
        ):
            raise ModelException(
                f"History(max_length=…) must be an int of 1 or more, or None, got {length!r}"
            )
        if self.max_age is not None and not _is_span(self.max_age):
            raise ModelException(
                "History(max_age=…) must be a timedelta or seconds, more than none, or None, "
                f"got {self.max_age!r}"
            )

    @property
    def age(self) -> float | None:
        """`max_age` in seconds."""
        age = self.max_age
        return age.total_seconds() if isinstance(age, timedelta) else age

    def oldest(self, now: float) -> float | None:
        """The moment from before which nothing is kept."""
        return None if self.age is None else now - self.age

    def noting(self, model_name: str, cause: str, outcome: str) -> Noting:
        """Who changes records of a model now, and why."""
        return Noting(self, history_stem(model_name), clock.now(), actor() or "", cause, outcome)


def _is_span(age: object) -> bool:
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return False
    return math.isfinite(seconds) and seconds > 0


@dataclass(frozen=True, slots=True)
class Noting:
    """What all entries of one operation have in common."""

    history: History
    stem: str
    at: float
    by: str
    cause: str
    outcome: str

    def head(self, record: str, kind: Kind, field: str, signal: float | None) -> Sequence[Argument]:
        """What a command of noting.lua begins with."""
        length, oldest = self.history.max_length, self.history.oldest(self.at)
        return (
            KeyArgument(self.stem + record),
            KeyArgument(record),
            self.stem,
            "" if length is None else length,
            "" if oldest is None else repr(oldest),
            repr(self.at),
            self.by,
            kind,
            field,
            self.cause,
            self.outcome,
            "" if signal is None else repr(signal),
        )


def history_stem(model_name: str) -> str:
    """What the keys of histories begin with; the record's key follows."""
    return f"$History:{model_name}:"


def history_key(model_name: str, record: str) -> str:
    """The stream of one record."""
    return history_stem(model_name) + record
