"""delete plain: `dish.delete()` of a loaded record, with all its index entries."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.dish import fill, sample, saved, take_away

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    for record in records:
        with client.pipeline() as pipeline:
            take_away(pipeline, record)
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    loaded = saved(sample(count))
    yield
    for dish in loaded:
        dish.delete()
