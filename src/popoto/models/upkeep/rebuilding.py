"""`rebuild_indexes`: making every entry follow from the records again, beside live writers.

Nothing is dropped first. Wrong entries are removed and missing ones added one record at a
time, each in a step that is carried out only while the record still holds what was read;
right entries are never touched. So a query finds, at every moment of a rebuild, every
record that it found before and should find, and a writer's change made meanwhile stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Self

from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.engine.scripts import RECOUNT
from popoto.exceptions import StoredDataError
from popoto.fields.keeping.entries import Carried, ScoreEntry, SetEntry, SlotEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.models.beside.expiry import put_expiry_as_is
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.cleaning import clean_companions, delete_companions, remove_orphans
from popoto.models.upkeep.following import following, mend_following
from popoto.models.upkeep.records import Judged, RecordWalk, judge
from popoto.models.upkeep.registry import Registry, check_own_keys
from popoto.models.upkeep.shards import in_turn
from popoto.models.upkeep.sharing import Shared, shared_values, sharing_questions
from popoto.models.upkeep.touches import take_over_touches
from popoto.models.upkeep.walk import EntryWalk, Finding, contradicts
from popoto.models.upkeep.whole import Whole, whole_records
from popoto.models.writing.hooks import call_save_hooks, follow_up
from popoto.models.writing.rows import chunks

logger = logging.getLogger("POPOTO.model_base")

#: How often a record that changes meanwhile is tried again.
_MOST_ATTEMPTS = 32
#: Problems that the result lists; all are logged and counted.
_MOST_PROBLEMS = 1000


class Problem(NamedTuple):
    """A record, or a field of it, that `rebuild_indexes` could not index."""

    key: str
    reason: str


class Rebuilt(int):
    """How many records `rebuild_indexes` has indexed.

    `problems` lists what could not be indexed (the first 1,000 of `problem_count`).
    """

    problems: list[Problem]
    problem_count: int

    @classmethod
    def of(cls, number: int, problems: list[Problem], problem_count: int) -> Self:
        """A number of records, with what could not be indexed."""
        rebuilt = cls(number)
        rebuilt.problems = problems
        rebuilt.problem_count = problem_count
        return rebuilt


def rebuild_indexes(model: type[Record], batch_size: int) -> Plan[Rebuilt]:
    """The plan of `Model.rebuild_indexes`; see there."""
    chunks((), batch_size)
    done = yield from in_turn(model._meta, lambda each: Rebuild(model, each, batch_size).plan())
    problems = [problem for each in done for problem in each.problems]
    return Rebuilt.of(
        sum(done), problems[:_MOST_PROBLEMS], sum(each.problem_count for each in done)
    )


class Rebuild:
    """One rebuild of a shard under way."""

    def __init__(self, model: type[Record], options: ModelOptions, batch_size: int) -> None:
        self.model = model
        self.options = options
        self.registry = Registry(self.options)
        self.batch_size = batch_size
        self.problems: list[Problem] = []
        self.reported: set[str] = set()
        self._told: set[tuple[str, ...]] = set()
        made = [
            field.rebuilding(options.model_name, options.shard)
            for field in options.by_name.values()
        ]
        self.renewals = [each for each in made if each is not None]

    def plan(self) -> Plan[Rebuilt]:
        """Rebuild one shard."""
        yield from check_own_keys(self.options)
        yield from take_over_touches(self.options, self.batch_size)
        yield from self._remove_wrong_entries()
        yield from clean_companions(self.options, self.registry, self.batch_size)
        unlisted = yield from self._add_missing_entries()
        yield from self._finish_renewals()
        yield from self._recount_texts()
        (members,) = yield Request.of(
            ("SCARD", self.options.class_set_key), shard=self.options.shard, repeatable=True
        )
        return Rebuilt.of(members - unlisted, self.problems, len(self.reported))

    # What should not stand -------------------------------------------------------------

    def _remove_wrong_entries(self) -> Plan[None]:
        walk = EntryWalk(self.options, self.registry, self.batch_size, compares=True)
        found = yield from walk.next()
        while found is not None:
            yield from remove_orphans(self.options, found)
            wrong = [(each, each.record) for each in found if each.record is not None]
            yield from self._remove_wrong(wrong)
            yield from delete_companions(self.options, (yield from walk.missing_companions()))
            yield from self._list_parts((yield from walk.unlisted()))
            found = yield from walk.next()
        abandoned = list(walk.abandoned)
        for first in range(0, len(abandoned), self.batch_size):
            yield Request(
                [("UNLINK", key) for key in abandoned[first : first + self.batch_size]],
                self.options.shard,
                repeatable=True,
                upkeep=True,
            )

    def _list_parts(self, unlisted: Sequence[tuple[KeyFamily, str]]) -> Plan[None]:
        if unlisted:
            yield Request(
                [("SADD", family.listed_in, part) for family, part in unlisted],
                self.options.shard,
                repeatable=True,
                upkeep=True,
            )

    def _remove_wrong(self, findings: Sequence[tuple[Finding, Judged]]) -> Plan[None]:
        """Remove entries that their records contradict, as long as these hold what was read."""
        for _ in range(_MOST_ATTEMPTS):
            if not findings:
                return
            calls: list[ScriptCall] = []
            for finding, record in findings:
                batch = Batch()
                batch.guard_holds(finding.member, record.stored, self.options.index_names)
                finding.family.remove(batch, finding.key, finding.item, finding.member)
                calls.append(batch.call())
            replies = yield Request(calls, self.options.shard, repeatable=True, upkeep=True)
            again: list[tuple[Finding, Judged]] = []
            for (finding, _), reply in zip(findings, replies, strict=True):
                outcome = Batch.outcome(reply)
                if isinstance(outcome, GuardFailure):
                    if outcome.guard < 0:
                        raise outcome.error()
                    again += self._looked_at_again(finding, outcome)
            findings = again

    def _looked_at_again(
        self, finding: Finding, failure: GuardFailure
    ) -> list[tuple[Finding, Judged]]:
        """The finding with what the record holds now; none if the entry is right by now."""
        if failure.what != "holds":
            # Gone meanwhile: who deleted it removed its own entries, and the rest is an orphan.
            return []
        stored = failure.stored(self.options.index_names)
        record = judge(
            self.options, finding.member, [stored.get(name) for name in self.options.index_names]
        )
        if contradicts(self.options, record, finding.family, finding.key, finding.item):
            return [(finding, record)]
        return []

    # What should stand -----------------------------------------------------------------

    def _add_missing_entries(self) -> Plan[int]:
        """Index every record. Returns how many members of the class set cannot be indexed."""
        for renewal in self.renewals:
            yield from renewal.begin()
        walk = RecordWalk(self.options, self.batch_size)
        without_identity: dict[str, None] = {}
        page = yield from walk.next()
        while page is not None:
            for record in page:
                self._report(record)
                if not record.has_identity:
                    without_identity[record.key] = None
            identified = [record for record in page if record.has_identity]
            yield from self._index(identified)
            if self.options.save_hooks or self.renewals or self.options.whole_sources:
                keys = [record.key for record in identified]
                whole = yield from whole_records(self.model, self.options, keys)
                if self.options.save_hooks:
                    yield from self._call_hooks(whole)
                yield from self._mend_following(whole)
                yield from self._renew(whole)
            page = yield from walk.next()
        nameless = list(without_identity)
        listed = 0
        for first in range(0, len(nameless), self.batch_size):
            replies = yield Request(
                [
                    ("SISMEMBER", self.options.class_set_key, key)
                    for key in nameless[first : first + self.batch_size]
                ],
                self.options.shard,
                repeatable=True,
            )
            listed += sum(replies)
        return listed

    def _report(self, record: Judged) -> None:
        if record.key in self.reported or not record.problems:
            return
        self.reported.add(record.key)
        for reason in record.problems:
            self._note(record.key, reason)

    def _note_of(self, key: str, reason: str) -> None:
        self.reported.add(key)
        self._note(key, reason)

    def _note(self, key: str, reason: str, said: str = "%r is left out of an index: %s") -> None:
        logger.warning(said, key, reason)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(key, reason))

    def _note_shared(self, key: str, shared: Shared) -> None:
        """Tell of one of two records that share a value; its reason names the other one."""
        pair = (shared.place, *sorted((key, shared.holder)))
        if pair not in self._told:
            self._told.add(pair)
            self.reported.add(key)
            self._note(key, shared.reason, "%r shares a value: %s")

    def _index(self, records: Sequence[Judged]) -> Plan[None]:
        """Add the entries of records, as long as these hold what was read."""
        #: slots that another living record with the same values holds
        taken: dict[str, set[str]] = {}
        for _ in range(_MOST_ATTEMPTS):
            if not records:
                return
            kept = yield from self._kept(records)
            batches = [
                self._batch(record, taken.get(record.key, set()), kept) for record in records
            ]
            asked = sharing_questions(self.options, records)
            calls = [batch.call() for batch in batches]
            calls += [batch.call(every=True) for _, batch in asked]
            replies = yield Request(calls, self.options.shard, repeatable=True, upkeep=True)
            for (record, batch), reply in zip(asked, replies[len(records) :], strict=True):
                for shared in shared_values(batch, reply):
                    self._note_shared(record.key, shared)
            again: list[Judged] = []
            for record, batch, reply in zip(records, batches, replies, strict=False):
                outcome = Batch.outcome(reply)
                if not isinstance(outcome, GuardFailure) or outcome.what == "exists":
                    continue
                if outcome.what == "slot":
                    taken.setdefault(record.key, set()).add(str(batch.guards[outcome.guard][1]))
                    again.append(record)
                elif outcome.what == "holds":
                    stored = outcome.stored(self.options.index_names)
                    values = [stored.get(name) for name in self.options.index_names]
                    changed = judge(self.options, record.key, values)
                    self._report(changed)
                    if changed.has_identity:
                        again.append(changed)
                else:
                    record.problems.append(str(outcome.error()))
                    self._report(record)
            records = again

    def _kept(self, records: Sequence[Judged]) -> Plan[set[ScoreEntry]]:
        """Entries that stand with a score that tells more than their records do."""
        asked = [
            entry
            for record in records
            for entry in record.entries
            if isinstance(entry, ScoreEntry) and entry.kept not in (None, entry.score)
        ]
        if not asked:
            return set()
        calls: list[ScriptCall] = []
        for entry in asked:
            batch = Batch()
            entry.look(batch)
            calls.append(batch.call())
        replies = yield Request(calls, self.options.shard, repeatable=True)
        outcomes = map(Batch.outcome, replies)
        return {
            entry
            for entry, outcome in zip(asked, outcomes, strict=True)
            if not isinstance(outcome, GuardFailure) and entry.stands(outcome[0])
        }

    def _batch(self, record: Judged, taken: set[str], kept: set[ScoreEntry]) -> Batch:
        options = self.options
        batch = Batch()
        batch.guard_holds(record.key, record.stored, options.index_names)
        options.put_member(batch, record.key)
        for entry in record.entries:
            if isinstance(entry, Carried):
                entry.mend(batch)
            elif entry in kept:
                continue
            elif not isinstance(entry, SlotEntry):
                entry.add(batch)
                if isinstance(entry, SetEntry):
                    entry.point(batch)
                    if entry.values_key and entry.text is not None:
                        # An entry of popoto 1.6 stands already, but its text is in no list.
                        batch.put("ZADD", entry.values_key, 0, entry.text)
            elif entry.key in taken:
                continue
            elif entry.alternative:
                entry.guard(batch, record.key)
                entry.add(batch)
            else:
                batch.put("HSETNX", entry.key, entry.digest, entry.member)
        put_expiry_as_is(batch, options, record.key)
        return batch

    def _call_hooks(self, records: Sequence[Whole]) -> Plan[None]:
        """Have fields with an `on_save` of their own add what they keep of these records."""
        options = self.options
        for key, stored, instance in records:
            batch = Batch()
            # A writer who was faster has called the hooks himself.
            names = [each.name for each in options.save_hooks if each.in_hash]
            batch.guard_holds(key, stored, names)
            try:
                call_save_hooks(batch, instance, options.save_hooks, {})
            except StoredDataError as error:
                self._note_of(key, str(error))
                continue
            if not (batch.commands or batch.after):
                continue
            (reply,) = yield Request.of(batch.call(), shard=options.shard)
            if not isinstance(Batch.outcome(reply), GuardFailure):
                yield from follow_up(batch, options)

    def _mend_following(self, records: Sequence[Whole]) -> Plan[None]:
        """Add what mixins keep that follows from these records as a whole."""
        wanted = following(self.options, records)
        for each in wanted:
            if each.problem:
                self._note_of(each.record.key, each.problem)
        yield from mend_following(self.options, wanted)

    def _renew(self, records: Sequence[Whole]) -> Plan[None]:
        """Take records into what fields keep for all of them together."""
        for renewal in self.renewals:
            problems = yield from renewal.add([record.instance for record in records])
            for key, reason in problems:
                self._note_of(key, reason)

    def _finish_renewals(self) -> Plan[None]:
        for renewal in self.renewals:
            for key, reason in (yield from renewal.finish()):
                self._note_of(key, reason)

    # Lists of distinct texts -----------------------------------------------------------

    def _recount_texts(self) -> Plan[None]:
        calls = [
            ScriptCall(RECOUNT, [values_key, coverage_key], [field_name, set_prefix])
            for set_prefix, field_name, values_key, coverage_key in self.registry.text_fields
        ]
        if calls:
            replies = yield Request(calls, self.options.shard, repeatable=True, upkeep=True)
            for reply in replies:
                if not isinstance(reply, int):
                    raise GuardFailure.told(reply).error()
        yield from self._forget_texts()

    def _forget_texts(self) -> Plan[None]:
        """Drop the lists of fields that keep no texts any more."""
        model_name, shard = self.options.model_name, self.options.shard
        coverage_key = keys.values_coverage_key(model_name)
        (listed,) = yield Request.of(("HKEYS", coverage_key), shard=shard, repeatable=True)
        kept = {field_name for _, field_name, _, _ in self.registry.text_fields}
        names = [name.decode("utf-8", "replace") for name in listed]
        for name in names:
            if name not in kept:
                yield Request(
                    [("HDEL", coverage_key, name), ("UNLINK", keys.values_key(model_name, name))],
                    shard,
                    repeatable=True,
                    upkeep=True,
                )
