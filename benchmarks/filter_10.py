"""filter 10: an indexed condition that finds 10 of 200 records, every field read; for each city."""

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

COUNT = 200
SIZE = 10


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), SIZE))
    cities = [f"City {number}" for number in range(count // SIZE)]
    found = None
    while True:
        yield found
        found = []
        for city in cities:
            with client.pipeline(transaction=False) as pipeline:
                for key in client.smembers(city_index(city)):
                    pipeline.hgetall(key)
                found += [unpack(stored) for stored in pipeline.execute()]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), SIZE))
    cities = [f"City {number}" for number in range(count // SIZE)]
    found = None
    while True:
        yield found
        found = []
        for city in cities:
            found += [touched(restaurant) for restaurant in Restaurant.query.filter(city=city)]
