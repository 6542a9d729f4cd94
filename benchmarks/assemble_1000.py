"""assemble 1000: a context of 10 of 1000 texts, beside NumPy and one fetch."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.recalling import assembled_by_hand, assembled_by_popoto

COUNT = 1000
TIMES = 21


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from assembled_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from assembled_by_popoto(client, count, TIMES)
