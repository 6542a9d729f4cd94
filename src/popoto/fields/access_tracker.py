"""`AccessTrackerMixin`: which records were read, and which reads mattered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from popoto import clock
from popoto.engine.batch import Batch, KeyArgument, queue
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Reply, Request
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.given import records_in
from popoto.fields.keeping.adjusting import (
    Adjustment,
    Collector,
    Queued,
    carried_out,
    changed,
    check_waiting_place,
)
from popoto.fields.keeping.entries import Entry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.naming import model_name_of
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.memory.commands import put
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal

__all__ = ["AccessTrackerMixin"]

_KINDS = ("staged", "access_log", "meta")


class AccessTrackerMixin:
    """Counts the reads of records, in two stages. List it among the bases of a model.

    Every record that a query hands out is *staged* (one command more for each query).
    `confirm_access` promotes what was staged, once it is clear that the reads mattered;
    `discard_staged_access` forgets it. What is staged goes after 24 hours by itself.

    `_max_access_log`  how many confirmed moments are kept; 0 keeps none
    `_track_reads`     False: queries stage nothing
    `_max_staged`      how many reads are kept until they are confirmed; the latest ones
    """

    _max_access_log: int = 100
    _track_reads: bool = True
    _max_staged: int = 1000

    @classmethod
    def _check_model(cls) -> None:
        for name, least in (("_max_access_log", 0), ("_max_staged", 1)):
            value: object = getattr(cls, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ModelException(
                    f"{cls.__name__}.{name} must be an int from {least} on, got {value!r}"
                )

    @classmethod
    def _companion_keys(cls, key: str) -> list[str]:
        return [_key_of(cls, kind, key) for kind in _KINDS]

    @classmethod
    def _companion_entries(cls, key: str) -> list[Entry]:
        return [ProposalEntry.of(model_name_of(cls), key)]

    @classmethod
    def _key_families(cls) -> list[KeyFamily]:
        return [pending_family(model_name_of(cls))]

    @classmethod
    def _access_signal(cls) -> Signal:
        model: Any = cls
        return signals.access_counts(model._meta.record_keys_key, _key_of(cls, "meta", ""))

    def _at_key(self, kind: str) -> str:
        """The key of what is tracked of this record: staged, access_log or meta."""
        record: Any = self
        record._meta.isolation.check_had(record, "the reads")
        return _key_of(type(self), kind, record.pk)

    # Staging --------------------------------------------------------------------

    def on_read(self, pipeline: Any = None) -> None:
        """Stage one read; nothing where the record is gone. One command."""
        run(self._staging(pipeline))

    async def async_on_read(self, pipeline: Any = None) -> None:
        """`on_read` for asyncio."""
        await arun(self._staging(pipeline))

    def _staging(self, pipeline: Any) -> Plan[None]:
        record: Any = self
        shard: str = record._meta.shard
        stage = partial(self._stage, str(clock.now()))
        check_waiting_place(pipeline)
        if isinstance(pipeline, Batch):
            stage(pipeline)
        elif isinstance(pipeline, Collector):
            staging = Queued(self, "on_read()", stage, beside=record.pk)
            yield from carried_out([staging], pipeline)
        else:
            batch = Batch()
            stage(batch)
            if pipeline is not None:
                queue(pipeline, batch, shard)
            else:
                yield Request.of(batch.call(), shard=shard)

    def _stage(self, moment: str, batch: Batch) -> None:
        record: Any = self
        put(
            batch,
            "STAGE",
            self._at_key("staged"),
            KeyArgument(record.pk),
            moment,
            self._max_staged,
        )

    # Confirming -----------------------------------------------------------------

    def confirm_access(self, pipeline: Any = None) -> Any:
        """Promote all staged reads: they count, and the log has their moments.

        Returns how many there were, or the pipeline if one was given (which may be a
        transaction). Raises TypeError for a record that is not stored. One command.
        """
        return run(self._confirm(pipeline))

    async def async_confirm_access(self, pipeline: Any = None) -> Any:
        """`confirm_access` for asyncio."""
        return await arun(self._confirm(pipeline))

    def _confirm(self, pipeline: Any) -> Plan[Any]:
        found = yield from carried_out([Confirming(self)], pipeline)
        return found[0] if pipeline is None else pipeline

    @classmethod
    def bulk_confirm_access(
        cls, records: Iterable[AccessTrackerMixin], pipeline: Any = None
    ) -> Any:
        """`confirm_access` of many records in one step: of all of them, or of none.

        Returns how many reads each had, in order, or the pipeline. Raises as `confirm_access`,
        and TypeError unless the records come in a list. One command.
        """
        return run(_confirm_all(records, pipeline))

    @classmethod
    async def async_bulk_confirm_access(
        cls, records: Iterable[AccessTrackerMixin], pipeline: Any = None
    ) -> Any:
        """`bulk_confirm_access` for asyncio."""
        return await arun(_confirm_all(records, pipeline))

    def discard_staged_access(self, pipeline: Any = None) -> None:
        """Forget all staged reads. One command."""
        run(self._discarding(pipeline))

    async def async_discard_staged_access(self, pipeline: Any = None) -> None:
        """`discard_staged_access` for asyncio."""
        await arun(self._discarding(pipeline))

    def _discarding(self, pipeline: Any) -> Plan[None]:
        record: Any = self
        forgetting, what = ("DEL", self._at_key("staged")), "discard_staged_access()"
        yield from changed(self, what, pipeline, forgetting, beside=record.pk)

    # Reading --------------------------------------------------------------------

    @property
    def access_count(self) -> int:
        """How many reads were confirmed. One command at each look."""
        return run(self._counting())

    async def async_access_count(self) -> int:
        """`access_count` for asyncio."""
        return await arun(self._counting())

    @property
    def last_accessed(self) -> float | None:
        """The moment of the last confirmed read (seconds since 1970); None without. One command."""
        return run(self._dating())

    async def async_last_accessed(self) -> float | None:
        """`last_accessed` for asyncio."""
        return await arun(self._dating())

    def _counting(self) -> Plan[int]:
        stored = yield from self._meta_field("access_count")
        return 0 if stored is None else int(stored)

    def _dating(self) -> Plan[float | None]:
        stored = yield from self._meta_field("last_accessed")
        return None if stored is None else float(stored)

    def _meta_field(self, name: str) -> Plan[bytes | None]:
        record: Any = self
        replies: list[bytes | None] = yield from looked_up(
            [("HGET", self._at_key("meta"), name)], record._meta.shard
        )
        return replies[0]


class Confirming(Adjustment):
    """The staged reads of a record are confirmed."""

    what = "confirm_access()"
    cause = "confirm_access"
    takes_constructed = True

    def missing(self, key: str) -> Exception:
        return self.unsaved()

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        instance = self.instance
        model: type = instance.__class__
        staged, log, meta = (_key_of(model, kind, key) for kind in _KINDS)
        others = KeyArgument(log), KeyArgument(meta), KeyArgument(key)
        words = ("CONFIRM", staged, *others, instance._max_access_log)
        put_noted(batch, "access", "", key, *words)

    def finish(self, replies: Sequence[Reply]) -> Any:
        return replies[0]


class Discarding(Adjustment):
    """The staged reads of a record are forgotten."""

    what = "discard_staged_access()"
    takes_constructed = True

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        model: type = self.instance.__class__
        batch.put("DEL", _key_of(model, "staged", key))


def _confirm_all(given: Iterable[AccessTrackerMixin], pipeline: Any) -> Plan[Any]:
    records = records_in(given, "bulk_confirm_access()")
    found = yield from carried_out([Confirming(record) for record in records], pipeline)
    return found if pipeline is None else pipeline


def _key_of(model: type, kind: str, record: str) -> str:
    return f"$AT:{model_name_of(model)}:{kind}:{record}"
