"""How a signal moves a confidence. `learning.lua` does the same on servers.

    c' = min(max(c + (s - c) / sqrt(n + 1), 0), 1)

with c the confidence before, s the signal and n the number of signals so far. The step is that of
a stochastic approximation (Robbins and Monro 1951) with a gain of 1 / sqrt(n + 1): the first signal
decides alone, later ones weigh less and less, and recent ones more than in a mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import msgpack

from popoto.memory.finite import is_number

__all__ = ["Evidence"]

_NAMES = ("confidence", "evidence_count", "corroborations", "contradictions")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A confidence from 0 to 1, and how many signals stand behind it, for it and against it."""

    confidence: float
    evidence_count: int = 0
    corroborations: int = 0
    contradictions: int = 0

    def learned(self, signal: float) -> Self:
        """The evidence after one more signal from 0 to 1; from 0.5 on it is in favour."""
        number = self.evidence_count + 1
        moved = self.confidence + (signal - self.confidence) / math.sqrt(number)
        in_favour = signal >= 0.5
        return type(self)(
            min(max(moved, 0.0), 1.0),
            number,
            self.corroborations + in_favour,
            self.contradictions + (not in_favour),
        )

    def packed(self) -> bytes:
        """As it is stored: a MessagePack map, the confidence a float64."""
        return msgpack.packb(self.as_dict())

    @classmethod
    def unpacked(cls, stored: bytes) -> Self:
        """From stored bytes: a map in any order or a list of the four. Raises ValueError."""
        try:
            found: object = msgpack.unpackb(stored)
        except (ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"{stored!r} is no MessagePack: {error}") from error
        values: list[Any]
        if isinstance(found, Mapping) and "confidence" in found:
            by_name = cast("Mapping[str, Any]", found)
            values = [by_name.get(name, 0) for name in _NAMES]
        elif isinstance(found, list) and found:
            values = [*cast("Sequence[Any]", found), 0, 0, 0][:4]
        else:
            values = []
        if not values or not is_number(values[0]):
            raise ValueError(f"{stored!r} tells no confidence and its evidence")
        confidence, *counts = values
        return cls(float(confidence), *map(_count_in, counts))

    def as_dict(self) -> dict[str, Any]:
        """The four by name."""
        return {name: getattr(self, name) for name in _NAMES}


def _count_in(value: Any) -> int:
    """A whole number from 0; 0 for anything else."""
    return int(value) if is_number(value) and 0 <= value < 2**53 else 0
