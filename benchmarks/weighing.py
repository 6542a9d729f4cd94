"""Ranking memories by decay, confidence and reads together, and making a context of the best.

By hand all of it is read and computed by the client, which loses updates of other processes.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import redis

from benchmarks.by_hand import learn, records
from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    ContextAssembler,
    DecayingSortedField,
    KeyField,
    Model,
)

BEST = 10
NOT_SHOWN = 0.3
"""What memories learn that were found and not shown."""
YEAR = 365 * 86_400
WEIGHTS = {"relevance": 0.5, "certainty": 0.3, "access_count": 0.2}
RANKING = "$DecayingSortF:Weighed:relevance"
EVIDENCE = "$ConfidencF:Weighed:certainty:data"
READS = "$AT:Weighed:meta:"
STAGED = "$AT:Weighed:staged:"


class Weighed(AccessTrackerMixin, Model):
    name = KeyField()
    certainty = ConfidenceField()
    relevance = DecayingSortedField(decay_rate=0.5)


def fill(client: redis.Redis, count: int) -> None:
    """Memories touched over a year; of half of them reads were confirmed, up to nine."""
    now, chance = time.time(), random.Random(count)
    with client.pipeline(transaction=False) as pipeline:
        for number in range(count):
            key, moment = f"Weighed:m{number}", now - 3600 - YEAR * chance.random()
            fields = {"name": f"m{number}", "certainty": 0.5, "relevance": moment}
            evidence = {"confidence": chance.random(), "evidence_count": 3}
            evidence |= {"corroborations": 2, "contradictions": 1}
            pipeline.hset(key, mapping={name: msgpack.packb(fields[name]) for name in fields})
            pipeline.zadd(RANKING, {key: moment})
            pipeline.hset(EVIDENCE, key, msgpack.packb(evidence))
            pipeline.sadd("$Class:Weighed", key)
            pipeline.zadd("$Values:Weighed:$keys", {key: 0})
            if number % 2:
                pipeline.hset(READS + key, mapping={"access_count": chance.randrange(1, 10)})
            if number % 1000 == 0:
                pipeline.execute()
        pipeline.execute()


def best_by_hand(client: redis.Redis, most: int) -> list[bytes]:
    """Keys, the best first: all of it read, and computed here."""
    now, totals = time.time(), dict.fromkeys(client.smembers("$Class:Weighed"), 0.0)
    for key, moment in client.zrange(RANKING, 0, -1, withscores=True):
        days = max((now - moment) / 86_400, 0.01)
        totals[key] += WEIGHTS["relevance"] * days**-0.5
    for key, evidence in client.hgetall(EVIDENCE).items():
        totals[key] += WEIGHTS["certainty"] * msgpack.unpackb(evidence)["confidence"]
    keys = list(totals)
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hget(READS.encode() + key, "access_count")
        for key, reads in zip(keys, pipeline.execute(), strict=True):
            totals[key] += WEIGHTS["access_count"] * int(reads or 0)
    return sorted(keys, key=totals.__getitem__, reverse=True)[:most]


def weighed_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        found: list[dict[bytes, bytes]] = []
        for _ in range(times):
            found = records(client, best_by_hand(client, BEST))
        yield len(found)


def weighed_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        found: list[Any] = []
        for _ in range(times):
            found = Weighed.query.filter().no_track().composite_score(WEIGHTS, limit=BEST)
        yield len(found)


def assembled_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        shown: list[Any] = []
        for _ in range(times):
            keys = best_by_hand(client, 2 * BEST)
            shown = [
                {name.decode(): msgpack.unpackb(value) for name, value in stored.items()}
                for stored in records(client, keys)[:BEST]
            ]
            json.dumps(shown)
            take_effect(client, keys[:BEST], keys[BEST:])
        yield len(shown)


def take_effect(client: redis.Redis, shown: Sequence[bytes], others: Sequence[bytes]) -> None:
    """Some were read; the others are trusted less."""
    with client.pipeline() as pipeline:
        for key in shown:
            pipeline.rpush(STAGED.encode() + key, str(time.time()))
            pipeline.expire(STAGED.encode() + key, 86_400)
        for key, stored in zip(others, client.hmget(EVIDENCE, others), strict=True):
            evidence = msgpack.unpackb(stored)
            learn(evidence, NOT_SHOWN)
            pipeline.hset(key, "certainty", msgpack.packb(evidence["confidence"]))
            pipeline.hset(EVIDENCE, key, msgpack.packb(evidence))
        pipeline.execute()


def assembled_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    assembler = ContextAssembler(Weighed, WEIGHTS, max_items=BEST)
    yield
    while True:
        shown: list[Any] = []
        for _ in range(times):
            shown = assembler.assemble({"topic": "bread"}).records
        yield len(shown)
