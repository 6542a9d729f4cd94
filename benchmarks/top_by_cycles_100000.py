"""top by cycles 100000: the best 10 of 100000 memories whose relevance comes back every week."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.cyclic_ranking import ranked_by_hand, ranked_by_popoto

COUNT = 100000
TIMES = 3


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from ranked_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from ranked_by_popoto(client, count, TIMES)
