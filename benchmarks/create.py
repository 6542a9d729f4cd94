"""create: `Restaurant.create(...)`, one new record at a time."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Record, Restaurant, store

COUNT = 1000


def by_hand(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    yield
    for record in records:
        with client.pipeline() as pipeline:
            store(pipeline, record)
            pipeline.execute()


def by_popoto(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    yield
    for record in records:
        Restaurant.create(**record)
