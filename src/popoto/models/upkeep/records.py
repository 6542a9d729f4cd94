"""Reading records for upkeep, and judging what they say about their entries."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from popoto.engine import keys
from popoto.engine.codec import DecodeError
from popoto.engine.keys import as_text
from popoto.engine.moments import later_text
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.scanning import Scan, literally
from popoto.engine.scripts import UPKEEP
from popoto.fields.keeping.entries import Entry, ScoreEntry
from popoto.models.record.options import ModelOptions

logger = logging.getLogger("POPOTO.model_base")

#: SCAN looks at this many keys at least, however small the batches are.
SCAN_COUNT = 1000


@dataclass(slots=True)
class Judged:
    """What a record's stored bytes say.

    `problems` are the reasons why it, or one of its fields, cannot be indexed. Without
    identity nothing of it can. `unknown` are the fields that could not be decoded.
    """

    key: str
    stored: dict[str, bytes]
    has_identity: bool = True
    entries: list[Entry] = field(default_factory=list[Entry])
    problems: list[str] = field(default_factory=list[str])
    unknown: frozenset[str] = frozenset()


def judge(options: ModelOptions, key: str, values: Sequence[bytes | None]) -> Judged:
    """Decode what decides a record's entries. Nothing here raises, whatever is stored."""
    stored = {
        name: value
        for name, value in zip(options.index_names, values, strict=True)
        if value is not None
    }
    record = Judged(key, stored)
    decoded: dict[str, Any] = {}
    unknown: set[str] = set()
    for name in options.index_names:
        raw, field = stored.get(name), options.by_name[name]
        try:
            decoded[name] = field.fixed_default() if raw is None else field.decode(raw)
        except DecodeError as error:
            unknown.add(name)
            record.problems.append(f"{name} cannot be decoded: {error}")
    record.unknown = frozenset(unknown)
    reason = _identity_problem(options, key, stored, decoded)
    if reason is not None:
        record.has_identity = False
        if reason:
            record.problems.append(reason)
        return record
    for source in options.entry_fields:
        if unknown.isdisjoint(source.deciding_names):
            try:
                record.entries += source.entries(key, decoded)
            except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
                record.problems.append(f"{source.name} makes no entry: {error}")
    for composite in options.composites:
        if unknown.isdisjoint(composite.names):
            entry = composite.entry(key, decoded, options.by_name)
            if entry is not None:
                record.entries.append(entry)
    for own in options.entry_sources:
        record.entries += own(key)
    for nan in [each for each in record.entries if _is_nan(each)]:
        record.entries.remove(nan)
        record.problems.append(f"NaN has no place in {nan.key}")
    return record


def _is_nan(entry: Entry) -> bool:
    return isinstance(entry, ScoreEntry) and math.isnan(entry.score)


def _identity_problem(
    options: ModelOptions, key: str, stored: dict[str, bytes], decoded: dict[str, Any]
) -> str | None:
    """Why a hash is no record of the model ("" = that is told already), or None."""
    parts = key.split(keys.SEPARATOR)
    if len(parts) != options.db_key_length or parts[0] != options.model_name:
        return f"its key has not the {options.db_key_length} parts of a {options.model_name}"
    missing = [name for name in options.key_names if name not in stored]
    if missing:
        return f"it lacks the key field {', '.join(missing)}"
    for key_field, part in zip(options.key_fields, parts[1:], strict=True):
        if key_field.name not in decoded:
            return ""
        if not _same_part(key_field, decoded[key_field.name], part):
            return f"its key field {key_field.name} holds another value than its key"
    return None


def _same_part(key_field: Any, value: Any, part: str) -> bool:
    """Whether a key part stands for a value, perhaps as another writer renders it."""
    texts = (key_field.text_of(value), *key_field.spellings(value), later_text(value) or "")
    if part in map(keys.escape, texts):
        return True
    try:
        return value is not None and bool(key_field.coerce(keys.unescape(part)) == value)
    except ValueError:
        return False


class IndexPage(NamedTuple):
    """A page of an index key: its type, the cursor of the next one ("0": none), its members.

    Of a sorted set and of a hash, members are in pairs. No cursor: the page is still to be read.
    """

    kind: str
    cursor: str
    members: list[bytes]


#: A record that exists as a hash is (1, values), a missing one (0, []), a key of another type
#: (2, []).
Found: TypeAlias = tuple[int, list[bytes | None]]


def read_entries(
    options: ModelOptions,
    wanted: Sequence[tuple[str, str, str]],
    budget: int,
    names: Sequence[str] | None = None,
) -> Plan[tuple[list[IndexPage], dict[str, Found]]]:
    """Pages of index keys, given as (key, type, cursor), and the records that they name.

    Of each record these fields are read, or else those that decide its entries. See
    upkeep.lua. One round trip.
    """
    read = options.index_names if names is None else names
    arguments: list[Argument] = [budget, len(read), *read]
    for _, layout, cursor in wanted:
        arguments += (layout, cursor)
    call = ScriptCall(UPKEEP, [key for key, _, _ in wanted], arguments)
    (reply,) = yield Request.of(call, shard=options.shard, repeatable=True)
    pages, found = reply
    records: dict[str, Found] = {
        text: (exists, values)
        for member, exists, values in found
        if (text := as_text(member)) is not None
    }
    told = [IndexPage(_ascii(kind), _ascii(cursor), members) for kind, cursor, members in pages]
    return told, records


def _ascii(word: bytes) -> str:
    return word.decode("ascii")


class KeyWalk:
    """All keys that may be those of a model's records, by their form, page by page."""

    def __init__(self, options: ModelOptions, batch_size: int) -> None:
        self.options = options
        self.batch_size = batch_size
        pattern = literally(options.model_name + keys.SEPARATOR) + b"*"
        self._scan = Scan(options.shard, pattern, max(SCAN_COUNT, batch_size))
        self._found: list[str] = []

    def next(self) -> Plan[list[str] | None]:
        """The next keys, or None at the end."""
        while not self._found:
            page = yield from self._scan.next()
            if page is None:
                return None
            texts = (as_text(key) for key in page)
            self._found = [text for text in texts if text is not None and self._may_be(text)]
        head = self._found[: self.batch_size]
        self._found = self._found[self.batch_size :]
        return head

    def _may_be(self, key: str) -> bool:
        return key.count(keys.SEPARATOR) == self.options.db_key_length - 1


class RecordWalk:
    """All hashes under the keys of a model, page by page, judged."""

    def __init__(self, options: ModelOptions, batch_size: int) -> None:
        self.options = options
        self._keys = KeyWalk(options, batch_size)

    def next(self) -> Plan[list[Judged] | None]:
        """The next records (perhaps none of a page), or None at the end."""
        head = yield from self._keys.next()
        return None if head is None else (yield from self.read(head))

    def read(self, record_keys: Sequence[str]) -> Plan[list[Judged]]:
        """The records under these keys, as far as they are hashes. One round trip."""
        wanted = [(key, "record", "0") for key in record_keys]
        _, records = yield from read_entries(self.options, wanted, len(wanted) + 1)
        return [
            judge(self.options, key, values)
            for key, (exists, values) in records.items()
            if exists == 1
        ]
