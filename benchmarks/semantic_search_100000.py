"""semantic search 100000: the nearest 10 of 100000 memories, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.semantic import searched_by_hand, searched_by_popoto

COUNT = 100000
TIMES = 5


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from searched_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from searched_by_popoto(client, count, TIMES)
