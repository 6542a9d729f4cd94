"""`erase`: everything that a model holds of one subject, removed and looked for.

First the records go, page by page, each by the commit that deletes it with its entries and keys.
Before a page is deleted, its keys are noted on the server (`$Erasing:Model`), with the contents
that these records refer to: whoever erases after a crash takes the note up, and finishes. Then
what mentions them elsewhere is forgotten by who keeps it, and all is looked for once more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.codec import DecodeError
from popoto.engine.keys import as_text, text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request
from popoto.engine.scanning import Scan, literally
from popoto.exceptions import ModelException
from popoto.fields.coercion import CoercionError
from popoto.fields.content.forgetting import references_in
from popoto.fields.describing import describe
from popoto.fields.history.forgetting import forget_in_histories
from popoto.fields.keeping.commit import defined_by_bases
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.keeping.shards import are_apart, forget_empty
from popoto.models.beside.leftovers import take_away, while_missing
from popoto.models.record.loading import StoredView, new_instance
from popoto.models.record.meta import check_subject
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.cleaning import clean_shard
from popoto.models.upkeep.emptying import delete_leftovers
from popoto.models.upkeep.erasure import Erasure
from popoto.models.upkeep.records import SCAN_COUNT
from popoto.models.upkeep.referring import references_to
from popoto.models.upkeep.registry import Registry, check_own_keys
from popoto.models.upkeep.shards import in_turn
from popoto.models.upkeep.stored import StoredWalk, stored_records
from popoto.models.upkeep.walk import EntryWalk
from popoto.models.upkeep.whole import whole_records
from popoto.models.writing.bulk import delete_batch
from popoto.models.writing.conditions import Condition
from popoto.models.writing.rows import Rows, chunks

_Forgetting: TypeAlias = Callable[[Subject], Plan[Mapping[str, Trace]]]

#: How often all is looked for again, while others write records of the subject.
_MOST_PASSES = 3


def erasing_key(model_name: str) -> str:
    """The hash that notes which records are being erased: key -> the contents they refer to."""
    return f"$Erasing:{model_name}"


class _Noted(NamedTuple):
    """What is noted of a record: the contents it refers to, and what said whose it is (in hex)."""

    contents: Sequence[str]
    of: Mapping[str, str]

    @classmethod
    def read(cls, told: bytes) -> Self:
        contents, of = json.loads(told)
        return cls(contents, of)

    def written(self) -> str:
        return json.dumps([self.contents, self.of])

    def holds(self, stored: Mapping[str, bytes]) -> bool:
        return all(stored.get(name, b"").hex() == raw for name, raw in self.of.items())


class Erasing:
    """One erasure of a shard under way."""

    def __init__(
        self,
        model: type[Record],
        options: ModelOptions,
        values: Mapping[str, Any],
        batch_size: int,
        *,
        is_apart: bool,
    ) -> None:
        self.model = model
        self.options = options
        self.is_apart = is_apart
        self.registry = Registry(self.options)
        self.batch_size = batch_size
        self.subject = Subject(self.options, values)
        self.traces: dict[str, Trace] = {"records": Trace()}
        self._note = erasing_key(self.options.model_name)
        self._noted: dict[str, None] = {}

    def plan(self) -> Plan[Erasure]:
        """Erase the subject in one shard."""
        yield from check_own_keys(self.options)
        yield from self._take_up()
        for _ in range(_MOST_PASSES):
            yield from self._delete_records()
            yield from self._forget()
            yield from self._look()
            if not any(trace.remaining for trace in self.traces.values()):
                break
        yield from self._drop_note()
        if self.subject.is_shard and self.is_apart:
            yield from delete_leftovers(self.options, self.batch_size)
        return Erasure(self.options.model_name, self.subject.values, self.traces)

    # The note ------------------------------------------------------------------------------

    def _take_up(self) -> Plan[None]:
        """Go on with what an erasure that did not come to its end has noted, whoever's it was."""
        (flat,) = yield from looked_up([("HGETALL", self._note)], self.options.shard)
        noted = {
            text_of(key): _Noted.read(told) for key, told in zip(flat[::2], flat[1::2], strict=True)
        }
        for some in chunks(noted, self.batch_size):
            stored = yield from stored_records(self.options, some)
            # Under the key of one that was deleted there may be another's by now.
            still = {key: each for key, each in stored.items() if noted[key].holds(each)}
            self._noted.update(dict.fromkeys(some))
            yield from self._delete(still, {name for key in still for name in noted[key].of})
        self.subject.records.update({key: each.contents for key, each in noted.items()})

    def _take_note(self, found: Mapping[str, Mapping[str, bytes]]) -> Plan[None]:
        names, options = list(self.subject.values), self.options
        noted = {
            key: _Noted(references_in(options, each), {name: each[name].hex() for name in names})
            for key, each in found.items()
        }
        pairs = [part for key, each in noted.items() for part in (key, each.written())]
        yield Request.of(("HSET", self._note, *pairs), shard=options.shard, repeatable=True)
        self._noted.update(dict.fromkeys(noted))
        self.subject.records.update({key: each.contents for key, each in noted.items()})

    def _spare_living(self) -> Plan[None]:
        """Leave alone what has been created anew under the key of an erased record."""
        for some in chunks(list(self.subject.records), self.batch_size):
            exist = yield Request(
                [("EXISTS", key) for key in some], self.options.shard, repeatable=True
            )
            for key, exists in zip(some, exist, strict=True):
                if exists:
                    del self.subject.records[key]

    def _drop_note(self) -> Plan[None]:
        for some in chunks(self._noted, self.batch_size):
            yield Request.of(("HDEL", self._note, *some), shard=self.options.shard, repeatable=True)

    # Records -------------------------------------------------------------------------------

    def _delete_records(self) -> Plan[None]:
        """Delete every record of the subject that there is, also those that no index knows."""
        trace = self.traces["records"] = Trace(removed=self.traces["records"].removed)
        walk = StoredWalk(self.options, self.batch_size)
        page = yield from walk.next()
        while page is not None:
            trace.looked_at += len(page)
            found = {key: each for key, each in page.items() if self._is_meant(each)}
            if found:
                yield from self._take_note(found)
                yield from self._delete(found, self.subject.values)
            page = yield from walk.next()

    def _delete(self, found: Mapping[str, Mapping[str, bytes]], names: Iterable[str]) -> Plan[None]:
        """Delete these records, as long as the fields of these names say whose they are."""
        instances = [
            new_instance(self.model, key, dict(each), resolves_references=False)
            for key, each in found.items()
        ]
        rows = Rows(f"{self.options.model_name}.erase", skips_missing=True)
        self.traces["records"].removed += yield from delete_batch(
            self.model, instances, rows, condition=self._still(found, frozenset(names))
        )

    def _still(self, found: Mapping[str, Mapping[str, bytes]], names: frozenset[str]) -> Condition:
        seen = {key: StoredView(self.options, key, each) for key, each in found.items()}
        return Condition(
            names,
            lambda view: all(view.value(name) == seen[view.key].value(name) for name in names),
        )

    def _is_meant(self, stored: Mapping[str, bytes]) -> bool:
        return all(
            name in stored and self._holds(name, stored[name], value)
            for name, value in self.subject.values.items()
        )

    def _holds(self, name: str, raw: bytes, value: Any) -> bool:
        try:
            field = self.options.by_name[name]
            return bool(field.canonical(field.decode(raw)) == value)
        except DecodeError:
            return False

    # What mentions them --------------------------------------------------------------------

    def _forget(self) -> Plan[None]:
        yield from self._spare_living()
        entries = self._trace("index entries")
        entries.removed += yield from clean_shard(self.options, self.batch_size, everywhere=True)
        yield from self._forget_parts()
        yield from self._make_anew()
        for field in self.options.by_name.values():
            self._add((yield from field.forgetting(self.subject)))
        sources: list[_Forgetting] = defined_by_bases(self.model, "_forgetting")
        for source in sources:
            self._add((yield from source(self.subject)))
        self._add((yield from forget_in_histories(self.options, self.subject)))

    def _trace(self, kind: str) -> Trace:
        return self.traces.setdefault(kind, Trace())

    def _add(self, found: Mapping[str, Trace]) -> None:
        for kind, each in found.items():
            trace = self._trace(kind)
            trace.looked_at, trace.remaining = each.looked_at, each.remaining
            trace.removed += each.removed

    def _forget_parts(self) -> Plan[None]:
        """Forget parts of keys that name the subject, where no such key is left."""
        for family in self.registry.families:
            if not family.listed_in:
                continue
            (parts,) = yield from looked_up([("SMEMBERS", family.listed_in)], self.options.shard)
            batches: list[Batch] = []
            for raw in parts:
                part = raw.decode("utf-8", "replace")
                if any(part in self.subject.renderings(name) for name in self.subject.values):
                    batch = while_missing(f"{family.stem}{keys.SEPARATOR}{part}")
                    batch.put("SREM", family.listed_in, part)
                    batches.append(batch)
            yield from take_away(self.options, batches)

    def _make_anew(self) -> Plan[None]:
        """Make anew, from the records that there are, what cannot forget single ones."""
        options = self.options
        fields = [field for field in options.by_name.values() if field.forgets_anew]
        made = [field.rebuilding(options.model_name, options.shard) for field in fields]
        renewals = [each for each in made if each is not None]
        if not renewals or not self.subject.records:
            return
        trace = self._trace("filters")
        trace.removed = len(renewals)
        trace.looked_at = trace.remaining = 0
        for renewal in renewals:
            yield from renewal.begin()
        walk = StoredWalk(options, self.batch_size)
        page = yield from walk.next()
        while page is not None:
            records = yield from whole_records(self.model, self.options, list(page))
            trace.looked_at += len(records)
            for renewal in renewals:
                yield from renewal.add([each.instance for each in records])
            page = yield from walk.next()
        for renewal in renewals:
            trace.remaining += len((yield from renewal.finish()))

    # Looking for what is left --------------------------------------------------------------

    def _look(self) -> Plan[None]:
        records = self.traces["records"]
        records.remaining = 0
        walk = StoredWalk(self.options, self.batch_size)
        page = yield from walk.next()
        while page is not None:
            records.remaining += sum(map(self._is_meant, page.values()))
            page = yield from walk.next()
        yield from self._look_at_entries()
        yield from self._look_at_keys()
        self.traces["references"] = yield from references_to(
            self.options, self.subject.records, self.batch_size
        )

    def _look_at_entries(self) -> Plan[None]:
        trace = self._trace("index entries")
        trace.looked_at = trace.remaining = 0
        walk = EntryWalk(self.options, self.registry, self.batch_size, compares=False)
        found = yield from walk.next()
        while found is not None:
            trace.remaining += sum(self.subject.owns(each.member) for each in found)
            yield from walk.missing_companions()
            found = yield from walk.next()
        trace.looked_at = walk.seen

    def _look_at_keys(self) -> Plan[None]:
        """Look at the names of all keys that may be the model's."""
        trace = self._trace("keys")
        trace.looked_at = trace.remaining = 0
        pattern = b"*" + literally(self.options.model_name) + b"*"
        scan = Scan(self.options.shard, pattern, max(SCAN_COUNT, self.batch_size))
        page = yield from scan.next()
        while page is not None:
            trace.looked_at += len(page)
            texts = [text for key in page if (text := as_text(key)) is not None]
            trace.remaining += sum(self._is_left(text) for text in texts)
            page = yield from scan.next()

    def _is_left(self, key: str) -> bool:
        record = self.registry.companion_of(key) or self.registry.former_list_of(key)
        return record in self.subject.records


