"""hydrate: all 1,000 records that an indexed condition finds, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Record, Restaurant, city_index, fill, touch, unpack

COUNT = 1000
CITY = "London"


def in_one_city(records: list[Record]) -> list[Record]:
    return [record | {"city": CITY} for record in records]


def by_hand(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, in_one_city(records))
    yield
    with client.pipeline(transaction=False) as pipeline:
        for key in client.smembers(city_index(CITY)):
            pipeline.hgetall(key)
        for stored in pipeline.execute():
            unpack(stored)


def by_popoto(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, in_one_city(records))
    yield
    for restaurant in Restaurant.query.filter(city=CITY):
        touch(restaurant)
