"""hydrate: all 10,000 records that one indexed condition finds, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import (
    Restaurant,
    city_index,
    fill,
    in_cities,
    sample,
    touched,
    unpack,
)

COUNT = 10000


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        with client.pipeline(transaction=False) as pipeline:
            for key in client.smembers(city_index("City 0")):
                pipeline.hgetall(key)
            found = [unpack(stored) for stored in pipeline.execute()]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        found = [touched(restaurant) for restaurant in Restaurant.query.filter(city="City 0")]
