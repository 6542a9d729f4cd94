"""values: two fields of the 1,000 records that one indexed condition finds."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import redis

from benchmarks.restaurant import Restaurant, city_index, fill, in_cities, sample

COUNT = 1000
NAMES = ("name", "seats")


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        with client.pipeline(transaction=False) as pipeline:
            for key in client.smembers(city_index("City 0")):
                pipeline.hmget(key, NAMES)
            found = [
                {"name": msgpack.unpackb(name), "seats": msgpack.unpackb(seats)}
                for name, seats in pipeline.execute()
            ]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, in_cities(sample(count), count))
    found = None
    while True:
        yield found
        found = list(Restaurant.query.filter(city="City 0").values(*NAMES))
