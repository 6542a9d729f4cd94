"""`Touch`: the moments of decay fields are set to now, and nothing else of the record."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
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
    """Decay fields are set to now, in the record and in their indexes.

    The partition is that of the stored record, whatever its fields say in memory.
    """

    what = cause = "touch"
    partial = True

    def __init__(self, instance: Record, *names: str, now: float | None = None) -> None:
        self.fields = [memory_fields.decaying(instance, name, "touch()") for name in names]
        key = stored_key(instance, f"{self.fields[0].label} cannot be touched")
        super().__init__(instance, key)
        self.names = list(names)
        self.now_touched = clock.now() if now is None else now
        self.changed = {field.name: field.encode(self.now_touched) for field in self.fields}

    #: another write of the record in the same step, if there is one; and whether that sets the
    #: moments as well, or deletes the record
    _other: Operation | None = None
    _is_done: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return () if self._other is not None else super().keys

    def goes_with(self, other: Operation) -> bool:
        if isinstance(other, Touch):
            # Each of them has a moment and an index of its own, unless one index covers both.
            return self.changed.keys().isdisjoint(other.changed) and self._covered.isdisjoint(
                other._covered
            )
        if other.renews(self.changed):
            return True
        if not self._is_plain or other.left is not None:
            return False
        # What else writes these puts their indexes right, by the moments that it believes in.
        return not other.gives_up(self.options.decision(frozenset(self.changed)).names)

    def join(self, other: Operation) -> None:
        if not isinstance(other, Touch):
            self._other = other
            self._is_done = other.renews(self.changed)

    @property
    def _covered(self) -> set[Any]:
        """The indexes of several fields that follow from the moments."""
        return set(self.options.decision(frozenset(self.changed)).composites)

    @property
    def _is_plain(self) -> bool:
        """Whether nothing but their own indexes follows from the moments."""
        options = self.options
        decision = options.decision(frozenset(self.changed))
        own = {field.name for field in decision.fields} == self.changed.keys()
        return own and not decision.composites and not options.save_hooks

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
        if self._is_done:
            batch.guard("exists", self.key)
            return batch
        decision = options.decision(frozenset(self.changed))
        if not self._is_plain:
            # Other entries follow from the moment as well.
            self.put_change(batch, decision, decision.names)
        else:
            # Whatever the moment was before: the later touch wins. So many may touch at once.
            places = dict.fromkeys(chain(*(field.partition_names for field in self.fields)))
            if places:
                self.guard_bytes(batch, places)
            else:
                batch.guard("exists", self.key)
            self.put_hash(batch)
            after = decoded_values(options, {**(self.known or {}), **self.changed}, decision.names)
            for field in self.fields:
                for entry in field.entries(self.key, after)[:1]:
                    entry.add(batch)
        if decision.names:
            put_expiry_as_is(batch, options, self.key)
        return batch

    def put_hash(self, batch: Batch) -> None:
        if self.noting is None:
            super().put_hash(batch)
            return
        # Any: bytes of the hash.
        moments: dict[str, Any] = self.changed
        for name, moment in moments.items():
            put_noted(batch, "decay", name, self.key, "HSET", self.key, name, moment)

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        if step is None or failure.what == "type":
            raise failure.error()
        if failure.what != "holds":
            raise not_stored(self.key)
        self.refresh(failure.stored(self.options.index_names))

    def finish(self, replies: Sequence[Reply]) -> Any:
        other = self._other
        if self._is_done and isinstance(other, Change):
            # What it writes is the moment.
            self.changed = {name: other.changed[name] for name in self.changed}
            self.now_touched = self.fields[0].decode(self.changed[self.fields[0].name])
        if not self._is_done or isinstance(other, Change):
            self._take_over(persisted=True)
        return self.now_touched

    def leave(self, queued: QueuedCommits) -> None:
        queued.put(self.key, self.known or {}, self.changed)

    def queue_up(self) -> None:
        self._take_over(persisted=False)

    def _take_over(self, *, persisted: bool) -> None:
        self.note_unconfirmed(persisted=persisted)
        self.instance._stored.update(self.changed)
        for field in self.fields:
            vars(self.instance)[field.name] = field.decode(self.changed[field.name])
