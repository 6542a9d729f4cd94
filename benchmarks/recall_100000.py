"""recall 100000: the best 10 of 100000 texts by words and meaning, beside NumPy and one fetch."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.recalling import recalled_by_hand, recalled_by_popoto

COUNT = 100000
TIMES = 21


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from recalled_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from recalled_by_popoto(client, count, TIMES)
