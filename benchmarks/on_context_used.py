"""on context used: what became of 10 memories, of which half were acted on and half contradicted.

One call for the 10; the figure is that of one memory. By hand the evidence is read, computed and
written back, which loses updates of other processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgpack
import redis

from benchmarks.by_hand import learn
from benchmarks.memory import EVIDENCE, RANKING, Remembered, key_of, saved, store
from popoto import ObservationProtocol

COUNT = 200
SHOWN = 10
ACTED, CONTRADICTED = 0.9, 0.1


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    for number in range(count):
        store(client, number)
    yield
    for first in range(0, count, SHOWN):
        use_by_hand(client, range(first, first + SHOWN))


def use_by_hand(client: redis.Redis, numbers: Sequence[int]) -> None:
    found = client.hmget(EVIDENCE, [key_of(number) for number in numbers])
    with client.pipeline() as pipeline:
        for number, stored in zip(numbers, found, strict=True):
            key, evidence = key_of(number), msgpack.unpackb(stored)
            fields = {}
            if number % 2 == 0:
                now = time.time()
                fields["relevance"] = msgpack.packb(now)
                pipeline.zadd(RANKING, {key: now})
            learn(evidence, ACTED if number % 2 == 0 else CONTRADICTED)
            fields["certainty"] = msgpack.packb(evidence["confidence"])
            pipeline.hset(key, mapping=fields)
            pipeline.hset(EVIDENCE, key, msgpack.packb(evidence))
        pipeline.execute()


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    memories: list[Remembered] = saved(count)
    yield
    for first in range(0, count, SHOWN):
        outcomes = {
            key_of(number): "acted" if number % 2 == 0 else "contradicted"
            for number in range(first, first + SHOWN)
        }
        ObservationProtocol.on_context_used(memories[first : first + SHOWN], outcomes)
