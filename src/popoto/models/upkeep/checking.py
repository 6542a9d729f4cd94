"""`check_indexes`: comparing, in both directions, without writing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.looking_up import asked as asked_of
from popoto.engine.request import Plan, Reply, Request, ScriptCall
from popoto.fields.keeping.entries import Carried, Entry, SlotEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.following import following, missing_following
from popoto.models.upkeep.records import Judged, RecordWalk, logger
from popoto.models.upkeep.registry import Registry
from popoto.models.upkeep.shards import found_shards
from popoto.models.upkeep.sharing import Shared, shared_values, sharing_questions
from popoto.models.upkeep.walk import CompanionWalk, EntryWalk
from popoto.models.upkeep.whole import whole_records
from popoto.models.writing.rows import chunks

#: How often a record that changes while it is looked at is looked at again.
_MOST_LOOKS = 8


def check_indexes(model: type[Record], batch_size: int) -> Plan[dict[str, Any]]:
    """The plan of `Model.check_indexes`; see there."""
    chunks((), batch_size)
    options = model._meta
    known, strangers = yield from found_shards(options)
    result = Check(model, options, batch_size).result()
    for view in (*known, *strangers):
        _add(result, (yield from Check(model, view, batch_size).plan()))
    if strangers:
        result["unregistered_shards"] = len(strangers)
        result["total"] += len(strangers)
    return result


def _add(result: dict[str, Any], found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            _add(result.setdefault(name, {}), cast("dict[str, Any]", value))
        else:
            result[name] = result.get(name, 0) + value


class Check:
    """What is wrong with the indexes of a model, or of one of its shards, counted."""

    def __init__(self, model: type[Record], options: ModelOptions, batch_size: int) -> None:
        self.model = model
        self.options = options
        self.registry = Registry(self.options)
        self.batch_size = batch_size
        #: (section, name) -> number of entries whose record is missing
        self.orphans: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        #: by unique field or index, records that share a value with another one
        self.shared: Counter[str] = Counter()
        self.unreadable: dict[str, None] = {}
        #: records whose keys do not follow from the key fields that the class has
        self.unidentified: dict[str, None] = {}
        self._seen: set[tuple[str, str, str]] = set()

    def plan(self) -> Plan[dict[str, Any]]:
        """What is wrong with one shard."""
        yield from self._check_entries()
        yield from self._check_companions()
        yield from self._check_records()
        return self.result()

    # Entries without record, and with the wrong value ----------------------------------

    def _check_entries(self) -> Plan[None]:
        walk = EntryWalk(self.options, self.registry, self.batch_size, compares=True)
        found = yield from walk.next()
        while found is not None:
            for finding in found:
                family = finding.family
                place = (finding.key, finding.item, finding.member)
                if not family.section or place in self._seen:
                    continue
                self._seen.add(place)
                if finding.record is None:
                    self.orphans[family.section, family.name] += 1
                else:
                    self.wrong[family.name] += 1
            self._count((yield from walk.missing_companions()))
            for family, part in (yield from walk.unlisted()):
                self._count_part(family, part)
            found = yield from walk.next()
        for family in walk.whole.values():
            self.orphans[family.section, family.name] = 1
        self.unidentified = walk.unidentified

    def _count_part(self, family: KeyFamily, part: str) -> None:
        place = (family.listed_in, part, "")
        if place not in self._seen:
            self._seen.add(place)
            self.missing[family.name] += 1

    def _check_companions(self) -> Plan[None]:
        walk = CompanionWalk(self.options, self.registry, self.batch_size)
        found = yield from walk.next()
        while found is not None:
            self._count(found)
            found = yield from walk.next()

    def _count(self, companions: list[tuple[str, str]]) -> None:
        for key, record in companions:
            place = (key, "", record)
            if place not in self._seen:
                self._seen.add(place)
                self.orphans["companions", "*".join(key.rsplit(record, 1))] += 1

    # Records without entry -------------------------------------------------------------

    def _check_records(self) -> Plan[None]:
        walk = RecordWalk(self.options, self.batch_size)
        page = yield from walk.next()
        while page is not None:
            yield from self._compare([record.key for record in page if record.has_identity])
            yield from self._check_following(page)
            for _ in range(_MOST_LOOKS):
                changed = yield from self._check_page(page)
                if not changed:
                    break
                page = yield from walk.read(changed)
            page = yield from walk.next()

    def _compare(self, keys: Sequence[str]) -> Plan[None]:
        """Ask fields that keep more than entries tell whether they keep what follows."""
        fields = self.options.listed("compared")
        records = (yield from whole_records(self.model, self.options, keys)) if fields else []
        for field in fields:
            for key, is_kept in (yield from field.misindexed([each.instance for each in records])):
                place = ("", field.name, key)
                if place not in self._seen:
                    self._seen.add(place)
                    (self.wrong if is_kept else self.missing)[field.name] += 1

    def _check_following(self, page: Sequence[Judged]) -> Plan[None]:
        """Look for what mixins keep that follows from these records as a whole."""
        if self.options.whole_sources:
            identified = [record.key for record in page if record.has_identity]
            wanted = following(
                self.options, (yield from whole_records(self.model, self.options, identified))
            )
            for each in wanted:
                if each.problem:
                    self.unreadable[each.record.key] = None
            for entry in (yield from missing_following(self.options, wanted)):
                place = (entry.key, "", entry.member)
                if place not in self._seen:
                    self._seen.add(place)
                    self.missing[self._name_of(entry)] += 1

    def _check_page(self, page: list[Judged]) -> Plan[list[str]]:
        """Look whether these records stand where they should. Returns those that changed."""
        calls: list[ScriptCall] = []
        checked: list[Judged] = []
        for record in page:
            if record.problems:
                self.unreadable[record.key] = None
            if not record.has_identity:
                continue
            batch = Batch()
            batch.guard_holds(record.key, record.stored, self.options.index_names)
            batch.put("SISMEMBER", self.options.class_set_key, record.key)
            for entry in record.entries:
                entry.look(batch)
            calls.append(batch.call())
            checked.append(record)
        if not calls:
            return []
        asked = sharing_questions(self.options, checked)
        calls += [batch.call(every=True) for _, batch in asked]
        request = Request(calls, self.options.shard, repeatable=True)
        replies = yield from asked_of(request, [(self.options.class_set_key, "set")])
        shared = {
            record.key: shared_values(batch, reply)
            for (record, batch), reply in zip(asked, replies[len(checked) :], strict=True)
        }
        changed: list[str] = []
        for record, reply in zip(checked, replies, strict=False):
            # What cannot be asked stands in no index. Walks have told of keys of other types.
            outcome = Batch.answers(reply)
            if not isinstance(outcome, GuardFailure):
                self._count_missing(record, outcome, shared.get(record.key, ()))
            elif outcome.what == "holds":
                changed.append(record.key)
        return changed

    def _count_missing(
        self, record: Judged, replies: list[Reply], shared: Sequence[Shared]
    ) -> None:
        place = ("", "", record.key)
        is_member, *others = replies
        stands = [entry.stands(reply) for entry, reply in zip(record.entries, others, strict=True)]
        if (is_member and all(stands) and not shared) or place in self._seen:
            return
        self._seen.add(place)
        for each in shared:
            logger.warning("%r: %s", record.key, each.reason)
            self.shared[each.place] += 1
        if not is_member:
            self.missing["class_set"] += 1
        # One slot of a composite index cannot name both records.
        taken = {each.place for each in shared}
        for entry, is_there in zip(record.entries, stands, strict=True):
            if not is_there and entry.key not in taken:
                self.missing[self._name_of(entry)] += 1

    def _name_of(self, entry: Entry) -> str:
        if isinstance(entry, SlotEntry):
            return entry.key
        # Where several hold the key, an entry that is carried along stands in one of companions.
        is_carried = isinstance(entry, Carried)
        found = [family for family in self.registry.families if family.holds(entry.key)]
        return next((each for each in found if each.of_companions == is_carried), found[0]).name

    # The result ------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "class_set": self.orphans["class_set", ""],
            "key_fields": {},
            "sorted_fields": {},
            "geo_fields": {},
            "composite_indexes": {},
            "indexed_fields": {},
            "relationship_fields": {},
            "capped_lists": {},
        }
        for name in sorted(self.options.key_field_names - self.options.auto_field_names):
            result["key_fields"][name] = 0
        for family in self.registry.families:
            if family.section not in ("class_set", ""):
                result.setdefault(family.section, {})[family.name] = 0
        for name in self.options.list_names:
            result["capped_lists"][name] = 0
        for (section, name), count in self.orphans.items():
            if section == "companions" and name.startswith("*::"):
                result["capped_lists"][name.removeprefix("*::")] = count
            elif section != "class_set":
                result.setdefault(section, {})[name] = count
        result["wrong_values"] = dict(self.wrong)
        result["missing_entries"] = dict(self.missing)
        if self.shared:
            result["shared_values"] = dict(self.shared)
        if self.unidentified:
            result["unidentified_records"] = len(self.unidentified)
        result["unreadable_records"] = len(self.unreadable)
        counters = (self.orphans, self.wrong, self.missing, self.shared)
        result["total"] = sum(counter.total() for counter in counters) + len(self.unidentified)
        for key in self.unidentified:
            logger.warning(
                "%r does not follow from the key fields of %s, as if one had been renamed: "
                "delete the record, or move it to a new one",
                key,
                self.options.model_name,
            )
        for key in self.unreadable:
            logger.warning(
                "%r cannot be indexed in whole or in part; rebuild_indexes says why", key
            )
        return result
