"""touch: the moment of one record, in its hash and in its ranking."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgpack
import redis

from benchmarks.memory import RANKING, key_of, saved, store

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    for number in range(count):
        store(client, number)
    yield
    for number in range(count):
        key, now = key_of(number), time.time()
        with client.pipeline() as pipeline:
            pipeline.hset(key, "relevance", msgpack.packb(now))
            pipeline.zadd(RANKING, {key: now})
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    memories = saved(count)
    yield
    for memory in memories:
        memory.touch("relevance")
