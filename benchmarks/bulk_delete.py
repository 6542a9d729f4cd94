"""bulk delete: 1,000 loaded records in one `Restaurant.bulk_delete([...])`."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Restaurant, fill, sample, saved, take_away

COUNT = 1000


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            take_away(pipeline, record)
        pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    restaurants = saved(sample(count))
    yield
    Restaurant.bulk_delete(restaurants)
