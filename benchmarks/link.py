"""link: an edge between two records, both ways."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.memory import EDGES, Remembered, key_of

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield
    for number in range(count):
        source, target = key_of(number), key_of(number + 1)
        with client.pipeline() as pipeline:
            pipeline.zadd(EDGES + source, {target: 0.1}, nx=True)
            pipeline.zadd(EDGES + target, {source: 0.1}, nx=True)
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    field = Remembered._meta.fields["together"]
    yield
    for number in range(count):
        field.link(Remembered, key_of(number), key_of(number + 1))
