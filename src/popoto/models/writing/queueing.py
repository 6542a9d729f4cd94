"""Saving into a caller's own pipeline, and finding out later whether that was carried out.

A queued commit is built on what the server holds now, or on what was queued before it. When
the pipeline runs, its guards are checked like those of any other commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from popoto.engine import keys
from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, queue
from popoto.engine.request import Plan, Request
from popoto.models.record.checking import Stored, encoded
from popoto.models.record.loading import indexed_of
from popoto.models.writing.contents import store_contents

if TYPE_CHECKING:
    from popoto.models.writing.saving import SaveCommit


def queue_save(commit: SaveCommit, pipeline: Any) -> Plan[Any]:
    """Queue a commit on the caller's pipeline; checks read the server directly."""
    queued = QueuedCommits.of(pipeline)
    yield from _learn_what_is_stored(commit, queued)
    yield from store_contents(commit)
    batch = commit.batch()
    yield from _check_uniqueness_now(commit, batch)
    queue(pipeline, batch, commit.options.shard)
    after = {**(commit.known or {}), **commit.changed}
    if commit.moves:
        queued.records[commit.old_key] = None
    queued.records[commit.key] = after
    commit.remember(persisted=False)
    return pipeline


def _learn_what_is_stored(commit: SaveCommit, queued: QueuedCommits) -> Plan[None]:
    options = commit.options
    stored, note, taken = yield Request.of(
        ("HMGET", commit.old_key, *options.index_names),
        ("HGET", options.expiry_values_key, commit.key),
        ("EXISTS", commit.key),
        shard=options.shard,
        repeatable=True,
    )
    if commit.old_key in queued.records:
        commit.believe(queued.records[commit.old_key])
    else:
        present = any(value is not None for value in stored)
        commit.believe(indexed_of(commit.options, stored) if present else None)
    if commit.key in queued.records:
        taken = queued.records[commit.key] is not None
    elif not taken:
        commit.note = note or b""
    if taken and commit.moves:
        commit.meet_existing({})


def _check_uniqueness_now(commit: SaveCommit, batch: Batch) -> Plan[None]:
    """Tell at once what is refused already; the commit checks again when it runs."""
    guards = [step for step in batch.guards if step[0] in ("claim", "slot")]
    if not guards:
        return
    check = Batch()
    check.guards = guards
    (reply,) = yield Request((check.call(),), commit.options.shard, repeatable=True)
    outcome = Batch.outcome(reply)
    if isinstance(outcome, GuardFailure):
        if outcome.what in ("claim", "slot"):
            raise commit.uniqueness_error(outcome, 0)
        commit.learn(outcome)


def note_unconfirmed(commit: SaveCommit, *, persisted: bool) -> None:
    """Keep what stood in fields before a pipeline's write of them, which may never happen."""
    instance = commit.instance
    if persisted and instance._unconfirmed is None:
        return
    kept = dict(instance._unconfirmed or {})
    for name in commit.changed:
        if persisted:
            kept.pop(name, None)
        else:
            before = {instance._stored.get(name), (commit.known or {}).get(name)}
            kept[name] = kept.get(name, set()) | before
    instance._unconfirmed = None if persisted and not commit.partial else kept or None


def confirm(commit: SaveCommit) -> Plan[None]:
    """Write again what was queued on a pipeline that, as it turns out, was not carried out."""
    unconfirmed = commit.instance._unconfirmed
    if not unconfirmed or commit.known is None or commit.partial:
        return
    names = [name for name in unconfirmed if name not in commit.changed]
    if not names:
        return
    lists = commit.options.list_names
    replies = yield Request(
        [
            ("LRANGE", keys.capped_list_key(commit.old_key, name), 0, -1)
            if name in lists
            else ("HGET", commit.old_key, name)
            for name in names
        ],
        commit.options.shard,
        repeatable=True,
    )
    for name, reply in zip(names, replies, strict=True):
        found: Stored = tuple(reply) if name in lists else reply
        # Neither what was queued nor what was there before is another writer's: it stays.
        if found != commit.instance._stored.get(name) and found in unconfirmed[name]:
            commit.changed[name] = encoded(commit.instance, name)
