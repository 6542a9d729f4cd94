"""partial save: `save(update_fields=["seats"])` of a loaded record."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.restaurant import fill, key_of, pack, sample, saved

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    for record in records:
        client.hset(key_of(record["name"]), "seats", pack(record["seats"] + 1))


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    loaded = saved(sample(count))
    yield
    for restaurant in loaded:
        restaurant.seats += 1
        restaurant.save(update_fields=["seats"])
