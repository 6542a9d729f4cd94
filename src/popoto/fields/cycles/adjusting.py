"""Cycles that are strengthened or weakened, and pressure that is resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from popoto import clock
from popoto.engine.batch import Batch
from popoto.engine.request import Reply
from popoto.fields.keeping.adjusting import Adjustment
from popoto.memory.commands import put

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

    def __init__(self, instance: Any, field: Cyclic, factor: float) -> None:
        super().__init__(instance)
        self.field = field
        self.factor = factor
        self.names = field.partition_by

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        partition = [values[name] for name in self.names]
        put(batch, "AMPLIFY", self.field.cycles_key(partition), key, repr(self.factor))

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
    """A record's pressure is resolved."""

    what = "resolve_pressure()"

    def __init__(self, instance: Any, field: Cyclic) -> None:
        super().__init__(instance)
        self.field = field
        self.now = clock.now()
        self.names = field.partition_by

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        partition = [values[name] for name in self.names]
        hash_key, rate = self.field.pressure_key(partition), self.field.pressure_rate
        put(batch, "RELEASE", hash_key, key, repr(float(rate)), repr(self.now))

    def finish(self, replies: Sequence[Reply]) -> float:
        return self.now


def _number(text: bytes) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
