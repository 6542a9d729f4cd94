"""`Increment`: one addition to a stored number under way.

It is one command where the server can do it exactly: ints up to 2**53 and floats, in fields
without an index or with a sorted one. Any number of writers can add at the same time then.
Everything else (larger ints, Decimals, fields in other indexes, models with a version) is
computed here and swapped for the stored bytes, again if another writer was faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, QueuedCommits, Step
from popoto.engine.request import Plan, Reply
from popoto.fields.keeping.noting import put_noted
from popoto.models.beside.expiry import put_expiry_as_is
from popoto.models.record.record import Record
from popoto.models.record.stored import named_field, stored_key
from popoto.models.record.stored_form import decoded_values
from popoto.models.writing.change import Change
from popoto.models.writing.claims import taken
from popoto.models.writing.expecting import next_version
from popoto.models.writing.numbers import added, checked_delta
from popoto.models.writing.operation import looked_up, not_stored


class Increment(Change):
    """An addition, by the server or as a commit that swaps the stored bytes for the sum's."""

    cause = "increment"

    def __init__(self, instance: Record, name: str, delta: Any) -> None:
        options = instance._meta
        self.field = named_field(options, name)
        key = stored_key(instance, f"{self.field.label} cannot be incremented")
        self.delta = checked_delta(self.field, delta)
        # The record is where it is stored, whatever the key fields say in memory.
        super().__init__(instance, key)
        self.names = [name]
        self.changed = {}
        self.partial = True
        self.what = f"increment of {name!r}"
        #: the sum, once it is known
        self.value: Any = None
        self._by_server = True

    # Before the first try ------------------------------------------------------------------

    def look(self, queued: QueuedCommits) -> Plan[None]:
        stored = queued.records.get(self.key)
        if self.key not in queued.records:
            names = self.options.hash_names
            (values,) = yield from looked_up([("HMGET", self.key, *names)], self.options.shard)
            pairs = zip(names, values, strict=True)
            stored = {name: value for name, value in pairs if value is not None}
        if not stored:
            raise not_stored(self.key)
        self.known = {**(self.known or {}), **stored}

    # Each try ------------------------------------------------------------------------------

    def batch(self) -> Batch:
        batch = self._batch_of_server() if self._by_server else None
        self._by_server = batch is not None
        if batch is None or self.queued:
            # What waits in a pipeline is taken for granted meanwhile.
            self._add()
        return batch or self._batch_of_swap()

    def _add(self) -> None:
        known = self.known or {}
        self.value = added(self.field, known.get(self.field.name), self.delta)
        self.changed = {
            self.field.name: self.field.encode(self.value),
            **next_version(self.options, known),
        }

    def _batch_of_swap(self) -> Batch:
        decision = self.options.decision(frozenset(self.changed))
        batch = Batch(self.noting)
        with _Shown(self):
            self.put_change(batch, decision, dict.fromkeys((*self.changed, *decision.names)))
        if decision.names:
            put_expiry_as_is(batch, self.options, self.key)
        return batch

    def _batch_of_server(self) -> Batch | None:
        """The batch by which the server adds; None where it cannot do that exactly."""
        field, options = self.field, self.options
        decision = options.decision(frozenset({field.name}))
        is_alone = not decision.composites and decision.fields in ((), (field,))
        if not is_alone or options.version_field or field in options.save_hooks:
            return None
        addition = field.server_addition(self.delta)
        if addition is None:
            return None
        batch = Batch(self.noting)
        index: tuple[str, ...] = ()
        if addition.order_key is not None:
            if field.depends_on:
                self.guard_bytes(batch, field.depends_on)
            others = decoded_values(options, self.known or {}, field.depends_on)
            index = (KeyArgument(addition.order_key(others)), self.key)
        amount = (field.name, addition.delta, addition.kind)
        batch.guard("addable", self.key, *amount)
        if self._notes_clock:
            put_noted(batch, "decay", field.name, self.key, "ADD", self.key, *amount, *index)
        else:
            batch.put("ADD", self.key, *amount, *index)
        if index:
            put_expiry_as_is(batch, options, self.key)
        return batch

    @property
    def _notes_clock(self) -> bool:
        return self.noting is not None and self.field in self.options.listed("decay")

    def gives_up(self, names: Iterable[str]) -> bool:
        wanted = set(names)
        # The sum need not be known yet.
        return self.field.name in wanted or super().gives_up(wanted)

    def put_hash(self, batch: Batch) -> None:
        if not self._notes_clock:
            super().put_hash(batch)
            return
        pairs: list[Any] = [part for pair in self.changed.items() for part in pair]
        put_noted(batch, "decay", self.field.name, self.key, "HSET", self.key, *pairs)

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        what = failure.what
        if step is None or what == "type":
            raise failure.error()
        if what == "exists":
            raise not_stored(self.key)
        if what in ("claim", "slot"):
            raise taken(self.options, step, failure)
        self.known = failure.stored(self.options.hash_names)
        self._by_server = self._by_server and what == "holds"

    # Once it is carried out ------------------------------------------------------------------

    def finish(self, replies: Sequence[Reply]) -> Any:
        if self._by_server:
            total = cast("bytes", replies[0])
            self.value = self.field.decode(total)
            self.changed = {self.field.name: total}
        self._take_over(persisted=True)
        return self.value

    def leave(self, queued: QueuedCommits) -> None:
        queued.put(self.key, self.known or {}, self.changed)

    def queue_up(self) -> None:
        self._take_over(persisted=False)

    def _take_over(self, *, persisted: bool) -> None:
        instance = self.instance
        self.note_unconfirmed(persisted=persisted)
        instance._stored.update(self.changed)
        for name in self.changed:
            vars(instance).pop(name, None)
        vars(instance)[self.field.name] = self.value


class _Shown:
    """While hooks of the field's own run, the attribute has the value that will be stored."""

    def __init__(self, increment: Increment) -> None:
        self._values = vars(increment.instance)
        self._name = increment.field.name
        self._new = increment.value
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._before = {self._name: self._values[self._name]} if self._name in self._values else {}
        self._values[self._name] = self._new

    def __exit__(self, *_: object) -> None:
        del self._values[self._name]
        self._values.update(self._before)
