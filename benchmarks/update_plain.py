"""update plain: two fields of a loaded record change, then `save()`."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import redis

from benchmarks.dish import fill, key_of, sample, saved

COUNT = 100
NOTE = "Sold out."


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    records = sample(count)
    fill(client, records)
    yield
    for record in records:
        changes = {"price": msgpack.packb(record["price"] + 1), "note": msgpack.packb(NOTE)}
        client.hset(key_of(record["name"]), mapping=changes)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    dishes = saved(sample(count))
    yield
    for dish in dishes:
        dish.price += 1
        dish.note = NOTE
        dish.save()
