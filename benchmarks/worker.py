"""Runs single rounds for `benchmarks.measure`, in the environment of one side.

Each line on standard input names an operation; the answer is one line: the seconds that its round
took for each record. The server is that of REDIS_URL, which popoto, published or ours, reads too.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol, cast

import redis

from benchmarks.restaurant import Record, sample


class Operation(Protocol):
    """What one file of this directory offers.

    Both functions prepare, yield, and do the work that is timed.
    """

    COUNT: int

    def by_hand(self, client: redis.Redis, records: list[Record]) -> Iterator[None]: ...

    def by_popoto(self, client: redis.Redis, records: list[Record]) -> Iterator[None]: ...


def operation(name: str) -> Operation:
    return cast("Operation", importlib.import_module(f"benchmarks.{name}"))


def run_round(name: str, side: str, client: redis.Redis) -> float:
    """One round on an emptied server.

    Returns:
        Seconds that the timed part took for each of its records.
    """
    client.flushall()
    chosen = operation(name)
    steps = getattr(chosen, side)(client, sample(chosen.COUNT))
    next(steps)
    gc.collect()
    start = time.perf_counter()
    next(steps, None)
    return (time.perf_counter() - start) / chosen.COUNT


def main() -> None:
    side = sys.argv[1]
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        for line in sys.stdin:
            print(run_round(line.strip(), side, client), flush=True)


if __name__ == "__main__":
    main()
