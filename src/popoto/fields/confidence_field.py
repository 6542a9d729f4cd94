"""`ConfidenceField`: how sure one can be of a record, moved by evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from popoto._former_names import formerly
from popoto._stock import stock
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException, QueryException
from popoto.fields.confidence.evidence import Learning, data_key, evidence_of, filtered
from popoto.fields.confidence.migrating import migrate
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.given import field_named, model_in, pairs_in, record_in
from popoto.fields.keeping.adjusting import carried_out
from popoto.fields.keeping.entries import CompanionEntry, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.partitioned_field_mixin import PartitionedFieldMixin
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal
from popoto.memory.confidence.formula import Evidence

__all__ = ["ConfidenceField"]


class ConfidenceField(PartitionedFieldMixin[float], Field[float]):
    """A confidence from 0 to 1 that signals move (`popoto.memory.confidence.formula`).

    `initial_confidence`  what a record begins with; `Defaults.INITIAL_CONFIDENCE` if left out
    `partition_by`        a field name or a tuple of them: the evidence is kept apart for each
                          combination of their values

    The evidence stands beside the records, in one hash for all of them (per partition), and
    lives as long as its record does. The attribute shows the confidence as it was loaded or last
    updated by this instance; assigning to it changes what the record shows, never the evidence.

    Methods take the record (`update_confidence`, `get_confidence`) or the model; each has a
    native asyncio twin, ``async_…``.
    """

    takes_no_type: ClassVar[bool] = True
    option_defaults: ClassVar[dict[str, Any]] = {"type": float, "initial_confidence": None}
    shown_keywords: ClassVar[tuple[str, ...]] = ("initial_confidence",)

    initial_confidence: float

    def __init__(
        self,
        initial_confidence: float | None = None,
        partition_by: str | tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        initial: Any = initial_confidence
        if initial is None:
            initial = Defaults.INITIAL_CONFIDENCE
        if (
            isinstance(initial, bool)
            or not isinstance(initial, (int, float))
            or not 0 <= initial <= 1
        ):
            raise ModelException(
                f"initial_confidence must be a number from 0 to 1, got {describe(initial)}"
            )
        options.setdefault("default", float(initial))
        super().__init__(
            initial_confidence=float(initial), partition_by=partition_by or (), **options
        )

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.data_key = f"{self.field_class_key}:{model_name}:{name}:data"
        self._first = Evidence(self.initial_confidence).packed()

    # What is kept ---------------------------------------------------------------

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"confidence"}

    @property
    def deciding_names(self) -> tuple[str, ...]:
        # What the record shows says nothing of the evidence.
        return super().deciding_names if self.keeps_value_sets else self.depends_on

    @property
    def makes_entries(self) -> bool:
        return True

    def partition_key(self, values: Sequence[Any]) -> str:
        """The hash of one partition's evidence."""
        return data_key(self.data_key, values)

    def signal(self, partition_values: Sequence[Any]) -> Signal | None:
        return signals.confidences(self.partition_key(partition_values), self.initial_confidence)

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        data_key = self.partition_key([values[name] for name in self.partition_by])
        companion = CompanionEntry(data_key, key, self.name, first=self._first)
        return (*super().entries(key, values), companion, ProposalEntry.of(self.model_name, key))

    def key_families(self) -> Sequence[KeyFamily]:
        evidence = companion_family(self.name, self.data_key)
        return (*super().key_families(), evidence, pending_family(self.model_name))

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        super().check_model(fields, indexes)
        if (
            self.keeps_value_sets
            or any(self.name in names for names, _ in indexes)
            or any(self.name in each.partition_names for each in fields.values())
        ):
            raise ModelException(
                f"{self.label}: a confidence moves without a save, so no index, uniqueness or "
                "partition can follow from it; it may be the base score of a decay field"
            )

    # Keys -----------------------------------------------------------------------

    @formerly(model_instance="instance")
    def get_data_hash_key(self, instance: Any, field_name: str) -> str:
        """The hash that the current values of an instance lead to."""
        field = self.in_model(record_in(instance, "get_data_hash_key()"))
        return field.partition_key([getattr(instance, name) for name in field.partition_by])

    def get_data_hash_key_from_values(
        self, model_class: Any, field_name: str, **values: Any
    ) -> str:
        """The hash of the partition with these values. Raises QueryException where one lacks."""
        field = self.in_model(model_in(model_class, "get_data_hash_key_from_values()"))
        missing = [name for name in field.partition_by if values.get(name) is None]
        if missing:
            raise QueryException(
                f"{field.label} is partitioned by {', '.join(field.partition_by)}: give a value "
                f"for {', '.join(missing)}"
            )
        return field.partition_key([values[name] for name in field.partition_by])

    @formerly(model_instance="instance")
    def get_old_data_hash_key(self, instance: Any, field_name: str) -> str | None:
        """The hash that the last saved or loaded values lead to; None for an unsaved instance."""
        if not record_in(instance, "get_old_data_hash_key()")._stored:
            return None
        field, saved = self.in_model(instance), instance._saved_field_values
        return field.partition_key([saved.get(name) for name in field.partition_by])

    # Learning -------------------------------------------------------------------

    @classmethod
    @formerly(model_instance="instance")
    def update_confidence(
        cls, instance: Any, field_name: str, signal: Any, pipeline: Any = None
    ) -> Any:
        """Let a record's confidence learn from a signal from 0 (against) to 1 (for).

        Returns the new confidence, which the attribute and the stored record have then, or the
        pipeline if one was given (which may be a transaction). Raises TypeError (None as signal,
        another kind of field, an instance that is not stored), ValueError (no number from 0
        to 1). One command; updates of several processes all count.
        """
        return run(cls._updating([(instance, signal)], field_name, pipeline, single=True))

    @classmethod
    async def async_update_confidence(
        cls, instance: Any, field_name: str, signal: Any, pipeline: Any = None
    ) -> Any:
        """`update_confidence` for asyncio."""
        return await arun(cls._updating([(instance, signal)], field_name, pipeline, single=True))

    @classmethod
    def bulk_update_confidence(
        cls, signals: Iterable[tuple[Any, Any]], field_name: str, pipeline: Any = None
    ) -> Any:
        """`update_confidence` of many records, given as pairs of record and signal, in one step.

        Returns the new confidences in order, or the pipeline. All are updated or none. One command.
        """
        return run(cls._updating(signals, field_name, pipeline, single=False))

    @classmethod
    async def async_bulk_update_confidence(
        cls, signals: Iterable[tuple[Any, Any]], field_name: str, pipeline: Any = None
    ) -> Any:
        """`bulk_update_confidence` for asyncio."""
        return await arun(cls._updating(signals, field_name, pipeline, single=False))

    @classmethod
    def _updating(
        cls, signals: Iterable[tuple[Any, Any]], field_name: str, pipeline: Any, *, single: bool
    ) -> Plan[Any]:
        pairs = pairs_in(signals, "bulk_update_confidence()", "record, signal")
        checked = [(instance, _checked_signal(signal)) for instance, signal in pairs]
        learnings = [
            Learning(instance, cls._of_record(instance, field_name), signal)
            for instance, signal in checked
        ]
        found: list[float] = yield from carried_out(learnings, pipeline)
        if pipeline is not None:
            return pipeline
        return found[0] if single else found

    @classmethod
    def _of_record(cls, instance: Any, field_name: str) -> ConfidenceField:
        """`named`; raises TypeError for a model in a record's place, too."""
        field = cls.named(instance, field_name)
        record_in(instance, f"the confidence of {field_name!r}")
        return field

    @classmethod
    def named(cls, model_or_instance: Any, field_name: str) -> ConfidenceField:
        """The confidence field of that name. Raises TypeError for any other."""
        options = getattr(model_or_instance, "_meta", None)
        if options is None:
            raise TypeError(
                f"the confidence of {field_name!r} is that of a record, and "
                f"{describe(model_or_instance)} is none: load it first"
            )
        field = field_named(options, field_name)
        if not isinstance(field, ConfidenceField):
            raise TypeError(
                f"{describe(field_name)} is not a ConfidenceField of {options.model_name}"
            )
        return field

    # Reading --------------------------------------------------------------------

    @classmethod
    @formerly(model_instance="instance")
    def get_confidence(cls, instance: Any, field_name: str) -> float:
        """A record's confidence; the initial one where there is no evidence. One command."""
        return run(cls._reading(instance, field_name)).confidence

    @classmethod
    async def async_get_confidence(cls, instance: Any, field_name: str) -> float:
        """`get_confidence` for asyncio."""
        return (await arun(cls._reading(instance, field_name))).confidence

    @classmethod
    @formerly(model_instance="instance")
    def get_confidence_data(cls, instance: Any, field_name: str) -> dict[str, Any]:
        """`confidence`, `evidence_count`, `corroborations`, `contradictions`. One command."""
        return run(cls._reading(instance, field_name)).as_dict()

    @classmethod
    async def async_get_confidence_data(cls, instance: Any, field_name: str) -> dict[str, Any]:
        """`get_confidence_data` for asyncio."""
        return (await arun(cls._reading(instance, field_name))).as_dict()

    @classmethod
    def _reading(cls, instance: Any, field_name: str) -> Plan[Evidence]:
        return evidence_of(instance, cls._of_record(instance, field_name))

    @classmethod
    def get_confidence_filtered(
        cls, model_class: Any, field_name: str, pattern: str = "*"
    ) -> dict[str, dict[str, Any]]:
        """The evidence of the records whose keys match a glob pattern, by record key.

        Of the hash without partition: for a partitioned field, records without partition value.
        One round trip for every 1,000 entries or so.
        """
        return run(filtered(model_class, cls.named(model_class, field_name), pattern))

    @classmethod
    async def async_get_confidence_filtered(
        cls, model_class: Any, field_name: str, pattern: str = "*"
    ) -> dict[str, dict[str, Any]]:
        """`get_confidence_filtered` for asyncio."""
        field = cls.named(model_class, field_name)
        return await arun(filtered(model_class, field, pattern))

    # Moving to partitions -------------------------------------------------------

    @classmethod
    def migrate_to_partitioned(
        cls, model_class: Any, field_name: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """Move evidence from the hash without partition to those of the records' partitions.

        Returns ``total``, ``migrated``, ``errors`` (a list of ``member_key`` and ``error``) and
        ``partitions`` (entries by partition; ``default``: records without partition value, which
        stay where they are). Evidence that a partition has gathered already is never
        overwritten, and only what was moved is deleted, so it can be run again. Raises
        ModelException for a field without partitions. Two round trips for every 500 entries.
        """
        return run(_migration(model_class, field_name, dry_run=dry_run))

    @classmethod
    async def async_migrate_to_partitioned(
        cls, model_class: Any, field_name: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """`migrate_to_partitioned` for asyncio."""
        return await arun(_migration(model_class, field_name, dry_run=dry_run))


def _checked_signal(signal: Any) -> float:
    if signal is None:
        raise TypeError("signal must be a number from 0 to 1, got None")
    try:
        number = float(signal)
    except TypeError as error:
        raise TypeError(f"signal must be a number from 0 to 1, got {describe(signal)}") from error
    except ValueError:
        number = math.nan
    if math.isnan(number) or not 0 <= number <= 1:
        raise ValueError(f"signal must be a number from 0 to 1, got {signal!r}")
    return number


def _migration(model_class: Any, field_name: str, *, dry_run: bool) -> Plan[dict[str, Any]]:
    options = model_in(model_class, "migrate_to_partitioned()")._meta
    field = field_named(options, field_name)
    if not isinstance(field, ConfidenceField) or not field.partition_by:
        raise ModelException(
            f"{options.model_name}: {describe(field_name)} is no ConfidenceField with "
            "partition_by, so there is nothing to migrate to"
        )
    return migrate(model_class, field, dry_run=dry_run)
