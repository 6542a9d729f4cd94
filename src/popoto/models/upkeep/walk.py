"""Walking over every index entry of a model, and finding the ones that should not stand."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.keys import as_text
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.entries import SetEntry, SlotEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.models.beside.leftovers import take_away, while_missing
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.records import (
    SCAN_COUNT,
    Found,
    IndexPage,
    Judged,
    judge,
    read_entries,
)
from popoto.models.upkeep.registry import Registry

logger = logging.getLogger("POPOTO.model_base")

#: How many index keys one call looks at: many are small sets of one value.
_KEYS_PER_CALL = 500


class Finding(NamedTuple):
    """An entry that should not stand where it does.

    `record` is what its record holds, or None where there is no record. `item` is the hash
    field that the entry stands under, in a composite index.
    """

    family: KeyFamily
    key: str
    item: str
    member: str
    record: Judged | None


class _Job(NamedTuple):
    """An index key to be read on from a cursor, as one of these families."""

    key: str
    families: tuple[KeyFamily, ...]
    cursor: str


class _Place(NamedTuple):
    """An index key, and what it is."""

    family: KeyFamily
    key: str


class EntryWalk:
    """All entries of a model's indexes, page by page.

    An entry is found bad when its record is missing, or (with `compares`) when the record
    holds another value. What it says was so at the moment of reading.
    """

    def __init__(
        self, options: ModelOptions, registry: Registry, batch_size: int, *, compares: bool
    ) -> None:
        self.options = options
        self.registry = registry
        self.batch_size = batch_size
        self.compares = compares
        pattern = b"$*:" + literally(options.model_name) + b"*"
        self._scan = Scan(options.shard, pattern, max(SCAN_COUNT, batch_size))
        self._jobs: deque[_Job] = deque()
        #: how many entries were looked at
        self.seen = 0
        #: index keys of earlier definitions of the model
        self.abandoned: dict[str, None] = {}
        #: those of them that hold no record keys, so that the whole key is what is wrong
        self.whole: dict[str, KeyFamily] = {}
        #: records that the class set names, whose keys do not follow from the class's key fields
        self.unidentified: dict[str, None] = {}
        #: (family, part): parts of keys met, which the set of all parts has to name
        self._parts: dict[tuple[KeyFamily, str], None] = {}
        #: companions met under names like those of indexes, with their records' keys
        self._companions: list[tuple[str, str]] = []

    def next(self) -> Plan[list[Finding] | None]:
        """The next bad entries (perhaps none of a page), or None at the end.

        To be followed by `missing_companions`: a page may hold nothing else.
        """
        while not self._jobs and not self._companions:
            scanned = yield from self._scan.next()
            if scanned is None:
                return None
            self._take(text for key in scanned if (text := as_text(key)) is not None)
        jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), _KEYS_PER_CALL))]
        if not jobs:
            return []
        wanted = [(job.key, job.families[0].layout, job.cursor) for job in jobs]
        pages, records = yield from read_entries(self.options, wanted, self.batch_size)
        judged: dict[str, Judged] = {}
        found: list[Finding] = []
        for job, page in zip(jobs, pages, strict=True):
            found += self._judged_page(job, page, records, judged)
        return found

    def missing_companions(self) -> Plan[list[tuple[str, str]]]:
        """The companions met since this was asked last, (key, record key), of missing records."""
        met, self._companions = self._companions, []
        return (yield from missing_records(self.options, met))

    def unlisted(self) -> Plan[list[tuple[KeyFamily, str]]]:
        """The parts of keys met since this was asked last that no set names. One round trip."""
        met, self._parts = list(self._parts), {}
        if not met:
            return []
        replies = yield from looked_up(
            [("SISMEMBER", family.listed_in, part) for family, part in met], self.options.shard
        )
        return [each for each, is_listed in zip(met, replies, strict=True) if not is_listed]

    def _take(self, page: Iterable[str]) -> None:
        for key in page:
            record = self.registry.companion_of(key)
            if record is not None:
                self._companions.append((key, record))
            families = self.registry.candidates(key)
            if not families:
                continue
            if families[0].section == "abandoned_indexes" and not families[0].of_companions:
                self.abandoned[key] = None
            if families[0].layout != "whole":
                self._jobs.append(_Job(key, families, "0"))
            elif families[0].section:
                self.whole[key] = families[0]

    def _judged_page(
        self,
        job: _Job,
        page: IndexPage,
        records: dict[str, Found],
        judged: dict[str, Judged],
    ) -> list[Finding]:
        kind, cursor, members = page
        family = job.families[0]
        expected = "hash" if family.layout == "names" else family.layout
        if cursor == "":
            self._jobs.appendleft(job)
            return []
        if kind != expected:
            if len(job.families) > 1:
                self._jobs.append(_Job(job.key, job.families[1:], "0"))
            elif kind != "none":
                logger.warning("%r is a %s where a %s belongs: left alone", job.key, kind, expected)
            return []
        if cursor != "0":
            self._jobs.append(_Job(job.key, job.families, cursor))
        if part := family.unlisted(job.key):
            self._parts[family, part] = None
        return self._judged_members(_Place(family, job.key), members, records, judged)

    def _judged_members(
        self,
        place: _Place,
        members: list[bytes],
        records: dict[str, Found],
        judged: dict[str, Judged],
    ) -> list[Finding]:
        family, key = place
        found: list[Finding] = []
        for item, member in _pairs(family, members):
            self.seen += 1
            text = as_text(member)
            if family.foreign and (text is None or not self.registry.is_record_key(text)):
                continue
            if text is None or text not in records:
                logger.warning("%r names %r, which is no record key: left alone", key, member)
                continue
            exists, values = records[text]
            if exists == 0:
                found.append(Finding(family, key, item, text, None))
            elif exists == 1 and self.compares and family.derived:
                if text not in judged:
                    judged[text] = judge(self.options, text, values)
                if family.section == "class_set" and _is_unidentified(self.options, judged[text]):
                    self.unidentified[text] = None
                if contradicts(self.options, judged[text], family, key, item):
                    found.append(Finding(family, key, item, text, judged[text]))
        return found


def _pairs(family: KeyFamily, members: list[bytes]) -> Iterable[tuple[str, bytes]]:
    """The members of a page as (hash field or "", record key)."""
    if family.layout in ("set", "names"):
        return (("", member) for member in members)
    if family.layout == "zset":
        return (("", member) for member in members[::2])
    fields = (each.decode("ascii", "replace") for each in members[::2])
    return zip(fields, members[1::2], strict=True)


def _is_unidentified(options: ModelOptions, record: Judged) -> bool:
    """Whether a record can be read, and is none under this key that the class would write."""
    return not record.has_identity and record.unknown.isdisjoint(options.key_names)


def contradicts(
    options: ModelOptions, record: Judged, family: KeyFamily, key: str, item: str
) -> bool:
    """Whether a living record holds something else than this entry says.

    What cannot be decoded contradicts nothing: then the entry stays.
    """
    if family.section == "class_set":
        return False
    if not record.has_identity:
        return False
    if not _deciding(options, family).isdisjoint(record.unknown):
        return False
    for entry in record.entries:
        places = (entry.digest, entry.alternative) if isinstance(entry, SlotEntry) else ("",)
        if entry.key == key and item in places:
            return False
        if isinstance(entry, SetEntry) and entry.named_later == key:
            return False
    return True


def _deciding(options: ModelOptions, family: KeyFamily) -> frozenset[str]:
    """The fields whose values decide the entries of a family."""
    if family.section == "composite_indexes":
        names = next(each.names for each in options.composites if each.key == family.name)
        return frozenset(names)
    return frozenset(options.by_name[family.source or family.name].deciding_names)


class CompanionWalk:
    """The companions (keys of their own) of records that are gone, page by page.

    Looks among the keys that begin like records' where the model has companions there, or
    `everywhere`: former definitions of the model may have had some.
    """

    def __init__(
        self,
        options: ModelOptions,
        registry: Registry,
        batch_size: int,
        *,
        everywhere: bool = False,
    ) -> None:
        self.options = options
        self.registry = registry
        self.batch_size = batch_size
        pattern = literally(options.model_name + keys.SEPARATOR) + b"*"
        self._scan: Scan | None = None
        if registry.has_keys_among_records or everywhere:
            self._scan = Scan(options.shard, pattern, max(SCAN_COUNT, batch_size))
        self._found: list[tuple[str, str]] = []

    def next(self) -> Plan[list[tuple[str, str]] | None]:
        """The next (key, record key) whose record is missing, or None at the end."""
        while not self._found:
            page = None if self._scan is None else (yield from self._scan.next())
            if page is None:
                return None
            former: list[str] = []
            for key in filter(None, map(as_text, page)):
                record = self.registry.companion_of(key)
                if record is None:
                    former.append(key)
                elif self.registry.is_record_key(record):
                    self._found.append((key, record))
            self._found += yield from former_lists(self.options, self.registry, former)
        head, self._found = self._found[: self.batch_size], self._found[self.batch_size :]
        return (yield from missing_records(self.options, head))


def former_lists(
    options: ModelOptions, registry: Registry, found: Iterable[str]
) -> Plan[list[tuple[str, str]]]:
    """Lists, with their record keys, of fields that are no capped lists now. One round trip."""
    pairs = [(key, record) for key in found if (record := registry.former_list_of(key))]
    if not pairs:
        return []
    kinds = yield Request([("TYPE", key) for key, _ in pairs], options.shard, repeatable=True)
    return [pair for pair, kind in zip(pairs, kinds, strict=True) if kind == b"list"]


def missing_records(
    options: ModelOptions, companions: list[tuple[str, str]]
) -> Plan[list[tuple[str, str]]]:
    """Those of these (key, record key) whose record does not exist. Two round trips at most."""
    if not companions:
        return []
    replies = yield Request(
        [("EXISTS", record) for _, record in companions], options.shard, repeatable=True
    )
    suspects = [pair for pair, exists in zip(companions, replies, strict=True) if not exists]
    if not suspects:
        return []
    # Both may be gone by now: look at them in one step.
    batches: list[Batch] = []
    for key, record in suspects:
        batch = while_missing(record)
        batch.put("EXISTS", key)
        batches.append(batch)
    found = yield from take_away(options, batches)
    return [pair for pair, is_left in zip(suspects, found, strict=True) if is_left]
