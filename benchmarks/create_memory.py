"""create memory: one record with decay, confidence and associations."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks.memory import TEXT, Remembered, store

COUNT = 100


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    yield
    for number in range(count):
        store(client, number)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    yield
    for number in range(count):
        Remembered.create(name=f"m{number}", text=TEXT)
