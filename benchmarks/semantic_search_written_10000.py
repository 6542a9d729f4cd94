"""semantic search, right after a write: the nearest 10 of some memories, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.semantic import searched_by_hand, searched_by_popoto

COUNT = 10000
TIMES = 10


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from searched_by_hand(client, count, TIMES, writes=True)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from searched_by_popoto(client, count, TIMES, writes=True)
