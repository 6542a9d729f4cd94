"""`CyclicDecayField`: relevance that decays, comes back in cycles, and builds up pressure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from popoto import clock
from popoto._former_names import formerly
from popoto._stock import stock
from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.exceptions import ModelException
from popoto.fields.adapting import text_in_key
from popoto.fields.constants import TemporalPeriod
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.describing import describe
from popoto.fields.given import model_in, record_in
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import CompanionEntry, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.noting import put_noted
from popoto.memory.cycles.formula import Cycle, packed_cycles, packed_pressure
from popoto.memory.decay.scripts import CYCLIC_SCORE
from popoto.memory.finite import is_number

__all__ = ["CYCLIC_DECAY_LUA", "CyclicDecayField", "TemporalPeriod"]

#: Scores every member of an index, as popoto 1.6 does: KEYS index, cycles, pressure; ARGV now,
#: rate, n, base field or "". Queries do not use it.
CYCLIC_DECAY_LUA: str = CYCLIC_SCORE.text


class CyclicDecayField(DecayingSortedField):
    """A `DecayingSortedField` whose score has two terms more (`popoto.memory.cycles.formula`).

    `cycles`         a list of ``(period, amplitude)`` or ``(period, amplitude, phase)``, seconds
                     except for the amplitude: relevance that returns daily, weekly, yearly
    `pressure_rate`  score a day that builds up until `Model.resolve_pressure()`

    Both are kept for each record; amplitudes are learned (`Model.strengthen_cycle`,
    `weaken_cycle`) and survive saves. An edited declaration takes effect for a record when it
    is saved next, and resets the amplitudes of the cycles that were edited.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"cycles": (), "pressure_rate": 0.0}
    shown_keywords: ClassVar[tuple[str, ...]] = ("cycles", "pressure_rate")

    cycles: Sequence[Sequence[float]]
    pressure_rate: float

    def __init__(
        self,
        decay_rate: float | None = None,
        base_score_field: str | None = None,
        cycles: Sequence[Sequence[float]] = (),
        pressure_rate: float = 0.0,
        partition_by: str | tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__(
            decay_rate,
            base_score_field,
            partition_by,
            cycles=[] if cycles == () else cycles,
            pressure_rate=pressure_rate,
            **options,
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        given: Any = self.cycles
        if not isinstance(given, (list, tuple)):
            raise ModelException(f"cycles must be a list of cycles, got {describe(self.cycles)}")
        # Refuses wrong ones now, not at the first save.
        _ = self.declared
        rate: object = self.pressure_rate
        if not is_number(rate):
            raise ModelException(f"pressure_rate must be a number, got {describe(rate)}")
        if self.pressure_rate < 0:
            raise ModelException(f"pressure_rate must be >= 0, got {rate!r}")

    @property
    def never_null(self) -> str:
        return f"a DecayingSortedField cannot be null, as {super().never_null}"

    @property
    def declared(self) -> list[Cycle]:
        """The cycles with their phases. Read at each save: the list may have been edited."""
        return [_checked_cycle(cycle) for cycle in self.cycles]

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"cyclic"}

    # Keys -----------------------------------------------------------------------

    def cycles_key(self, partition_values: Sequence[Any]) -> str:
        """The hash of one partition's cycles."""
        return f"{self.partition_key(partition_values)}:cycles"

    def pressure_key(self, partition_values: Sequence[Any]) -> str:
        """The hash of one partition's pressure."""
        return f"{self.partition_key(partition_values)}:pressure"

    def companion_hashes(self, partition_values: Sequence[Any]) -> tuple[str, str] | None:
        return self.cycles_key(partition_values), self.pressure_key(partition_values)

    @formerly(model_instance="instance")
    def get_cycles_hash_key(self, instance: Any, field_name: str) -> str:
        """The hash of cycles that the current values of an instance lead to."""
        field = self.in_model(record_in(instance, "get_cycles_hash_key()"))
        return field.cycles_key([getattr(instance, name) for name in field.partition_by])

    @formerly(model_instance="instance")
    def get_pressure_hash_key(self, instance: Any, field_name: str) -> str:
        """The hash of pressure that the current values of an instance lead to."""
        field = self.in_model(record_in(instance, "get_pressure_hash_key()"))
        return field.pressure_key([getattr(instance, name) for name in field.partition_by])

    @classmethod
    def get_cycles_hash_key_from_parts(
        cls, model_class: Any, field_name: str, *partition_values: Any
    ) -> str:
        """The hash of cycles of the partition with these values."""
        return f"{cls._partition_of(model_class, field_name, partition_values)}:cycles"

    @classmethod
    def get_pressure_hash_key_from_parts(
        cls, model_class: Any, field_name: str, *partition_values: Any
    ) -> str:
        """The hash of pressure of the partition with these values."""
        return f"{cls._partition_of(model_class, field_name, partition_values)}:pressure"

    @classmethod
    def _partition_of(cls, model_class: Any, field_name: str, values: Sequence[Any]) -> str:
        parts = (keys.escape(text_in_key(value)) for value in values)
        options = model_in(model_class, "the key of a partition")._meta
        stem = f"{cls.field_class_key}:{options.model_name}:{field_name}"
        return keys.SEPARATOR.join((stem, *parts))

    # What is kept ---------------------------------------------------------------

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        found = super().entries(key, values)
        if not found:
            return found
        partition = [values[name] for name in self.partition_by]
        first = packed_cycles(self.declared) if self.declared else None
        cycles = CompanionEntry(
            self.cycles_key(partition),
            key,
            f"{self.name}:cycles",
            first=first,
            noted=("cycle", self.name),
        )
        first = packed_pressure(self.pressure_rate, clock.now()) if self.pressure_rate else None
        pressure = CompanionEntry(
            self.pressure_key(partition),
            key,
            f"{self.name}:pressure",
            first=first,
            noted=("pressure", self.name),
        )
        return (*found, cycles, pressure)

    def key_families(self) -> Sequence[KeyFamily]:
        companions = [
            companion_family(f"{self.name}{suffix}", self.sorted_set_key, suffix=suffix)
            for suffix in (":cycles", ":pressure")
        ]
        return (*super().key_families(), *companions)

    def on_commit(self, instance: Any, batch: Batch, commit: Commit) -> None:
        """Bring the declaration of a stored record's cycles and pressure up to date."""
        names = commit.update_fields
        if commit.operation != "update" or (names is not None and self.name not in names):
            return
        partition = [commit.values[name] for name in self.partition_by]
        cycles_key, pressure_key = self.cycles_key(partition), self.pressure_key(partition)
        if self.declared:
            numbers = [repr(number) for cycle in self.declared for number in cycle]
            words = ("DECLARE", cycles_key, commit.key, *numbers)
        else:
            words = ("HDEL", cycles_key, commit.key)
        put_noted(batch, "cycle", self.name, commit.key, *words)
        if self.pressure_rate:
            rate, now = repr(float(self.pressure_rate)), repr(clock.now())
            words = ("PRESS", pressure_key, commit.key, rate, now)
        else:
            words = ("HDEL", pressure_key, commit.key)
        put_noted(batch, "pressure", self.name, commit.key, *words)


def _checked_cycle(cycle: Sequence[float]) -> Cycle:
    """A cycle of three numbers. Raises ModelException."""
    given: Any = cycle
    if not isinstance(given, (list, tuple)) or not 2 <= len(cycle) <= 3:
        raise ModelException(
            f"Each cycle must be (period, amplitude) or (period, amplitude, phase), "
            f"got {describe(cycle)}"
        )
    if not all(map(is_number, cycle)):
        raise ModelException(f"Each cycle must be of numbers, got {describe(cycle)}")
    period, amplitude, phase = (*cycle, 0)[:3]
    if period <= 0:
        raise ModelException(f"Cycle period must be > 0, got {period!r}")
    if amplitude < 0:
        raise ModelException(f"Cycle amplitude must be >= 0, got {amplitude!r}")
    return period, amplitude, phase
