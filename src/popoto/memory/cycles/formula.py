"""What cycles and pressure add to a decay score. `score.lua` does the same on servers.

    resonance = sum of amplitude * cos(2 pi (now - phase) / period)
    pressure  = rate * max((now - last_resolved) / 86400, 0)

Times, periods and phases are in seconds (since 1970, where they are moments); rate is score a day.
A learned amplitude is a * factor, held within [0, 100]; below 0.01 it is 0 and stays so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgpack

from popoto.memory.decay.formula import SECONDS_PER_DAY

__all__ = [
    "HIGHEST_AMPLITUDE",
    "LOWEST_AMPLITUDE",
    "Cycle",
    "learned_amplitude",
    "packed_cycles",
    "packed_pressure",
    "pressure",
    "resonance",
    "unpacked_cycles",
]

#: Period, amplitude and phase.
Cycle: TypeAlias = tuple[float, float, float]

HIGHEST_AMPLITUDE: Final = 100.0
LOWEST_AMPLITUDE: Final = 0.01


def resonance(cycles: Iterable[Cycle], now: float) -> float:
    """The sum of cycles at a moment, from minus to plus the sum of their amplitudes."""
    return sum(
        amplitude * math.cos(2 * math.pi * (now - phase) / period)
        for period, amplitude, phase in cycles
        if period > 0
    )


def pressure(rate: float, last_resolved: float, now: float) -> float:
    """What has built up since a moment; nothing while that lies ahead."""
    return rate * max((now - last_resolved) / SECONDS_PER_DAY, 0.0) if rate > 0 else 0.0


def learned_amplitude(amplitude: float, factor: float) -> float:
    """An amplitude that was strengthened or weakened."""
    moved = min(max(amplitude * factor, 0.0), HIGHEST_AMPLITUDE)
    return moved if moved >= LOWEST_AMPLITUDE else 0.0


def packed_cycles(cycles: Sequence[Cycle]) -> bytes:
    """Cycles as first stored: MessagePack lists of period, amplitude and phase, as given."""
    return msgpack.packb([[_storable(number) for number in cycle] for cycle in cycles])


def unpacked_cycles(stored: bytes) -> list[list[Any]]:
    """Cycles from stored bytes, as lists of three. Raises ValueError."""
    found: Any = msgpack.unpackb(stored)
    return [[*cycle[:3], 0][:3] for cycle in found]


def packed_pressure(rate: float, last_resolved: float) -> bytes:
    """Pressure as it is first stored: a MessagePack map of the rate, as given, and a float64."""
    return msgpack.packb({"rate": _storable(rate), "last_resolved": float(last_resolved)})


def _storable(number: float) -> float:
    """The number itself; a float, where MessagePack has no int that long."""
    return number if isinstance(number, float) or abs(number) < 2**63 else float(number)
