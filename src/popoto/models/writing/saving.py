"""`Saving`: one save under way, of a new record, a changed one, or one that moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Plan, Reply
from popoto.exceptions import NotStoredError, RecordGoneError
from popoto.models.beside.expiry import note_applied, put_expiry
from popoto.models.beside.former import Former
from popoto.models.beside.pointers import put_moved_pointers
from popoto.models.reading.related import report_referrers
from popoto.models.record.decision import Decision
from popoto.models.record.loading import as_stored, read_commands, stored_of
from popoto.models.record.record import Record
from popoto.models.record.record_keys import other_keys
from popoto.models.record.stored_form import changed_values, encoded, encoded_values
from popoto.models.writing.change import Change
from popoto.models.writing.claims import matched, taken
from popoto.models.writing.contents import as_commit, settle_contents
from popoto.models.writing.expecting import expected_bytes, met_otherwise, next_version
from popoto.models.writing.hooks import call_delete_hooks
from popoto.models.writing.operation import already_exists, looked_up, not_stored, read_stored
from popoto.models.writing.partition import Claimed
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.unconfirmed import not_carried_out


class Saving(Change):
    """A save. `names` are the fields of a partial one."""

    what = cause = "save"
    #: what the caller (or the model's version) demands of the stored bytes, and the guard
    expected: Mapping[str, bytes] = MappingProxyType({})
    _expectation: Step | None = None
    #: whether what is believed is only what waits in the same pipeline
    _is_assumed = False
    #: whether no key field has a value, so that it must not replace a record that has none either
    has_no_key = False
    _is_sure = False  #: whether it has been looked at
    _claimed: Claimed | None = None  #: the partition of a record that was not read

    def __init__(
        self, instance: Record, request: SaveRequest, names: list[str] | None, key: str
    ) -> None:
        super().__init__(instance, key)
        self.request = request
        self.sets_clocks = not request.skip_auto_now
        if self.options.save_hooks:
            self.hook_arguments = {"ignore_errors": request.ignore_errors, **request.hook_arguments}
        if names is not None:
            self.partial = True
            self.names = names
            if self.known is None:
                self.unknown_key = self.key
                self._claimed = Claimed.of(instance, f"save(update_fields={names!r})", names)
        if self.known is not None:
            self.old_key = instance._redis_key or self.key
        #: whether the key was to change, even where the record turns out to be gone
        self.migrates = self.has_sequel = self.old_key != self.key
        if self.options.spelled_keys and (self.known is None or self.migrates):
            self.other_keys = other_keys(instance)
        if self.known is not None and not self.partial:
            self.changed = changed_values(instance, self.names)
        else:
            self.changed = encoded_values(instance, self.names)
        if self.migrates:
            # Another writer may have stored other values that make the same key.
            self.changed |= encoded_values(instance, self.options.key_names)
        self.former = Former(is_known=request.pipeline is not None)
        if self.options.preparing_fields:
            self.is_ready = False
        if request.expected is not None or self.options.version_field is not None:
            self.expected = expected_bytes(instance, request.expected)

    @property
    def keys(self) -> tuple[str, ...]:
        own = (self.key,) if self.key == self.old_key else (self.key, self.old_key)
        return (*own, *self.other_keys) if self.other_keys else own

    @property
    def needs_record(self) -> bool:
        return self.partial

    @property
    def moves(self) -> bool:
        """Whether a stored record goes to another key."""
        return self.known is not None and self.old_key != self.key

    # Before the first try ---------------------------------------------------------------

    def take_stored(self, stored: Mapping[str, Stored] | None) -> None:
        if not stored:
            raise self._not_stored()
        self.refuse_other_key_values(stored)
        self.known = stored

    def confirm(self, queued: QueuedCommits | None = None) -> Plan[None]:
        """Write again what was queued on a pipeline that, as it turns out, was not carried out.

        `queued`: what waits in the pipeline into which this goes, where it goes into one.
        """
        if self.known is None or self.partial:
            return
        self.unsettled = MappingProxyType({})
        for name in (yield from not_carried_out(self, queued)):
            self.changed[name] = encoded(self.instance, name)

    def look(self, queued: QueuedCommits) -> Plan[None]:
        options, key, old_key = self.options, self.key, self.old_key
        if self._claimed is not None:
            yield from self._claimed.look(old_key, queued)
        if self.instance._unconfirmed:
            yield from self.confirm(queued)
        values, *lists, note, is_listed, taken_key = yield from looked_up(
            [
                *read_commands(options, old_key),
                ("HGET", options.expiry_values_key, key),
                ("SISMEMBER", options.class_set_key, key),
                ("EXISTS", key),
            ],
            options.shard,
        )
        held = stored_of(options, values, lists)
        self.possible = (held or {}, *queued.versions.get(old_key, ()))
        stored = queued.records.get(old_key, held)
        believed = stored or {}
        # As of a stored record, what entries follow from and no more: it may be dropped.
        known = {name: believed[name] for name in options.index_names if name in believed}
        if known and self.known is not None and old_key in queued.records:
            # For this batch alone: the instance takes nothing over that may never be stored.
            self._is_assumed = True
            others = self.known.keys() - options.index_names
            self.known = {**{name: self.known[name] for name in others}, **known}
        else:
            self._believe(known if known or (stored and self.known) else None)
        if key in queued.records:
            taken_key = queued.records[key] is not None
        elif not taken_key:
            self._learn_former(note or b"", is_listed=bool(is_listed))
        if taken_key and self.moves:
            self._meet_existing({})

    def make_sure(self, names: Iterable[str]) -> Plan[bool]:
        if self._is_sure or self.known is None or all(name in self.changed for name in names):
            return False
        self._is_sure = True
        (stored,) = yield from read_stored([(self.options, self.old_key)])
        self._believe(stored)
        return True

    def _believe(self, stored: Mapping[str, Stored] | None) -> None:
        if self.known is None:
            if self.partial:
                self.take_stored(stored)
            elif stored is not None:
                self._meet_existing(stored)
        elif stored is None:
            self._start_anew()
        else:
            self.refresh(stored)

    # Each try ----------------------------------------------------------------------------

    def get_ready(self) -> Plan[None]:
        if self.former.is_wanted:
            self.is_ready = not self.options.preparing_fields
            yield from self.former.find(self.options, self.key)

    def batch(self) -> Batch:
        batch = Batch(self.noting)
        options, known = self.options, self.known
        self.shows = False
        if self._claimed is not None:
            self._claimed.put(batch, self.old_key)
        if self.changed and options.version_field is not None:
            self.changed.update(next_version(options, known))
        if known is None:
            if self.request.unmatched is not None:
                self.request.unmatched.put(batch)
            self._guard_key(batch)
            self._put_new(batch)
        elif self.old_key != self.key:
            self.guard_bytes(batch, options.index_names)
            self._guard_key(batch)
            self._put_move(batch)
        else:
            decision = options.decision(frozenset(self.changed))
            self.shows = self._shows(decision)
            self.put_change(batch, options.whole if self.upsert else decision, decision.names)
        self._put_expiry(batch)
        if self.expected:
            flat = [part for pair in self.expected.items() for part in pair]
            self._expectation = batch.guards[batch.guard("holds", self.old_key, *flat)]
        if options.commit_hooks:
            self._call_commit_hooks(batch)
        return batch

    def _guard_key(self, batch: Batch) -> None:
        """Demand that no record is stored under a new key, nor under that of equal values."""
        self.former.guard(batch, self.options, self.key)
        for key in self.other_keys:
            if key != self.old_key:
                batch.guard("absent", key)

    def _shows(self, decision: Decision) -> bool:
        """Whether stored bytes tell that the commit was carried out, if its reply is lost.

        They do where every written field is one that entries follow from, which are read
        then; a new record is not told from another creator's, and what mixins add (an event)
        is not seen.
        """
        return decision.covers_change and not (self.expected or self.options.commit_hooks)

    def _call_commit_hooks(self, batch: Batch) -> None:
        commit = as_commit(
            self,
            values=self.values(self.changed),
            as_stored=partial(as_stored, self.instance, self.old_key, self.known or {}),
        )
        for hook in self.options.commit_hooks:
            hook(self.instance, batch, commit)

    def _put_expiry(self, batch: Batch) -> None:
        is_new = self.known is None
        put_expiry(batch, self.instance, self.key, is_new=is_new, replaces=self.upsert)

    def _put_new(self, batch: Batch) -> None:
        self.refuse_deferred()
        new = self.options.entries(self.key, self.values(self.changed))
        self.guard_shard(batch)
        self.put_claims(batch, new, None)
        self.put_hash(batch)
        self.options.put_member(batch, self.key)
        former = self.former
        former.put_keys_away(batch, self.options, self.key)
        self.put_lists(batch)
        left = former.put_away(batch, self.options, self.key)
        self.put_entries(batch, left, new, heal=bool(former.note), begins=True)

    def _put_move(self, batch: Batch) -> None:
        options = self.options
        old = options.entries(self.old_key, self.values({}))
        new = options.entries(self.key, self.values(self.changed))
        self.put_claims(batch, new, None)
        put_moved_pointers(batch, new, self.old_key, self.key)
        batch.put("MOVE", self.old_key, KeyArgument(self.key))
        self.put_hash(batch)
        options.put_kinds(batch, self.old_key)
        options.put_kinds(batch, self.key)
        old_companions = options.companion_keys(self.old_key)
        for source, target in zip(old_companions, options.companion_keys(self.key), strict=True):
            batch.put("MOVE", source, KeyArgument(target))
        options.remove_member(batch, self.old_key)
        options.put_member(batch, self.key)
        batch.put("ZREM", options.expiry_key, self.old_key)
        batch.put("HDEL", options.expiry_values_key, self.old_key)
        self.put_lists(batch)
        call_delete_hooks(batch, self.instance, self.old_key, self.request.hook_arguments)
        left = self.former.put_away(batch, options, self.key)
        self.put_entries(batch, [*old, *left], new, heal=bool(self.former.note))

    # Learning from a failed guard -----------------------------------------------------------

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        what = failure.what
        if step is None or what == "type":
            raise failure.error()
        if self._claimed is not None:
            self._claimed.learn(failure, step)
        if self.expected and (step is self._expectation or what == "exists"):
            self.expected = met_otherwise(
                self.options, self.old_key, self.expected, failure, self.changed
            )
        elif what in ("claim", "slot"):
            raise taken(self.options, step, failure)
        elif what == "matched":
            raise matched(self.options, failure)
        elif what == "note":
            self._learn_former(failure.details[1])
        elif what == "orphan":
            self._learn_former(b"", is_listed=True)
        elif what == "exists":
            if not self.is_first(step):
                self._start_anew()
        elif what == "holds":
            self.refresh(failure.stored(self.options.index_names))
        else:
            self._meet_existing(failure.stored(self.options.index_names), self.told_key(failure))

    def _learn_former(self, note: bytes, *, is_listed: bool = False) -> None:
        self.former.take(note)
        if is_listed and not note:
            self.former.follow()
        if self.former.is_wanted:
            self.is_ready = False

    def _start_anew(self) -> None:
        """The record is gone: write it whole, if that is what the caller wants."""
        if self.partial:
            raise self._not_stored()
        # One whose save only ever waited in pipelines may never have been stored.
        if self.instance._is_persisted and not self.request.recreate:
            raise self._not_stored()
        self.changed = encoded_values(self.instance, self.options.stored_names)
        self.known = None
        self.upsert = False
        self.old_key = self.key

    def _meet_existing(self, current: Mapping[str, Stored], key: str = "") -> None:
        """A record is stored under the key of a new instance, or of a moving one.

        `key`: where that is, if the key values have several texts.
        """
        if self.request.create_only or self.migrates:
            raise already_exists(
                self,
                "choose another key, or delete that record first"
                if self.migrates
                else "save() or update_or_create() change it, create(overwrite=True) replaces it",
            )
        self.refuse_other_key_values(current)
        if self.has_no_key:
            raise already_exists(
                self,
                f"set {', '.join(self.options.key_names)}, which has no value; "
                "create(overwrite=True) replaces what is stored",
            )
        self.known = current
        self.upsert = True
        self.go_to(key)
        # What is left under the key from now on is this record's, should it go as well.
        self.former = Former(is_known=self.queued)

    def _not_stored(self) -> NotStoredError:
        told = f"save(update_fields={self.names!r}) updates a record; " if self.partial else ""
        if self.instance._is_persisted:
            advice = f". {told}save(recreate=True) writes it whole."
            return not_stored(self.old_key, advice, RecordGoneError)
        return not_stored(self.old_key, f". {told}save() writes it whole.")

    # Once it is carried out --------------------------------------------------------------------

    def finish(self, replies: Sequence[Reply]) -> int:
        result = 0
        if self.moves:
            # Under the new key, every field is new.
            result = len({*self.changed, *(self.known or {})}.intersection(self.options.hash_names))
        elif replies and self.changed.keys() - self.options.list_names:
            result = replies[0] if isinstance(replies[0], int) else 0
        self._take_over(persisted=True)
        return result

    def after(self) -> Plan[None]:
        if self.moves:
            yield from report_referrers(type(self.instance), self.old_key, self.key)

    @property
    def left(self) -> tuple[str, str | None] | None:
        return (self.old_key, self.key) if self.moves else None

    def leave(self, queued: QueuedCommits) -> None:
        if self.moves:
            queued.move(self.old_key, self.key)
        queued.put(self.key, self.known or {}, self.changed)

    def queue_up(self) -> None:
        self._take_over(persisted=False)

    def _take_over(self, *, persisted: bool) -> None:
        instance = self.instance
        stored = instance._stored
        self.note_unconfirmed(persisted=persisted)
        if self.known is not None and not self._is_assumed:
            told, later = self.known, self.waiting
            stored.update({n: now for n, now in told.items() if n not in later} if later else told)
        stored.update(self.changed)
        if self.contents:
            settle_contents(self)
        if self.options.version_field in self.changed:
            vars(instance).pop(self.options.version_field, None)
        if self.options.ttl_policy != "reset":
            note_applied(instance)
        for name in self.options.list_names:
            # The rest goes even where the first items are as stored and nothing was written.
            if name in self.names:
                instance._keep_capped(name)
        if not self.partial:
            vars(instance).pop("_references", None)
            instance._last_full_save = dict(stored)
        instance._redis_key = self.key
        if persisted:
            instance._is_persisted = True
