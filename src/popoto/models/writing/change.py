"""`Change`: what a save and an increment have in common. Fields of one record are written.

A change starts from what it believes is stored under the key: nothing (a new instance) or
the bytes that the instance was loaded with. Its batch guards on that belief. Where it is
wrong, the script answers with what is stored, and the batch is built again on it, so index
entries always follow from what the server holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.codec import Stored
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.keeping.entries import Entry, replace
from popoto.fields.keeping.stand_in import StandIn
from popoto.models.record.decision import Decision
from popoto.models.record.record import Record
from popoto.models.record.stored_form import decoded_values, encoded, key_field_that_differs
from popoto.models.writing.claims import put_claims
from popoto.models.writing.hooks import call_save_hooks
from popoto.models.writing.operation import Operation, not_stored


class Change(Operation):
    """A write of some fields of one record, and of the entries that follow from them."""

    #: what is believed to be stored; None = nothing
    known: Mapping[str, Stored] | None
    #: the key under which that is stored
    old_key: str
    #: what is to be written
    changed: dict[str, Stored]
    #: the fields that the caller has named, or all that are stored
    names: list[str]
    partial = False
    #: whether moments that it writes are set to now
    sets_clocks = False
    #: whether a new instance meets a stored record, which it replaces
    upsert = False
    #: by field: a text that was put into a content store, and the bytes of its reference
    contents: Mapping[str, tuple[StandIn, bytes]] = MappingProxyType({})
    #: what the record may hold when a pipeline that this waits in has run, or was dropped
    possible: Sequence[Mapping[str, Stored]] = ()
    #: what stands in fields where a pipeline has not been carried out, if it ever will be
    unsettled: Mapping[str, set[Stored | None]] = MappingProxyType({})
    #: fields of these whose value in memory is not stored, by what the server has said
    waiting: frozenset[str] = frozenset()
    #: keywords for the hooks of fields
    hook_arguments: Mapping[str, Any] = MappingProxyType({"ignore_errors": False})

    def __init__(self, instance: Record, key: str) -> None:
        super().__init__(instance, key)
        self.known = dict(instance._stored) if instance._is_stored else None
        if instance._unconfirmed:
            self.unsettled = instance._unconfirmed
        self.old_key = key
        self.names = self.options.stored_names

    def go_to(self, key: str) -> None:
        super().go_to(key)
        if self.known is None or self.upsert:
            self.old_key = self.key

    # What is known --------------------------------------------------------------------

    def now(self, name: str) -> Stored | None:
        """What a field holds once this is written."""
        return self.changed.get(name, (self.known or {}).get(name))

    def values(self, overlay: dict[str, Stored]) -> dict[str, Any]:
        """The values that entries follow from, once `overlay` is written."""
        return decoded_values(self.options, {**(self.known or {}), **overlay})

    def gives_up(self, names: Iterable[str]) -> bool:
        return any(name in self.changed for name in names)

    def renews(self, names: Iterable[str]) -> bool:
        return self.sets_clocks and self.changed.keys() >= set(names)

    def refresh(self, current: Mapping[str, Stored]) -> None:
        """Another writer changed the record: take over what this one does not write."""
        known = dict(self.known or {})
        values = vars(self.instance)
        for name in self.options.index_names:
            now = current.get(name)
            if name not in self.changed and known.get(name) != now:
                if now in self.unsettled.get(name, ()):
                    # No other writer's: what the instance holds waits in a pipeline, or did.
                    self.waiting |= {name}
                elif name in values and encoded(self.instance, name) == known.get(name):
                    # What was set but is not saved now stays.
                    del values[name]
                if now is None and name not in self.waiting:
                    self.instance._stored.pop(name, None)
            if now is None:
                known.pop(name, None)
            else:
                known[name] = now
        self.known = known

    def take_over(self, name: str, now: Stored) -> None:
        """Another writer has stored this, which the instance has once it is written."""
        self.known = {**(self.known or {}), name: now}
        vars(self.instance).pop(name, None)

    def refuse_other_key_values(self, current: Mapping[str, Stored]) -> None:
        """Raise where the record under the key is another one, whose values make the same key."""
        differs = key_field_that_differs(self.instance, current)
        if differs is not None:
            mine = encoded(self.instance, differs.name)
            raise ModelException(
                f"{differs.label}: {describe(differs.decode(mine))} and the stored "
                f"{describe(differs.decode(current[differs.name]))} make the same record key "
                f"{self.key!r}; nothing was written. Use another key value."
            )

    def refuse_deferred(self) -> None:
        """Raise where a record is to be written whole, some fields of which were never loaded."""
        missing = self.instance._deferred - self.changed.keys()
        if missing:
            raise not_stored(
                self.key,
                f": {', '.join(sorted(missing))} had been left out by only(), so it cannot be "
                "written whole",
            )

    def recognizes(self, stored: Mapping[str, Stored]) -> bool:
        if any(stored.get(name) != value for name, value in self.changed.items()):
            return False
        self.refresh(stored)
        return True

    def doubt(self) -> None:
        """What was to be written may be what is stored, whatever the instance believes."""
        instance = self.instance
        if instance._stored:
            kept = dict(instance._unconfirmed or {})
            for name, value in self.changed.items():
                kept[name] = kept.get(name, set()) | {value}
            instance._unconfirmed = kept or None

    def note_unconfirmed(self, *, persisted: bool) -> None:
        """Keep what stood in fields before a pipeline's write of them, which may never happen."""
        instance = self.instance
        if persisted and instance._unconfirmed is None:
            return
        kept = dict(instance._unconfirmed or {})
        for name in self.changed:
            if persisted:
                kept.pop(name, None)
                continue
            # A save is whole where the pipeline deletes the record before it: what the caller
            # has not changed does not wait to be written.
            if self.partial or name in kept or instance._stored.get(name) != self.changed[name]:
                sides = (instance._stored, self.known or {}, *self.possible)
                kept[name] = kept.get(name, set()) | {side.get(name) for side in sides}
        instance._unconfirmed = None if persisted and not self.partial else kept or None

    # Its shard --------------------------------------------------------------------------

    def check_shard(self) -> None:
        name, options = self.options.shard_by, self.options.at(self.key)
        if name is None or options.shard == self.options.shard:
            return
        value = getattr(self.instance, name)
        raise ModelException(
            f"{self.options.by_name[name].label}: {self.old_key!r} cannot move to "
            f"{describe(value)}, which is another shard (Meta.shard_by) and may be on another node "
            "of the cluster; nothing was written. Create a record with the new value, and delete "
            "this one then."
        )

    # Building the batch -----------------------------------------------------------------

    def guard_bytes(self, batch: Batch, names: Iterable[str]) -> None:
        """Demand that these fields still hold what is believed."""
        batch.guard_holds(self.old_key, self.known or {}, names)

    def put_claims(
        self, batch: Batch, entries: Sequence[Entry], names: Iterable[str] | None
    ) -> None:
        """Demand that nobody else holds what has to be unique."""
        if self.options.has_claims:
            # Any: what can be unique is bytes of the hash, not a list.
            values: dict[str, Any] = {**(self.known or {}), **self.changed}
            put_claims(batch, self.options, self.key, self.old_key, values, names, entries)

    def put_hash(self, batch: Batch) -> None:
        """Queue the fields of the record's hash."""
        changed: dict[str, Any] = self.changed
        lists = self.options.list_names
        if lists:
            changed = {name: stored for name, stored in changed.items() if name not in lists}
        if changed:
            batch.put("HSET", self.key, *chain.from_iterable(changed.items()))

    def put_lists(self, batch: Batch) -> None:
        """Queue the fields that are kept in lists of their own."""
        for name in self.options.list_names:
            if name in self.changed:
                list_key = keys.capped_list_key(self.key, name)
                batch.put("KIND", list_key, "list")
                batch.put("DEL", list_key)
                if self.changed[name]:
                    batch.put("RPUSH", list_key, *self.changed[name])

    def put_change(self, batch: Batch, decision: Decision, guarded: Iterable[str]) -> None:
        """Queue what turns the stored record into the changed one, under the same key.

        Demands that the `guarded` fields still hold what is believed.
        """
        options, known = self.options, self.known or {}
        old: list[Entry] = []
        new: list[Entry] = []
        if decision.names:
            before = decoded_values(options, known, decision.names)
            after = decoded_values(options, {**known, **self.changed}, decision.names)
            old = options.entries(self.key, before, decision)
            new = options.entries(self.key, after, decision)
        if guarded:
            self.guard_bytes(batch, guarded)
        else:
            batch.guard("exists", self.key)
        self.put_claims(batch, new, None if self.upsert else self.changed)
        self.put_hash(batch)
        if self.upsert:
            options.put_member(batch, self.key)
        if options.list_names:
            self.put_lists(batch)
        if old or new or options.save_hooks:
            # Of a partial save every named field has its entries put right, changed or not.
            self.put_entries(batch, old, new, heal=self.upsert or self.partial)

    def put_entries(
        self,
        batch: Batch,
        old: Sequence[Entry],
        new: Sequence[Entry],
        *,
        heal: bool,
        begins: bool = False,
    ) -> None:
        """Queue the change of entries; fields with an `on_save` of their own add theirs.

        `begins`: of a new record, where the old ones are those of another one.
        """
        hooked = [
            each for each in self.options.save_hooks if not self.partial or each.name in self.names
        ]
        if not hooked:
            replace(batch, old, new, heal=heal, begins=begins)
            return
        values = self.values(self.changed)
        theirs = [entry for each in hooked for entry in each.entries(self.key, values)]
        replace(batch, old, new, added_elsewhere=theirs, heal=heal, begins=begins)
        call_save_hooks(batch, self.instance, hooked, dict(self.hook_arguments))