def erasing(model: type[Record], subject: Mapping[str, Any], batch_size: int) -> Plan[Erasure]:
    """The plan of `Model.erase`; see there."""
    options = model._meta
    label = f"{options.model_name}.erase"
    if not subject:
        raise ModelException(
            f"{label} needs to be told whose records are meant: {label}(field=value)"
        )
    check_subject(options, subject, label)
    chunks((), batch_size)
    values = {name: _coerced(options.by_name[name], value) for name, value in subject.items()}
    return _in_all_shards(model, values, batch_size)


def _in_all_shards(
    model: type[Record], values: Mapping[str, Any], batch_size: int
) -> Plan[Erasure]:
    """Erase the subject in every shard: what mentions it may be in those of others."""
    options = model._meta
    is_apart = yield from are_apart(options)

    def erased(view: ModelOptions) -> Plan[Erasure]:
        return Erasing(model, view, values, batch_size, is_apart=is_apart).plan()

    done = yield from in_turn(options, erased)
    traces: dict[str, Trace] = {"records": Trace()}
    for erasure in done:
        for kind, each in erasure.traces.items():
            traces.setdefault(kind, Trace()).add(each)
    if is_apart:
        yield from forget_empty(options)
    return Erasure(options.model_name, values, traces)


def _coerced(field: Any, value: Any) -> Any:
    if value is None:
        raise ModelException(f"{field.label}: None says of no record whose it is")
    if field.is_reference:
        return str(getattr(value, "pk", value))
    if hasattr(value, "_meta"):
        raise ModelException(
            f"{field.label} is no reference to records, so {describe(value)} is nobody there: give "
            "the value that tells whose a record is; nothing was removed"
        )
    try:
        return field.canonical(field.coerce(value))
    except CoercionError as error:
        raise ModelException(f"{field.label}: {error}; nothing was removed") from error
