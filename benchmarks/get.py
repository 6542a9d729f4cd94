"""get: `Restaurant.query.get(name=...)`, one record at a time, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Restaurant, fill, key_of, sample, touched, unpack

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    found = None
    while True:
        yield found
        found = [unpack(client.hgetall(key_of(record["name"]))) for record in records]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    found = None
    while True:
        yield found
        found = [touched(Restaurant.query.get(name=record["name"])) for record in records]
