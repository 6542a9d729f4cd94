"""The memory model of the benchmarks, and its layout on the server, written by hand."""

from __future__ import annotations

import time

import msgpack
import redis

from popoto import (
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    KeyField,
    Model,
    StringField,
)

RANKING = "$DecayingSortF:Remembered:relevance"
EVIDENCE = "$ConfidencF:Remembered:certainty:data"
EDGES = "$CoOccurrencF:Remembered:together:"
ALL = "$Class:Remembered"
FIRST = msgpack.packb(
    {"confidence": 0.5, "evidence_count": 0, "corroborations": 0, "contradictions": 0}
)
TEXT = "A long room, a short menu, and bread that is worth the journey. " * 2


class Remembered(Model):
    name = KeyField()
    text = StringField(default="")
    certainty = ConfidenceField()
    relevance = DecayingSortedField(decay_rate=0.5)
    together = CoOccurrenceField()


def key_of(number: int) -> str:
    return f"Remembered:m{number}"


def store(client: redis.Redis, number: int) -> None:
    """What a careful user of redis-py would write for the same keys."""
    key, now = key_of(number), time.time()
    fields = {
        "name": msgpack.packb(f"m{number}"),
        "text": msgpack.packb(TEXT),
        "certainty": msgpack.packb(0.5),
        "relevance": msgpack.packb(now),
        "together": b"\xc0",
    }
    with client.pipeline() as pipeline:
        pipeline.hset(key, mapping=fields)
        pipeline.sadd(ALL, key)
        pipeline.sadd(f"$KeyF:Remembered:name:m{number}", key)
        pipeline.zadd(RANKING, {key: now})
        pipeline.hset(EVIDENCE, key, FIRST)
        pipeline.execute()


def saved(count: int) -> list[Remembered]:
    """Stored memories; the published package stores them one by one."""
    memories = [Remembered(name=f"m{number}", text=TEXT) for number in range(count)]
    for memory in memories:
        memory.save()
    return memories
