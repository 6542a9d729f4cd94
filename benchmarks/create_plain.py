"""create plain: `Dish.create(...)`, one new record at a time."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.dish import Dish, sample, store

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    yield
    for record in records:
        with client.pipeline() as pipeline:
            store(pipeline, record)
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    yield
    for record in records:
        Dish.create(**record)
