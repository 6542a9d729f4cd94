"""Bulk deleting: many records in few round trips, and everything a model has on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from popoto.engine.batch import Batch, GuardFailure
from popoto.engine.keys import SEPARATOR
from popoto.engine.request import Call, Plan, Request, ScriptCall
from popoto.engine.scanning import Scan, literally
from popoto.exceptions import ConflictError, ModelException
from popoto.models.bulk import Matches, Progress
from popoto.models.bulk_commits import MOST_ARGUMENTS, chunks
from popoto.models.deleting import _forget, _removal, is_another, key_to_delete
from popoto.models.hooks import follow_up
from popoto.models.loading import indexed_of, new_instance, stored_of
from popoto.models.options import ModelOptions, overrides
from popoto.models.save_commit import MAX_ATTEMPTS
from popoto.models.upkeep.cleaning import clean_indexes
from popoto.models.upkeep.records import SCAN_COUNT, as_text, read_entries
from popoto.models.upkeep.registry import Registry

if TYPE_CHECKING:
    from popoto.models.base import Model


def bulk_delete(
    model: type[Model], given: Any, batch_size: int, progress: Progress | None
) -> Plan[int]:
    """The plan of `Model.bulk_delete`; see there."""
    chunks((), batch_size)
    handled = 0
    batches = Matches(model, given, batch_size)
    batch = yield from batches.next()
    while batch is not None:
        for instance in batch:
            if getattr(instance, "_meta", None) is not model._meta:
                raise ModelException(
                    f"{model.__name__}.bulk_delete: {instance!r} is no {model.__name__}; nothing "
                    f"of its batch was deleted, {handled} rows of earlier batches were"
                )
        if overrides(model, "delete"):
            for instance in batch:
                yield Call(instance.delete, instance.async_delete)
        else:
            yield from delete_batch(model._meta, batch)
        handled += len(batch)
        if progress is not None:
            progress(handled)
        batch = yield from batches.next()
    return handled


def delete_batch(options: ModelOptions, instances: Sequence[Any]) -> Plan[int]:
    """Delete these records; how many of them existed. One call for up to some 3,000."""
    rows: dict[str, Any] = {}
    for instance in instances:
        rows.setdefault(key_to_delete(instance), instance)
    known: dict[str, dict[str, Any]] = {
        key: instance._stored for key, instance in rows.items() if instance._stored
    }
    yield from _read_unknown(options, [key for key in rows if key not in known], known)
    waiting = [key for key in known if not is_another(rows[key], known[key])]
    deleted = 0
    for _ in range(MAX_ATTEMPTS):
        if not waiting:
            break
        calls = _calls(waiting, rows, known)
        replies = yield Request(
            [batch.call(every=True, replies=False) for batch, _, _ in calls], options.shard
        )
        left: list[str] = []
        for (batch, members, starts), reply in zip(calls, replies, strict=True):
            failures = Batch.failures(reply)
            if not failures:
                deleted += len(members)
                yield from follow_up(batch, options)
                continue
            gone: set[str] = set()
            for failure in failures:
                if failure.guard < 0 or failure.what not in ("holds", "exists"):
                    raise ModelException(
                        f"{options.model_name}: nothing of the batch can be deleted: "
                        f"{failure.what} {failure.details!r}"
                    )
                key = members[starts.index(failure.guard)]
                if failure.what == "exists":
                    gone.add(key)
                else:
                    known[key] = failure.stored(options.index_names)
            left += [key for key in members if key not in gone]
        waiting = left
    if waiting:
        raise ConflictError(
            f"{len(waiting)} records of {options.model_name} were changed by other writers "
            f"{MAX_ATTEMPTS} times while they were being deleted; delete them again"
        )
    for instance in instances:
        _forget(instance)
    return deleted


def _read_unknown(
    options: ModelOptions, keys: Sequence[str], known: dict[str, dict[str, Any]]
) -> Plan[None]:
    """Read what is stored of records that were only constructed; absent ones stay unknown."""
    if not keys:
        return
    replies = yield Request(
        [("HMGET", key, *options.index_names) for key in keys] + [("EXISTS", key) for key in keys],
        options.shard,
        repeatable=True,
    )
    for position, key in enumerate(keys):
        if replies[len(keys) + position]:
            known[key] = indexed_of(options, replies[position])


def _calls(
    keys: Sequence[str],
    rows: dict[str, Any],
    known: dict[str, dict[str, Any]],
) -> list[tuple[Batch, list[str], list[int]]]:
    """The removals, joined into as few calls as may be; each with its keys and first guards."""
    calls: list[tuple[Batch, list[str], list[int]]] = []
    size = MOST_ARGUMENTS
    for key in keys:
        removal = _removal(rows[key], key, known[key], {})
        length = sum(
            len(step[2]) + 3 for steps in (removal.guards, removal.commands) for step in steps
        )
        if size + length > MOST_ARGUMENTS:
            calls.append((Batch(), [], []))
            size = 0
        batch, members, starts = calls[-1]
        starts.append(len(batch.guards))
        members.append(key)
        batch.extend(removal)
        size += length
    return calls


# Everything ----------------------------------------------------------------------------------


def delete_all(model: type[Model], batch_size: int, progress: Progress | None) -> Plan[int]:
    """The plan of `Model.delete_all`; see there."""
    chunks((), batch_size)
    options = model._meta
    deleted = 0
    cursor = "0"
    while True:
        wanted = [(options.class_set_key, "set", cursor)]
        pages, records = yield from read_entries(options, wanted, batch_size, options.hash_names)
        yield from _forget_missing(options, [key for key in records if records[key][0] == 0])
        instances = [
            _instance_of(model, key, values)
            for key, (exists, values) in records.items()
            if exists == 1 and key.startswith(options.model_name + SEPARATOR)
        ]
        if overrides(model, "delete"):
            for instance in instances:
                deleted += bool((yield Call(instance.delete, instance.async_delete)))
        elif instances:
            deleted += yield from delete_batch(options, instances)
        if progress is not None and instances:
            progress(deleted)
        cursor = pages[0][1].decode("ascii")
        if cursor == "0":
            break
    return deleted + (yield from _delete_leftovers(model, batch_size))


def _forget_missing(options: ModelOptions, missing: Sequence[str]) -> Plan[None]:
    """Take records that are gone out of the class set; what else they left goes at the end."""
    calls: list[ScriptCall] = []
    for key in missing:
        batch = Batch()
        batch.guard("absent", key)
        options.remove_member(batch, key)
        calls.append(batch.call())
    if calls:
        yield Request(calls, options.shard, repeatable=True)


def _instance_of(model: type[Model], key: str, values: Sequence[Any]) -> Any:
    options = model._meta
    stored = stored_of(options, values, [()] * len(options.list_names)) or {}
    return new_instance(model, key, stored, resolves_references=False)


def _delete_leftovers(model: type[Model], batch_size: int) -> Plan[int]:
    """Delete what is left of a model without records; the records among it that no index knew.

    Where another writer has created records meanwhile, theirs stay, and only entries without
    record are removed.
    """
    options = model._meta
    registry = Registry(options)
    pattern = b"*" + literally(options.model_name) + b"*"
    scan = Scan(options.shard, pattern, max(SCAN_COUNT, batch_size))
    unlisted = 0
    found = yield from scan.next()
    while found is not None:
        texts = [text for key in found if (text := as_text(key)) is not None]
        beside = [key for key in texts if registry.is_of_model(key) or registry.companion_of(key)]
        records = [key for key in texts if registry.is_record_key(key)]
        if records:
            kinds = yield Request(
                [("TYPE", key) for key in records], options.shard, repeatable=True
            )
            hashes = [key for key, kind in zip(records, kinds, strict=True) if kind == b"hash"]
            unlisted += len(hashes)
            beside += hashes
        for first in range(0, len(beside), batch_size):
            batch = Batch()
            batch.guard("absent", options.class_set_key)
            for key in beside[first : first + batch_size]:
                batch.put("DEL", key)
            (reply,) = yield Request.of(batch.call(), shard=options.shard, repeatable=True)
            if isinstance(Batch.outcome(reply), GuardFailure):
                yield from clean_indexes(model, batch_size)
                return 0
        found = yield from scan.next()
    return unlisted
