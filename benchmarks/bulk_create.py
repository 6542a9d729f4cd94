"""bulk create: 1,000 new records in one `Restaurant.bulk_create([...])`."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Restaurant, sample, store

COUNT = 1000


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    yield
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            store(pipeline, record)
        pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    yield
    Restaurant.bulk_create([Restaurant(**record) for record in records])
