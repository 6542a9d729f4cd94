"""get many: 1,000 records in one `Restaurant.query.get_many([...])`, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Restaurant, fill, key_of, sample, touched, unpack

COUNT = 1000


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    keys = [key_of(record["name"]) for record in records]
    found = None
    while True:
        yield found
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            found = [unpack(stored) for stored in pipeline.execute()]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    keys = [key_of(record["name"]) for record in records]
    found = None
    while True:
        yield found
        found = [touched(restaurant) for restaurant in Restaurant.query.get_many(keys)]
