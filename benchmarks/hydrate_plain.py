"""hydrate plain: all 10,000 records of a model, every field read."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.dish import ALL, Dish, fill, sample, touched, unpack

COUNT = 10_000


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, sample(count))
    found = None
    while True:
        yield found
        with client.pipeline(transaction=False) as pipeline:
            for key in client.smembers(ALL):
                pipeline.hgetall(key)
            found = [unpack(stored) for stored in pipeline.execute()]


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, sample(count))
    found = None
    while True:
        yield found
        found = [touched(dish) for dish in Dish.query.all()]
