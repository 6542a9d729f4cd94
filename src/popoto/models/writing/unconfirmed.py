"""What became of values that were queued on a pipeline of the caller's own."""

from __future__ import annotations

from popoto.engine import keys
from popoto.engine.batch import QueuedCommits
from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.models.writing.change import Change
from popoto.models.writing.operation import looked_up


def not_carried_out(change: Change, queued: QueuedCommits | None) -> Plan[list[str]]:
    """The fields whose queued value is not stored, and where no other writer stored one since.

    Where one did, the instance has that value from now on. `queued`: what waits in the pipeline
    into which the change goes, where it goes into one; then nothing is taken over.
    """
    unconfirmed = change.instance._unconfirmed or {}
    names = [name for name in unconfirmed if name not in change.changed]
    if not names:
        return []
    options, key = change.options, change.old_key
    lists = options.list_names
    replies = yield from looked_up(
        [
            ("LRANGE", keys.capped_list_key(key, name), 0, -1)
            if name in lists
            else ("HGET", key, name)
            for name in names
        ],
        options.shard,
    )
    written = queued.written.get(key, {}) if queued is not None else {}
    lost: list[str] = []
    for name, reply in zip(names, replies, strict=True):
        stored: Stored | None = tuple(reply) if name in lists else reply
        found = written.get(name, stored)
        # Neither what was queued nor what was there before is another writer's.
        if found == change.instance._stored.get(name):
            continue
        if found in unconfirmed[name]:
            lost.append(name)
        elif queued is None and found is not None:
            change.take_over(name, found)
    return lost
