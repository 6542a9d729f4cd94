"""update confidence: one signal for one record.

By hand the evidence is read, computed and written back, which loses updates of other processes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import redis

from benchmarks.by_hand import learn
from benchmarks.memory import EVIDENCE, Remembered, key_of, saved, store
from popoto import ConfidenceField

COUNT = 100
SIGNAL = 0.9


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    for number in range(count):
        store(client, number)
    yield
    for number in range(count):
        key = key_of(number)
        found = msgpack.unpackb(client.hget(EVIDENCE, key))
        learn(found, SIGNAL)
        with client.pipeline() as pipeline:
            pipeline.hset(EVIDENCE, key, msgpack.packb(found))
            pipeline.hset(key, "certainty", msgpack.packb(found["confidence"]))
            pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    memories: list[Remembered] = saved(count)
    yield
    for memory in memories:
        ConfidenceField.update_confidence(memory, "certainty", SIGNAL)
