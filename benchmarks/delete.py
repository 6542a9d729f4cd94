"""delete: `restaurant.delete()` of a loaded record, with all its index entries."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Record, fill, load_all, take_away

COUNT = 1000


def by_hand(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    yield
    for record in records:
        with client.pipeline() as pipeline:
            take_away(pipeline, record)
            pipeline.execute()


def by_popoto(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    restaurants = load_all(records)
    yield
    for restaurant in restaurants:
        restaurant.delete()
