"""`Touch`: the moment of a decay field is set to now, and nothing else of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto import clock
from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.request import Plan, Reply
from popoto.fields.keeping.noting import put_noted
from popoto.models.beside.expiry import put_expiry_as_is
from popoto.models.record import memory_fields
from popoto.models.record.record import Record
from popoto.models.record.stored import stored_key
from popoto.models.record.stored_form import decoded_values
from popoto.models.writing.change import Change
from popoto.models.writing.operation import Operation, not_stored


class Touch(Change):
    """A decay field is set to now, in the record and in its index.

    The partition is that of the stored record, whatever its fields say in memory.
    """

    what = cause = "touch"
    partial = True

    def __init__(self, instance: Record, name: str, now: float | None = None) -> None:
        field = memory_fields.decaying(instance, name, "touch()")
        key = stored_key(instance, f"{field.label} cannot be touched")
        super().__init__(instance, key)
        self.field = field
        self.names = [name]
        self.now_touched = clock.now() if now is None else now
        #: the stored form, which is bytes of the hash
        self.moment: Any = field.encode(self.now_touched)
        self.changed = {name: self.moment}

    def goes_with(self, other: Operation) -> bool:
        # Each of them has a moment and an index of its own.
        return isinstance(other, Touch) and other.field is not self.field

    def look(self, queued: QueuedCommits) -> Plan[None]:
        if self.key in queued.records:
            stored = queued.records[self.key]
            if stored is None:
                raise not_stored(self.key)
            self.known = {**(self.known or {}), **stored}
        yield from ()

    def batch(self) -> Batch:
        options = self.options
        batch = Batch(self.noting)
        decision = options.decision(frozenset(self.changed))
        if decision.composites or decision.fields != (self.field,) or options.save_hooks:
            # Other entries follow from the moment as well.
            self.put_change(batch, decision, decision.names)
        else:
            # Whatever the moment was before: the later touch wins. So many may touch at once.
            places = self.field.partition_names
            if places:
                self.guard_bytes(batch, places)
            else:
                batch.guard("exists", self.key)
            self.put_hash(batch)
            after = decoded_values(options, {**(self.known or {}), **self.changed}, decision.names)
            for entry in self.field.entries(self.key, after)[:1]:
                entry.add(batch)
        if decision.names:
            put_expiry_as_is(batch, options, self.key)
        return batch

    def put_hash(self, batch: Batch) -> None:
        name = self.field.name
        if self.noting is None:
            super().put_hash(batch)
        else:
            put_noted(batch, "decay", name, self.key, "HSET", self.key, name, self.moment)

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if step is None or failure.what == "type":
            raise failure.error()
        if failure.what != "holds":
            raise not_stored(self.key)
        self.refresh(failure.stored(self.options.index_names))

    def finish(self, replies: Sequence[Reply]) -> Any:
        self._take_over(persisted=True)
        return self.now_touched

    def leave(self, queued: QueuedCommits) -> None:
        queued.put(self.key, self.known or {}, self.changed)

    def queue_up(self) -> None:
        self._take_over(persisted=False)

    def _take_over(self, *, persisted: bool) -> None:
        self.note_unconfirmed(persisted=persisted)
        self.instance._stored.update(self.changed)
        vars(self.instance)[self.field.name] = self.now_touched
