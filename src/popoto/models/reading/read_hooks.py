"""`on_read` of records that are handed to a caller."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from popoto import redis_db
from popoto.engine.batch import Batch
from popoto.engine.request import Command, Plan, Request
from popoto.fields.keeping.shards import by_shard
from popoto.models.record.record import Record


def read_hooks(model: type[Record], instances: Iterable[Any]) -> Plan[None]:
    """Call `on_read` of instances that have it: one round trip, on a cluster to each node.

    One more for what no script may call. They write, so reads of replicas call none.
    """
    if not hasattr(model, "on_read") or getattr(model, "_track_reads", True) is False:
        return
    if redis_db.reads_replicas():
        return
    calls: list[Command] = []
    places: list[str] = []
    after: list[Command] = []
    places_after: list[str] = []
    # A record that is handed out twice, as its key was asked for twice, was read once.
    once = {instance.pk: instance for instance in instances}.values()
    for options, together in (yield from by_shard(model._meta, once, attrgetter("pk"))):
        batch = Batch()
        for instance in together:
            instance.on_read(pipeline=batch)
        if batch.commands:
            calls.append(batch.call())
            places.append(options.shard)
        after += batch.after
        places_after += [options.shard] * len(batch.after)
    for commands, shards in ((calls, places), (after, places_after)):
        if commands:
            yield Request(commands, model._meta.shard, shards=shards)
