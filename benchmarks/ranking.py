"""Ranking many memories, touched over a year: both sides find the same records."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgpack
import redis

from benchmarks.by_hand import records
from benchmarks.memory import ALL, RANKING, TEXT, Remembered, key_of

YEAR = 365 * 86_400
BEST = 10


def fill(client: redis.Redis, count: int) -> None:
    """Memories whose moments are spread over a year; only what a ranking looks at."""
    now = time.time()
    with client.pipeline(transaction=False) as pipeline:
        for number in range(count):
            key, moment = key_of(number), now - 3600 - YEAR * number / count
            fields = {"name": f"m{number}", "text": TEXT, "certainty": 0.5, "relevance": moment}
            packed = {name: msgpack.packb(value) for name, value in fields.items()}
            pipeline.hset(key, mapping=packed)
            pipeline.zadd(RANKING, {key: moment})
            pipeline.sadd(ALL, key)
            if number % 5_000 == 0:
                pipeline.execute()
        pipeline.execute()


def ranked_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        found: list[dict[bytes, bytes]] = []
        for _ in range(times):
            keys = client.zrevrange(RANKING, 0, BEST - 1)
            found = records(client, keys)
        yield len(found)


def ranked_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        found: list[object] = []
        for _ in range(times):
            found = Remembered.query.top_by_decay("relevance", n=BEST)
        yield len(found)
