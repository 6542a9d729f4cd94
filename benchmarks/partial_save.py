"""partial save: `save(update_fields=["seats"])` of a loaded record."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import Record, fill, key_of, load_all, pack

COUNT = 1000


def by_hand(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    yield
    for record in records:
        client.hset(key_of(record["name"]), "seats", pack(record["seats"] + 1))


def by_popoto(client: redis.Redis, records: list[Record]) -> Iterator[None]:
    fill(client, records)
    restaurants = load_all(records)
    yield
    for restaurant in restaurants:
        restaurant.seats += 1
        restaurant.save(update_fields=["seats"])
