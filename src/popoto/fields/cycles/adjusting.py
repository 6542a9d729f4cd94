"""Cycles that are strengthened or weakened, and pressure that is resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from popoto import clock
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.request import Argument, Reply
from popoto.fields.confidence.evidence import Confidence
from popoto.fields.keeping.adjusting import Adjustment
from popoto.fields.keeping.noting import put_noted

__all__ = ["Amplifying", "Cyclic", "Releasing"]


class Cyclic(Protocol):
    """What is asked of a cyclic field here."""

    name: str
    label: str
    partition_by: tuple[str, ...]
    pressure_rate: float

    def cycles_key(self, partition_values: Sequence[Any]) -> str: ...
    def pressure_key(self, partition_values: Sequence[Any]) -> str: ...


class Amplifying(Adjustment):
    """Every amplitude of a record is multiplied."""

    what = "a change of amplitudes"

    def __init__(
        self, instance: Any, field: Cyclic, factor: float, cause: str = "strengthen_cycle"
    ) -> None:
        self.cause = cause
        super().__init__(instance)
        self.field = field
        self.factor = factor
        self.names = field.partition_by

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        partition = [values[name] for name in self.names]
        hash_key, words = self.field.cycles_key(partition), (key, repr(self.factor))
        put_noted(
            batch, "cycle", self.field.name, key, "AMPLIFY", hash_key, *words, signal=self.factor
        )

    def finish(self, replies: Sequence[Reply]) -> list[list[Any]]:
        found: Any = replies[0]
        numbers = [_number(text) for text in found]
        return [
            [period, float(amplitude), phase]
            for period, amplitude, phase in zip(
                numbers[::3], numbers[1::3], numbers[2::3], strict=True
            )
        ]


class Releasing(Adjustment):
    """A record's pressure is resolved; with `below`, only where a confidence is below a bound."""

    what = "resolve_pressure()"
    cause = "resolve_pressure"

    def __init__(
        self, instance: Any, field: Cyclic, *, below: tuple[Confidence, float] | None = None
    ) -> None:
        super().__init__(instance)
        self.field = field
        self.below = below
        self.now = clock.now()
        doubted = () if below is None else below[0].partition_by
        self.names = tuple(dict.fromkeys((*field.partition_by, *doubted)))

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        field = self.field
        hash_key = field.pressure_key([values[name] for name in field.partition_by])
        condition: tuple[Argument, ...] = ()
        if self.below is not None:
            doubted, threshold = self.below
            evidence = doubted.partition_key([values[name] for name in doubted.partition_by])
            initial = repr(doubted.initial_confidence)
            condition = (KeyArgument(evidence), key, initial, repr(threshold))
        rate = repr(float(field.pressure_rate))
        words = (key, rate, repr(self.now), *condition)
        put_noted(batch, "pressure", field.name, key, "RELEASE", hash_key, *words)

    def finish(self, replies: Sequence[Reply]) -> float:
        return self.now


def _number(text: bytes) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
