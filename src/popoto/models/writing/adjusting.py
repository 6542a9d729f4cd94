"""Adjustments of stored records as operations, and the ways of carrying several out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Plan, Reply
from popoto.exceptions import ModelException, NotStoredError, UnsavedError
from popoto.fields.keeping.adjusting import Adjustment, Collector, Touching
from popoto.models.record.stored_form import decoded_values
from popoto.models.writing.carrying import carry_out
from popoto.models.writing.company import Company
from popoto.models.writing.operation import Operation, read_stored
from popoto.models.writing.queueing import check_pipeline, queue_up
from popoto.models.writing.touching import Touch

_TOGETHER: Company[Operation] = Company()


class _Skipping(Company[Operation]):
    """Operations on records that are gone are left out; the others go on."""

    def refuse(self, operation: Operation, error: ModelException) -> None:
        if not isinstance(error, (NotStoredError, UnsavedError)):
            raise error


_SKIPPING = _Skipping()


class Collecting(Collector, ABC):
    """What operations can be handed to instead of being carried out: a transaction."""

    @abstractmethod
    def collect(self, *operations: Operation) -> None:
        """Take operations up: all of them, or, where one of them is refused, none."""


class Adjusting(Operation):
    """An adjustment under way. The record has to exist; its partition is the stored one."""

    def __init__(self, adjustment: Adjustment) -> None:
        super().__init__(adjustment.instance, _key_of(adjustment))
        self.adjustment = adjustment
        self.options = adjustment.options
        self.what = adjustment.what
        self.noting = adjustment.noting
        self.known: Mapping[str, Stored] = {}
        if adjustment.needs_record:
            self.known = dict(self.instance._stored)
        if not self.known and adjustment.names:
            self.unknown_key = self.key

    @property
    def keys(self) -> tuple[str, ...]:
        # Nothing of the record itself is written: others may write it in the same step.
        return ()

    @property
    def beside(self) -> tuple[str, ...]:
        return self.adjustment.ends or (self.key,)

    def check_shard(self) -> None:
        self.adjustment.check_shard()

    def take_stored(self, stored: Mapping[str, Stored] | None) -> None:
        if stored is None:
            raise self.adjustment.missing(self.key)
        self.known = {**self.known, **stored}

    def look(self, queued: QueuedCommits) -> Plan[None]:
        if not self.adjustment.needs_record:
            return
        if self.key in queued.records:
            self.take_stored(queued.records[self.key])
        elif self.unknown_key is not None:
            self.take_stored((yield from read_stored([(self.options, self.key)]))[0])

    def batch(self) -> Batch:
        names, batch = self.adjustment.names, Batch(self.noting)
        if names:
            batch.guard_holds(self.key, self.known, names)
        elif self.adjustment.needs_record:
            batch.guard("exists", self.key)
        if self.adjustment.outlasts_records:
            self.guard_shard(batch)
        self.adjustment.put(batch, self.key, decoded_values(self.options, self.known, names))
        return batch

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if step is None or failure.what == "type":
            raise failure.error()
        if failure.what == "exists" and self.is_first(step):
            return
        if step[1] == self.key and failure.what == "exists":
            raise self.adjustment.missing(self.key)
        if step[1] == self.key and failure.what == "holds":
            # The record has moved to another partition meanwhile.
            names = self.adjustment.names
            current = failure.stored(names)
            others = {name: raw for name, raw in self.known.items() if name not in names}
            self.known = {**others, **current}
        elif not self.adjustment.learn(failure, step):
            raise failure.error()

    def finish(self, replies: Sequence[Reply]) -> Any:
        return self.adjustment.finish(replies)

    def leave(self, queued: QueuedCommits) -> None:
        """The record's own fields stay as they are, but for what the server will compute."""
        computed = queued.computed.setdefault(self.key, {})
        computed.update(dict.fromkeys(self.adjustment.computed, self.what))

    def queue_up(self) -> None:
        """What it brings is known once it was carried out."""


def _key_of(adjustment: Adjustment) -> str:
    """The key of the record that is adjusted. Raises where there can be none."""
    instance = adjustment.instance
    if not adjustment.needs_record:
        return adjustment.beside
    if instance._is_stored and instance._redis_key is not None:
        return str(instance._redis_key)
    instance._meta.isolation.check_had(instance, adjustment.what)
    values = [getattr(instance, name) for name in instance._meta.key_names]
    if not adjustment.takes_constructed or any(value is None for value in values):
        raise adjustment.unsaved()
    return str(instance.pk)


def adjust(
    adjustments: Sequence[Adjustment], pipeline: Any = None, *, skips_missing: bool = False
) -> Plan[list[Any]]:
    """Carry adjustments out in one step, or queue them on a pipeline or a transaction.

    Their results, in order; none where they are queued. Where a record is gone, or was never
    stored, nothing is done, unless these are to be skipped: their result is None. One round trip.
    """
    operations: list[Operation] = []
    places: list[int] = []
    for place, each in enumerate(adjustments):
        try:
            operations.append(_operation_of(each))
            places.append(place)
        except UnsavedError:
            if not skips_missing:
                raise
    results: list[Any] = [None] * len(adjustments)
    found = yield from carry_or_queue(
        operations, pipeline, _SKIPPING if skips_missing else _TOGETHER
    )
    for place, result in zip(places, found, strict=False):
        results[place] = result
    return results


def _operation_of(adjustment: Adjustment) -> Operation:
    if isinstance(adjustment, Touching):
        touch = Touch(adjustment.instance, *adjustment.field_names, now=adjustment.now)
        touch.noting = adjustment.noting
        return touch
    return Adjusting(adjustment)


def carry_or_queue(
    operations: Sequence[Operation], pipeline: Any = None, company: Company[Operation] | None = None
) -> Plan[list[Any]]:
    """Carry operations out in one step for each shard, or hand them to a pipeline or transaction.

    Their results, in order; none where they are queued.
    """
    if isinstance(pipeline, Collecting):
        pipeline.collect(*operations)
        return []
    check_pipeline(pipeline)
    if pipeline is not None:
        for operation in operations:
            yield from queue_up(operation, pipeline)
        return []
    by_model: dict[str, list[Operation]] = {}
    for operation in operations:
        by_model.setdefault(operation.options.model_name, []).append(operation)
    for together in by_model.values():
        yield from carry_out(together, company or _TOGETHER)
    return [operation.result for operation in operations]
