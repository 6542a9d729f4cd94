"""What earlier versions of popoto have left in the records of a model, counted. Writes nothing."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import msgpack

from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure, KeyArgument, outcomes
from popoto.engine.codec import DecodeError
from popoto.engine.moments import later_text
from popoto.engine.request import Plan, Request
from popoto.fields.keeping.entries import SetEntry
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.upkeep.records import Judged, RecordWalk
from popoto.models.upkeep.registry import Registry
from popoto.models.upkeep.shards import found_shards

#: The forms of pointers, in the order in which they are read.
POINTERS = ("1.8.0", "1.8.1", "1.9")


def traces_of(options: ModelOptions, batch_size: int) -> Plan[Counter[str]]:
    """What is left of earlier versions in all shards of a model."""
    found: Counter[str] = Counter()
    known, strangers = yield from found_shards(options)
    for view in (*known, *strangers):
        found += yield from Traces(view, batch_size).plan()
    return found


class Traces:
    """What there is, by kind: each counts records, except for pointers and lists of texts.

    `records`          all records of the model that there are
    `iso`              records with a moment in the ISO form of 1.8.2 on
    `naive`            records with a moment without a zone in the form of 1.6, as here
    `named_later`      records whose own key has a moment as 1.9 and later name it
    `1.8.0` …          pointers of these forms
    `astray`           pointers that name another set than the record stands in
    `unlisted`         fields whose texts no list covers, so that text lookups read every record
    """

    def __init__(self, options: ModelOptions, batch_size: int) -> None:
        self.options = options
        self.batch_size = batch_size
        self.found: Counter[str] = Counter()
        self._moments = [
            field
            for field in options.by_name.values()
            if field.in_hash and field.type in (datetime.datetime, datetime.time)
        ]
        self._names = [field.name for field in self._moments]
        self._notes = [f"{name}\0idxset" for name in options.pointed_names]

    def plan(self) -> Plan[Counter[str]]:
        """Read every record: one round trip for each batch of them, besides those that find it."""
        walk = RecordWalk(self.options, self.batch_size)
        page = yield from walk.next()
        while page is not None:
            yield from self._look_at(page)
            page = yield from walk.next()
        yield from self._look_at_texts()
        return self.found

    def _look_at(self, page: Sequence[Judged]) -> Plan[None]:
        records = [record for record in page if record.has_identity]
        self.found["records"] += len(records)
        for record in records:
            self.found["named_later"] += self._is_named_later(record)
        if not (self._names or self._notes):
            return
        found = yield from outcomes(list(map(self._question, records)), self.options.shard)
        for record, outcome in zip(records, found, strict=True):
            # One that is gone meanwhile has nothing.
            if not isinstance(outcome, GuardFailure):
                self._count(record, outcome)

    def _question(self, record: Judged) -> Batch:
        batch = Batch()
        batch.put("HMGET", record.key, *self._names, *self._notes)
        if self._notes:
            pairs = [keys.pointer_keys(record.key, name) for name in self.options.pointed_names]
            wanted = [KeyArgument(key) for newer, older in pairs for key in (older, newer)]
            # A key of another kind counts as missing there.
            batch.put("KEYED", None, "MGET", "k" * len(wanted), *wanted)
        return batch

    def _is_named_later(self, record: Judged) -> bool:
        parts = record.key.split(keys.SEPARATOR)[1:]
        for field, part in zip(self.options.key_fields, parts, strict=True):
            raw = record.stored.get(field.name)
            text = None if raw is None else later_text(field.decode(raw))
            if text is not None and keys.escape(text) == part:
                return True
        return False

    def _count(self, record: Judged, replies: Sequence[Any]) -> None:
        fields, *others = replies
        values, notes = fields[: len(self._names)], fields[len(self._names) :]
        forms = {_form(*each) for each in zip(self._moments, values, strict=True)}
        self.found["iso"] += "iso" in forms
        self.found["naive"] += "naive" in forms
        standing = {
            entry.pointed: {entry.key, entry.named_later}
            for entry in record.entries
            if isinstance(entry, SetEntry)
        }
        for place, name in enumerate(self.options.pointed_names):
            pointers = (notes[place], *others[0][2 * place : 2 * place + 2])
            for form, pointer in zip(POINTERS, pointers, strict=True):
                if pointer is not None:
                    self.found[form] += 1
                    named = pointer.decode("utf-8", "replace")
                    self.found["astray"] += named not in standing.get(name, {named})

    def _look_at_texts(self) -> Plan[None]:
        options = self.options
        named = [name for _, name, *_ in Registry(options).text_fields]
        if not named:
            return
        coverage, number = yield Request(
            [
                ("HMGET", keys.values_coverage_key(options.model_name), *named),
                ("SCARD", options.class_set_key),
            ],
            options.shard,
            repeatable=True,
        )
        self.found["unlisted"] += sum(int(each or 0) < number for each in coverage)


def _form(field: AnyField, raw: bytes | None) -> str:
    """The form in which a moment is stored; "" for none, and for those that tell nothing."""
    if raw is None:
        return ""
    try:
        value = field.decode(raw)
        # Any: what the bytes are made of.
        tree: Any = msgpack.unpackb(raw)
    except (DecodeError, ValueError):
        return ""
    if not isinstance(tree, dict):
        return ""
    text = str(cast("dict[object, object]", tree).get("as_encodable"))
    if isinstance(value, datetime.datetime):
        if "-" in text.partition("T")[0]:
            return "iso"
        return "naive" if value.tzinfo is None else ""
    # A time in our form always has six digits behind the point, and its zone beside it.
    return "iso" if len(text) != len("00:00:00.000000") else ""
