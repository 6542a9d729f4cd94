"""composite score 100000: the best 10 of 100000 memories by decay, confidence and reads."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.weighing import weighed_by_hand, weighed_by_popoto

COUNT = 100000
TIMES = 3


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from weighed_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from weighed_by_popoto(client, count, TIMES)
