"""assemble weighed 1000: a context of 10 out of 1000 memories by decay, confidence and reads.

What is shown was read; what was found and not shown is trusted less.
"""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.weighing import assembled_by_hand, assembled_by_popoto

COUNT = 1000
TIMES = 3


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield from assembled_by_hand(client, count, TIMES)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield from assembled_by_popoto(client, count, TIMES)
