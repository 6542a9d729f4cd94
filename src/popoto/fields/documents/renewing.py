"""Indexing the texts of all records again, one by one, beside their writers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from redis.exceptions import ResponseError

from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.keys import SEPARATOR
from popoto.engine.keys import as_text as as_term
from popoto.engine.looking_up import looked_up, name_stranger
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.scanning import Scan, literally
from popoto.exceptions import StoredDataError
from popoto.fields.documents.comparing import Indexing, guard_on_text
from popoto.fields.documents.texts import as_text
from popoto.memory.bm25.documents import lengths_key, put_document
from popoto.memory.bm25.scripts import PURGE, RECOMPUTE
from popoto.memory.text.analysis import Analyzer

__all__ = ["Reindexing"]

_SCAN_COUNT = 1_000
#: A call looks at so many keys, so that it does not hold the server for long.
_KEYS_PER_CALL = 200
_BUILDING = " building"


class Analyzed(Indexing, Protocol):
    """What is asked of the field here."""

    label: str
    analyzer: Analyzer


class Reindexing:
    """One rebuild of one field's index, under way.

    Documents are made anew one at a time, each in a step of its own, so searches go on. Only
    where the index was made by another analyzer do they have to wait: until the end its mark
    says that it is being made.
    """

    def __init__(self, field: Analyzed, root: str, shard: str) -> None:
        self._field = field
        self._root = root
        self._shard = shard
        self._mark = field.analyzer.mark

    def begin(self) -> Plan[None]:
        """Have every writer write words of this analyzer, from now on."""
        stems = yield from self.stems()
        for stem in stems:
            key = f"{stem}:analyzer"
            (found,) = yield Request.of(("GET", key), shard=self._shard, repeatable=True)
            if (found or b"").decode("utf-8", "replace") not in (self._mark, self._building):
                yield self._upkeep(("SET", key, self._building))

    @property
    def _building(self) -> str:
        return self._mark + _BUILDING

    def add(self, records: Sequence[Any]) -> Plan[Sequence[tuple[str, str]]]:
        problems: list[tuple[str, str]] = []
        steps: list[Batch] = []
        keys: list[str] = []
        for record in records:
            source = record._meta.by_name.get(self._field.source)
            if source is None:
                return []
            try:
                words = self._field.words(as_text(getattr(record, source.name)))
            except (StoredDataError, FileNotFoundError) as error:
                problems.append((record.pk, f"{self._field.label}: no text: {error}"))
                continue
            steps.append(self._indexed(record, words))
            keys.append(record.pk)
        found = yield from outcomes(steps, self._shard, upkeep=True)
        for key, outcome in zip(keys, found, strict=True):
            # A writer who was faster has indexed the record himself.
            if isinstance(outcome, GuardFailure) and outcome.what not in ("holds", "exists"):
                problems.append((key, f"{self._field.label}: {outcome.error()}"))
        return problems

    def _indexed(self, record: Any, words: Sequence[str]) -> Batch:
        batch = Batch()
        stem = guard_on_text(batch, self._field, record)
        put_document(batch, stem, record.pk, self._mark, words, is_whole=True)
        return batch

    def finish(self) -> Plan[Sequence[tuple[str, str]]]:
        """Take away what no document stands for, and say that the index is made."""
        stems = yield from self.stems()
        yield from self._purge(stems)
        for stem in stems:
            number = [lengths_key(stem), f"{stem}:n", f"{stem}:avgdl"]
            yield from self._carried_out(stem, ScriptCall(RECOMPUTE, number, []))
            key = f"{stem}:analyzer"
            yield self._upkeep(("SET", key, self._mark) if self._mark else ("DEL", key))
        return ()

    def _upkeep(self, command: Any) -> Request:
        return Request.of(command, shard=self._shard, repeatable=True, upkeep=True)

    # Walking over its keys --------------------------------------------------------------------

    def _pages(self) -> Plan[list[list[str]]]:
        scan = Scan(self._shard, literally(self._root + SEPARATOR) + b"*", _SCAN_COUNT)
        pages: list[list[str]] = []
        page = yield from scan.next()
        while page is not None:
            pages.append([key.decode("utf-8", "replace") for key in page])
            page = yield from scan.next()
        return pages

    def stems(self) -> Plan[list[str]]:
        """The indexes of all partitions."""
        found: dict[str, None] = {}
        for page in (yield from self._pages()):
            for key in page:
                stem, _ = self._parted(key)
                found[stem] = None
        return list(found)

    def _parted(self, key: str) -> tuple[str, str]:
        """The stem of a key, and what follows it."""
        head = f"{self._root}:@"
        if not (self._field.partition_by and key.startswith(head)):
            return self._root, key[len(self._root) + 1 :]
        parts = key[len(head) :].split(SEPARATOR)
        count = len(self._field.partition_by)
        return head + SEPARATOR.join(parts[:count]), SEPARATOR.join(parts[count:])

    def _purge(self, stems: Sequence[str]) -> Plan[None]:
        # Terms of documents first: by them is told which postings stay.
        yield from self._purge_all("tf:")
        yield from self._purge_all("inv:")
        for stem in stems:
            # Terms of which no postings are left.
            (terms,) = yield from looked_up([("ZRANGE", f"{stem}:df", 0, -1)], self._shard)
            names = [text for term in terms if (text := as_term(term)) is not None]
            yield from self._purge_of(stem, [f"inv:{name}" for name in names])

    def _purge_all(self, kind: str) -> Plan[None]:
        for page in (yield from self._pages()):
            by_stem: dict[str, list[str]] = {}
            for key in page:
                stem, rest = self._parted(key)
                if rest.startswith(kind):
                    by_stem.setdefault(stem, []).append(rest)
            for stem, names in by_stem.items():
                yield from self._purge_of(stem, names)

    def _purge_of(self, stem: str, names: Sequence[str]) -> Plan[None]:
        for first in range(0, len(names), _KEYS_PER_CALL):
            some = names[first : first + _KEYS_PER_CALL]
            terms = [name.removeprefix("inv:") for name in some if name.startswith("inv:")]
            members = [name.removeprefix("tf:") for name in some if name.startswith("tf:")]
            arguments: list[Argument] = [len(terms), *terms, *members]
            keys = [stem, *(f"{stem}:{name}" for name in some)]
            yield from self._carried_out(stem, ScriptCall(PURGE, keys, arguments))

    def _carried_out(self, stem: str, call: ScriptCall) -> Plan[None]:
        try:
            yield self._upkeep(call)
        except ResponseError as error:
            # Of documents' terms, the script looks at more than it is told of.
            names = [name for page in (yield from self._pages()) for name in page]
            kinds = [(name, "zset") for name in names if self._is_ordered(stem, name)]
            yield from name_stranger(error, kinds, self._shard)
            raise

    def _is_ordered(self, stem: str, key: str) -> bool:
        of, rest = self._parted(key)
        return of == stem and (rest in ("df", "dl") or rest.startswith(("tf:", "inv:")))
