"""`clean_indexes`: removing the entries of records that are gone, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.request import Plan
from popoto.fields.keeping.pointers import put_no_pointers
from popoto.models.beside.leftovers import take_away, while_missing
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.upkeep.registry import Registry, check_own_keys
from popoto.models.upkeep.shards import in_turn
from popoto.models.upkeep.walk import CompanionWalk, EntryWalk, Finding
from popoto.models.writing.rows import chunks


def clean_indexes(model: type[Record], batch_size: int) -> Plan[int]:
    """The plan of `Model.clean_indexes`; see there."""
    chunks((), batch_size)
    return sum((yield from in_turn(model._meta, lambda each: clean_shard(each, batch_size))))


def clean_shard(options: ModelOptions, batch_size: int, *, everywhere: bool = False) -> Plan[int]:
    """Clean one shard; `everywhere`: also of what only former definitions of the model kept."""
    registry = Registry(options)
    yield from check_own_keys(options)
    walk = EntryWalk(options, registry, batch_size, compares=False)
    removed = 0
    found = yield from walk.next()
    while found is not None:
        removed += yield from remove_orphans(options, found)
        removed += yield from delete_companions(options, (yield from walk.missing_companions()))
        found = yield from walk.next()
    removed += yield from clean_companions(options, registry, batch_size, everywhere=everywhere)
    return removed


def clean_companions(
    options: ModelOptions, registry: Registry, batch_size: int, *, everywhere: bool = False
) -> Plan[int]:
    """Delete the keys of their own that records left that are gone; see `CompanionWalk`."""
    walk = CompanionWalk(options, registry, batch_size, everywhere=everywhere)
    removed = 0
    found = yield from walk.next()
    while found is not None:
        removed += yield from delete_companions(options, found)
        found = yield from walk.next()
    return removed


def delete_companions(options: ModelOptions, found: Sequence[tuple[str, str]]) -> Plan[int]:
    """Delete (key, record key), each in a step that makes sure that its record is still missing."""
    batches: list[Batch] = []
    for key, record in found:
        batch = while_missing(record)
        pointer = keys.pointer(key)
        if pointer is None:
            batch.put("DEL", key)
        else:
            # A living record may have such a name.
            put_no_pointers(batch, pointer[0], pointer[1:])
        batches.append(batch)
    return _total((yield from take_away(options, batches)))


def remove_orphans(options: ModelOptions, findings: Sequence[Finding]) -> Plan[int]:
    """Remove entries whose record is missing, if it still is. Returns how many were counted.

    All entries of one record that these findings name go in one step. One round trip.
    """
    by_record: dict[str, Batch] = {}
    silent: dict[str, Batch] = {}
    for finding in findings:
        if finding.record is not None:
            continue
        # What is kept in order silently goes in steps whose replies are not counted.
        batches = by_record if finding.family.section else silent
        batch = batches.get(finding.member)
        if batch is None:
            batch = batches[finding.member] = while_missing(finding.member)
        finding.family.remove(batch, finding.key, finding.item, finding.member)
    removed = yield from take_away(options, list(by_record.values()))
    yield from take_away(options, list(silent.values()))
    return _total(removed)


def _total(removed: Sequence[int | None]) -> int:
    return sum(count or 0 for count in removed)
