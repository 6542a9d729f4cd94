"""get: `Restaurant.query.get(name=...)`, one record at a time, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Record, Restaurant, fill, key_of, touch, unpack

COUNT = 1000


def by_hand(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    yield
    for record in records:
        unpack(client.hgetall(key_of(record["name"])))


def by_popoto(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    yield
    for record in records:
        touch(Restaurant.query.get(name=record["name"]))
