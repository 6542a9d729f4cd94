"""`delete_all`: everything that a model has on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.keys import SEPARATOR, as_text
from popoto.engine.looking_up import members_of
from popoto.engine.outcome import wrong_kind
from popoto.engine.request import Plan, Request
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.shards import are_apart, forget_empty, in_every_shard
from popoto.models.beside.leftovers import take_away, while_missing
from popoto.models.record.loading import new_instance, stored_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.cleaning import clean_shard
from popoto.models.upkeep.records import SCAN_COUNT, read_entries
from popoto.models.upkeep.registry import Registry
from popoto.models.upkeep.shards import in_turn
from popoto.models.upkeep.walk import former_lists
from popoto.models.writing.bulk import delete_batch
from popoto.models.writing.depending import leaving
from popoto.models.writing.rows import Progress, Rows, chunks, telling


def delete_all(model: type[Record], batch_size: int, progress: Progress | None) -> Plan[int]:
    """The plan of `Model.delete_all`; see there."""
    chunks((), batch_size)
    options = model._meta
    rows = Rows(f"{options.model_name}.delete_all", progress=progress)
    return (yield from telling(rows, _emptied(model, batch_size, rows)))


def _emptied(model: type[Record], batch_size: int, rows: Rows) -> Plan[int]:
    options = model._meta
    later = yield from leaving(model, _listed(options), batch_size)
    left = yield from in_turn(
        options, lambda each: _empty_shard(model, each, batch_size, rows, later)
    )
    if (yield from are_apart(options)):
        yield from forget_empty(options)
    return rows.done + sum(left)


def _listed(options: ModelOptions) -> Plan[list[str]]:
    """The keys of all records, as the class sets of the shards tell them."""
    found = yield from in_every_shard(
        options, lambda each: members_of(each.class_set_key, each.shard)
    )
    return [key for of_shard in found for key in of_shard]


def _empty_shard(
    model: type[Record], options: ModelOptions, batch_size: int, rows: Rows, later: set[str]
) -> Plan[int]:
    """Delete the records of one shard. Returns how many there were that no index knew."""
    cursor = "0"
    while True:
        wanted = [(options.class_set_key, "set", cursor)]
        pages, records = yield from read_entries(options, wanted, batch_size, options.hash_names)
        if pages[0].kind not in ("set", "none"):
            raise wrong_kind(options.class_set_key, pages[0].kind, "set")
        yield from _forget_missing(options, [key for key in records if records[key][0] == 0])
        instances = [
            _instance_of(model, key, values)
            for key, (exists, values) in records.items()
            if exists == 1 and key.startswith(options.model_name + SEPARATOR)
        ]
        if instances:
            done = yield from delete_batch(model, instances, rows, later)
            rows.end_batch(done, len(instances))
        cursor = pages[0].cursor
        if cursor == "0":
            break
    return (yield from delete_leftovers(options, batch_size))


def _forget_missing(options: ModelOptions, missing: Sequence[str]) -> Plan[None]:
    """Take records that are gone out of the class set; what else they left goes at the end."""
    batches: list[Batch] = []
    for key in missing:
        batch = while_missing(key)
        options.remove_member(batch, key)
        batches.append(batch)
    yield from take_away(options, batches)


def _instance_of(model: type[Record], key: str, values: Sequence[bytes | None]) -> Any:
    options = model._meta
    stored = stored_of(options, values, [()] * len(options.list_names)) or {}
    return new_instance(model, key, stored, resolves_references=False)


def delete_leftovers(options: ModelOptions, batch_size: int) -> Plan[int]:
    """Delete what is left of a model without records; the records among it that no index knew.

    Where another writer has created records meanwhile, theirs stay, and only entries without
    record are removed.
    """
    registry = Registry(options)
    pattern = b"*" + literally(options.model_name) + b"*"
    scan = Scan(options.shard, pattern, max(SCAN_COUNT, batch_size))
    unlisted = 0
    found = yield from scan.next()
    while found is not None:
        texts = [text for key in found if (text := as_text(key)) is not None]
        beside = [key for key in texts if registry.is_of_model(key) or registry.companion_of(key)]
        former = yield from former_lists(options, registry, texts)
        beside += [key for key, _ in former]
        records = [key for key in texts if registry.is_record_key(key)]
        if records:
            kinds = yield Request(
                [("TYPE", key) for key in records], options.shard, repeatable=True
            )
            hashes = [key for key, kind in zip(records, kinds, strict=True) if kind == b"hash"]
            unlisted += len(hashes)
            beside += hashes
        for first in range(0, len(beside), batch_size):
            if not (yield from _deleted(options, beside[first : first + batch_size])):
                yield from clean_shard(options, batch_size)
                return 0
        found = yield from scan.next()
    return unlisted


def _deleted(options: ModelOptions, found: Sequence[str]) -> Plan[bool]:
    """Delete these keys, unless the class set names a record by now."""
    batch = while_missing(options.class_set_key)
    for key in found:
        batch.put("DEL", key)
    (outcome,) = yield from outcomes([batch], options.shard, upkeep=True)
    if isinstance(outcome, GuardFailure) and outcome.guard < 0:
        raise outcome.error()
    return not isinstance(outcome, GuardFailure)
