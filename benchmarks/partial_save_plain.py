"""partial save plain: `save(update_fields=["portions"])` of a loaded record."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import redis

from benchmarks.dish import fill, key_of, sample, saved

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    for record in records:
        client.hset(key_of(record["name"]), "portions", msgpack.packb(record["portions"] + 1))


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    loaded = saved(sample(count))
    yield
    for dish in loaded:
        dish.portions += 1
        dish.save(update_fields=["portions"])
