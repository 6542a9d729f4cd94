"""The commit of one save, built again with fresh knowledge when another writer was faster.

A save starts from what it believes is stored under the key: nothing (a new
instance) or the bytes it was loaded with. The commit guards on that belief. Where
it is wrong, the script answers with what is stored, and the save is built again
on it, so index entries always follow from what the server holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure, KeyArgument
from popoto.engine.codec import NIL
from popoto.engine.request import Plan, Reply, Request
from popoto.exceptions import AlreadyExistsError, ConflictError, ModelException, UniquenessError
from popoto.fields.coercion import describe
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import Entry, SlotEntry, replace
from popoto.models.beside.expiry import (
    decoded_values,
    guard_absent,
    left_entries,
    note_applied,
    put_expiry,
    put_forgetting,
)
from popoto.models.beside.leftovers import Place, find_places, put_removals
from popoto.models.reading.related import report_referrers
from popoto.models.record.checking import Stored, changed_values, encoded, key_field_that_differs
from popoto.models.record.loading import indexed_of
from popoto.models.record.options import Decision
from popoto.models.record.record import Record
from popoto.models.writing import queueing
from popoto.models.writing.contents import Contents, settle_contents, store_contents
from popoto.models.writing.expecting import (
    Expected,
    conflict,
    expected_bytes,
    next_version,
    said_otherwise,
)
from popoto.models.writing.hooks import call_delete_hooks, call_save_hooks, follow_up

#: How often a save is built again because another writer was faster.
MAX_ATTEMPTS = 32


@dataclass(slots=True)
class SaveRequest:
    """The arguments of a save."""

    pipeline: Any = None
    ignore_errors: bool = False
    skip_auto_now: bool = False
    update_fields: Sequence[str] | None = None
    migrate_key: bool = False
    #: refuse to replace a record that is stored under the key already
    create_only: bool = False
    #: optimistic locking: what the stored record has to hold
    expected: Expected = None
    hook_arguments: dict[str, Any] = field(default_factory=dict[str, Any])


class SaveCommit:
    """One save under way: what is believed to be stored, and what is to be written."""

    def __init__(self, instance: Record, request: SaveRequest, names: list[str] | None) -> None:
        self.instance = instance
        self.options = instance._meta
        self.request = request
        self.partial = names is not None
        self.names = self.options.stored_names if names is None else names
        self.key: str = instance._current_key
        self.known: dict[str, Stored] | None = dict(instance._stored) or None
        self.old_key: str = (instance._redis_key or self.key) if self.known else self.key
        if self.known is None:
            self.changed = {name: encoded(instance, name) for name in self.names}
        elif self.partial:
            self.changed = {name: encoded(instance, name) for name in self.names}
            self._add_changed_keys()
        else:
            self.changed = changed_values(instance, self.names)
        self.upsert = False
        #: whether the key was to change, even where the record turns out to be gone
        self.migrates = self.old_key != self.key
        #: what an expired record left under the key, as the registry notes it
        self.note = b""
        #: where one stands that left no note; looked for when the class set tells of it
        self.leftovers: list[Place] = []
        self.knows_leftovers = request.pipeline is not None
        self.guards: list[tuple[str, Any]] = []
        self.contents: Contents = {}
        #: what the caller (or the model's version) demands of the stored bytes
        self.expected = expected_bytes(instance, request.expected)
        self.expected_guard = -1

    @property
    def moves(self) -> bool:
        return self.known is not None and self.old_key != self.key

    def _add_changed_keys(self) -> None:
        if self.old_key != self.key:
            for name in self.options.key_names:
                self.changed.setdefault(name, encoded(self.instance, name))

    # The plan ----------------------------------------------------------------------

    def plan(self) -> Plan[Any]:
        if self.partial and self.known is None:
            yield from self._read_stored()
        if self.request.pipeline is not None:
            return (yield from queueing.queue_save(self, self.request.pipeline))
        if self.instance._unconfirmed:
            yield from queueing.confirm(self)
        for _ in range(MAX_ATTEMPTS):
            yield from store_contents(self)
            batch = self.batch()
            (reply,) = yield Request(
                (batch.call(),), self.options.shard, repeatable=self._is_repeatable()
            )
            outcome = Batch.outcome(reply)
            if not isinstance(outcome, GuardFailure):
                yield from follow_up(batch, self.options)
                result, moved_from = self._result(outcome), self.old_key if self.moves else None
                self.remember(persisted=True)
                if moved_from is not None:
                    yield from report_referrers(self.options.model_name, moved_from, self.key)
                return result
            self.learn(outcome)
            if outcome.what == "orphan":
                self.leftovers = yield from find_places(self.options, self.key)
        raise ConflictError(
            f"{self.key!r} was changed by other writers {MAX_ATTEMPTS} times while it was being "
            "saved; nothing was written. Save it again."
        )

    def _read_stored(self) -> Plan[None]:
        """Learn what is stored, for a partial save of an instance that was never loaded."""
        (values,) = yield Request.of(
            ("HMGET", self.old_key, *self.options.index_names),
            shard=self.options.shard,
            repeatable=True,
        )
        if not any(value is not None for value in values):
            raise self._not_stored()
        self.known = indexed_of(self.options, values)
        self._refuse_other_key_values(self.known)

    def _refuse_other_key_values(self, current: dict[str, Stored]) -> None:
        differs = key_field_that_differs(self.instance, current)
        if differs is not None:
            mine = encoded(self.instance, differs.name)
            raise ModelException(
                f"{differs.label}: {describe(differs.decode(mine))} and the stored "
                f"{describe(differs.decode(current[differs.name]))} make the same record key "
                f"{self.key!r}; nothing was written. Use another key value."
            )

    def _not_stored(self) -> ModelException:
        return ModelException(
            f"{self.old_key!r} is not stored (or expired, or was deleted), so there is nothing "
            f"that save(update_fields={self.names!r}) could update; save() writes it whole"
        )

    def _is_repeatable(self) -> bool:
        """Whether carrying the commit out twice would do no harm.

        A repeated guard on every written field fails if the first try was carried
        out, and then finds the new values stored; a new record is not told from
        another creator's, fields without guard could undo a later write, and what mixins
        add (an event) would be there twice.
        """
        if self.known is None or self.moves or self.expected or self.options.commit_hooks:
            return False
        return self.options.decision(frozenset(self.changed)).covers(self.changed)

    def _result(self, outcome: list[Reply]) -> int:
        written = [name for name in self.options.hash_names if name in self.changed]
        if self.moves:
            # Under the new key, every field is new.
            return len({*written, *(self.known or {})}.intersection(self.options.hash_names))
        return int(outcome[0]) if written else 0

    def remember(self, *, persisted: bool) -> None:
        instance = self.instance
        stored = instance._stored
        queueing.note_unconfirmed(self, persisted=persisted)
        if self.known is not None:
            for name, value in self.known.items():
                stored[name] = value
        stored.update(self.changed)
        settle_contents(self)
        if self.options.version_field in self.changed:
            vars(instance).pop(self.options.version_field, None)
        note_applied(instance)
        for name in self.options.list_names:
            if name in self.changed:
                instance._keep_capped(name)
        if not self.partial:
            vars(instance).pop("_references", None)
        instance._redis_key = self.key
        instance.obsolete_redis_key = None
        if persisted:
            instance._is_persisted = True
        if not self.partial:
            instance._last_full_save = dict(stored)

    # Building ------------------------------------------------------------------------

    def batch(self) -> Batch:
        batch = Batch()
        self.guards = []
        options = self.options
        if self.changed:
            self.changed.update(next_version(options, self.known))
        if self.known is None:
            guard_absent(batch, options, self.key, self.note, known=self.knows_leftovers)
            self._put_new(batch)
        elif self.moves:
            self._guard_bytes(batch, options.index_names)
            guard_absent(batch, options, self.key, self.note, known=self.knows_leftovers)
            self._put_move(batch)
        else:
            decision = options.decision(frozenset(self.changed))
            if decision.names:
                self._guard_bytes(batch, decision.names)
            else:
                batch.guard("exists", self.key)
            self._put_change(batch, options.whole if self.upsert else decision)
        put_expiry(batch, self.instance, self.key, is_new=self.known is None, replaces=self.upsert)
        if self.expected:
            flat = [part for pair in self.expected.items() for part in pair]
            self.expected_guard = batch.guard("holds", self.old_key, *flat)
        self._call_commit_hooks(batch)
        return batch

    def _call_commit_hooks(self, batch: Batch) -> None:
        if not self.options.commit_hooks:
            return
        commit = Commit(
            "create" if self.known is None else "update",
            self.key,
            self.old_key,
            tuple(self.names) if self.partial else None,
            queued=self.request.pipeline is not None,
        )
        for hook in self.options.commit_hooks:
            hook(self.instance, batch, commit)

    def _guard_bytes(self, batch: Batch, names: Iterable[str]) -> None:
        known = self.known or {}
        pairs = [part for name in names for part in (name, known.get(name, b""))]
        batch.guard("holds", self.old_key, *pairs)

    def _values(self, overlay: dict[str, Stored]) -> dict[str, Any]:
        return decoded_values(self.options, {**(self.known or {}), **overlay})

    def _put_hash(self, batch: Batch, key: str) -> None:
        flat = [
            part
            for name in self.options.hash_names
            if name in self.changed
            for part in (name, self.changed[name])
        ]
        if flat:
            batch.put("HSET", key, *flat)

    def _put_lists(self, batch: Batch, key: str) -> None:
        for name in self.options.list_names:
            if name in self.changed:
                list_key = keys.capped_list_key(key, name)
                batch.put("DEL", list_key)
                if self.changed[name]:
                    batch.put("RPUSH", list_key, *self.changed[name])

    def _put_new(self, batch: Batch) -> None:
        new = self.options.entries(self.key, self._values(self.changed))
        self._guard_uniqueness(batch, new)
        self._put_hash(batch, self.key)
        self.options.put_member(batch, self.key)
        self._put_lists(batch, self.key)
        self._put_entries(batch, self._left(batch), new)

    def _left(self, batch: Batch) -> list[Entry]:
        """The entries of an expired record that stood under the key, which go with this commit."""
        put_removals(batch, self.leftovers, self.key)
        if not self.note:
            return []
        put_forgetting(batch, self.options, self.key)
        return left_entries(self.options, self.key, self.note)

    def _put_change(self, batch: Batch, decision: Decision) -> None:
        old: list[Entry] = []
        new: list[Entry] = []
        if decision.names:
            before = decoded_values(self.options, self.known or {}, decision.names)
            old = self.options.entries(self.key, before, decision)
            after = decoded_values(
                self.options, {**(self.known or {}), **self.changed}, decision.names
            )
            new = self.options.entries(self.key, after, decision)
        self._guard_uniqueness(batch, new)
        self._put_hash(batch, self.key)
        if self.upsert:
            self.options.put_member(batch, self.key)
        self._put_lists(batch, self.key)
        self._put_entries(batch, old, new)

    def _put_move(self, batch: Batch) -> None:
        options = self.options
        old = options.entries(self.old_key, self._values({}))
        new = options.entries(self.key, self._values(self.changed))
        self._guard_uniqueness(batch, new)
        batch.put("MOVE", self.old_key, KeyArgument(self.key))
        self._put_hash(batch, self.key)
        old_companions = options.companion_keys(self.old_key)
        for source, target in zip(old_companions, options.companion_keys(self.key), strict=True):
            batch.put("MOVE", source, KeyArgument(target))
        options.remove_member(batch, self.old_key)
        options.put_member(batch, self.key)
        batch.put("ZREM", options.expiry_key, self.old_key)
        batch.put("HDEL", options.expiry_values_key, self.old_key)
        self._put_lists(batch, self.key)
        call_delete_hooks(batch, self.instance, self.old_key, self.request.hook_arguments)
        self._put_entries(batch, [*old, *self._left(batch)], new)

    def _put_entries(self, batch: Batch, old: Sequence[Entry], new: Sequence[Entry]) -> None:
        """Queue the change of entries; fields with an `on_save` of their own add theirs."""
        heal = self.upsert or bool(self.note)
        hooked = [
            each for each in self.options.save_hooks if not self.partial or each.name in self.names
        ]
        if not hooked:
            replace(batch, old, new, heal=heal)
            return
        values = self._values(self.changed)
        theirs = [entry for each in hooked for entry in each.entries(self.key, values)]
        replace(batch, old, new, added_elsewhere=theirs, heal=heal)
        arguments = {"ignore_errors": self.request.ignore_errors, **self.request.hook_arguments}
        call_save_hooks(batch, self.instance, hooked, arguments)

    # Uniqueness ------------------------------------------------------------------------

    def _guard_uniqueness(self, batch: Batch, new: Sequence[Entry]) -> None:
        touched = None if self.known is None or self.moves or self.upsert else set(self.changed)
        for unique in self.options.unique_fields:
            value = self._stored_now(unique.name)
            if (
                value is None
                or value == NIL
                or (touched is not None and unique.name not in touched)
            ):
                continue
            decoded = unique.decode(value)
            self.guards.append(("field", unique))
            batch.guard(
                "claim",
                unique.value_set_key(decoded),
                self.key,
                self.old_key,
                unique.name,
                value,
                unique.coverage_argument,
            )
        for entry in new:
            if isinstance(entry, SlotEntry) and entry.alternative:
                self.guards.append(("index", entry))
                entry.guard(batch, self.old_key)

    def _stored_now(self, name: str) -> Stored:
        return self.changed.get(name, (self.known or {}).get(name))

    def uniqueness_error(self, failure: GuardFailure, first: int) -> UniquenessError:
        kind, what = self.guards[failure.guard - first]
        holder = failure.details[0].decode("utf-8", "replace")
        if kind == "field":
            value = what.decode(self._stored_now(what.name))
            return UniquenessError(
                f"{what.label} must be unique: {describe(value)} already exists in {holder!r}; "
                "nothing was written"
            )
        names = ", ".join(str(name) for name in what.values[::2])
        return UniquenessError(
            f"Unique index violation: a {self.options.model_name} with these values of "
            f"({names}) already exists: {holder!r}; nothing was written"
        )

    # Learning from a failed guard ----------------------------------------------------------

    def learn(self, failure: GuardFailure) -> None:
        """Correct what is believed to be stored, or raise what the caller has to know."""
        what = failure.what
        if self.expected and (failure.guard == self.expected_guard or what == "exists"):
            self._learn_unexpected(failure)
            return
        if what in ("claim", "slot"):
            fixed = 2 if self.moves else 1
            raise self.uniqueness_error(failure, fixed)
        if what == "type":
            key, found, expected = (_text(each) for each in failure.details)
            raise ModelException(
                f"{self.key!r} cannot be saved: the key {key!r} holds a {found} where a "
                f"{expected} belongs; nothing was written. Rename or delete that key."
            )
        if what == "note":
            self.note = failure.details[1]
        elif what == "orphan":
            self.knows_leftovers = True
        elif what == "exists":
            if self.partial:
                raise self._not_stored()
            self._start_anew()
        elif what == "holds":
            self._refresh(failure.stored(self.options.index_names))
        else:
            self.meet_existing(failure.stored(self.options.index_names))

    def _learn_unexpected(self, failure: GuardFailure) -> None:
        """Raise the conflict, unless the stored bytes say in another form what was expected."""
        stored = failure.stored(self.options.hash_names) if failure.what == "holds" else None
        if stored is not None:
            same = said_otherwise(self.options, self.expected, stored)
            if same is not None:
                self.expected = same
                return
        raise conflict(self.options, self.old_key, self.expected, stored, self.changed)

    def _start_anew(self) -> None:
        """The record is gone: write it whole."""
        self.changed = {name: encoded(self.instance, name) for name in self.options.stored_names}
        self.known = None
        self.upsert = False
        self.old_key = self.key

    def _refresh(self, current: dict[str, Stored]) -> None:
        """Another writer changed the record: take over what this save does not write."""
        known = self.known or {}
        values = vars(self.instance)
        for name in self.options.index_names:
            now = current.get(name)
            if name not in self.changed and known.get(name) != now:
                if name in values and encoded(self.instance, name) == known.get(name):
                    # What was set but is not saved now stays.
                    del values[name]
                if now is None:
                    self.instance._stored.pop(name, None)
            if now is None:
                known.pop(name, None)
            else:
                known[name] = now
        self.known = known

    def meet_existing(self, current: dict[str, Stored]) -> None:
        """A record is stored under the key of a new instance, or of a moving one."""
        if self.request.create_only or self.migrates:
            advice = (
                "choose another key, or delete that record first"
                if self.migrates
                else "save() or update_or_create() change it, create(overwrite=True) replaces it"
            )
            raise AlreadyExistsError(
                f"{self.options.model_name} {self.key!r} already exists; nothing was written. "
                f"To go on, {advice}."
            )
        self._refuse_other_key_values(current)
        self.known = current
        self.upsert = True

    def believe(self, stored: dict[str, Stored] | None) -> None:
        """Take this for what is stored (None = nothing), where that can be known beforehand."""
        if self.known is None:
            if stored is not None:
                self.meet_existing(stored)
        elif stored is None:
            if self.partial:
                raise self._not_stored()
            self._start_anew()
        else:
            self._refresh(stored)


def _text(value: Reply) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
