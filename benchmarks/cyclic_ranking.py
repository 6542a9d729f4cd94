"""Ranking many memories by decay and cycles: both sides find the same records."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator

import msgpack
import redis

from benchmarks.by_hand import records
from popoto import CyclicDecayField, KeyField, Model, StringField, TemporalPeriod

RANKING = "$CyclicDecayF:Recurring:relevance"
CYCLES = f"{RANKING}:cycles"
ALL = "$Class:Recurring"
TEXT = "A long room, a short menu, and bread that is worth the journey. " * 2
YEAR = 365 * 86_400
BEST = 10
RATE, AMPLITUDE = 0.5, 3.0


class Recurring(Model):
    name = KeyField()
    text = StringField(default="")
    relevance = CyclicDecayField(decay_rate=RATE, cycles=[(TemporalPeriod.WEEKLY, AMPLITUDE)])


def fill(client: redis.Redis, count: int) -> None:
    """Memories whose moments are spread over a year; of every hundredth the cycle was learned."""
    now = time.time()
    with client.pipeline(transaction=False) as pipeline:
        for number in range(count):
            key, moment = f"Recurring:m{number}", now - 3600 - YEAR * number / count
            fields = {"name": f"m{number}", "text": TEXT, "relevance": moment}
            packed = {name: msgpack.packb(value) for name, value in fields.items()}
            amplitude = AMPLITUDE if number % 100 else AMPLITUDE * 1.2
            cycles = msgpack.packb([[TemporalPeriod.WEEKLY, amplitude, 0]])
            pipeline.hset(key, mapping=packed)
            pipeline.zadd(RANKING, {key: moment})
            pipeline.hset(CYCLES, key, cycles)
            pipeline.sadd(ALL, key)
            if number % 5_000 == 0:
                pipeline.execute()
        pipeline.execute()


def ranked_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    """All moments and all cycles are read, and scored by the client."""
    fill(client, count)
    yield
    while True:
        found: list[dict[bytes, bytes]] = []
        for _ in range(times):
            moments, cycles = client.zrange(RANKING, 0, -1, withscores=True), client.hgetall(CYCLES)
            now = time.time()
            scores = ((score(moment, cycles[key], now), key) for key, moment in moments)
            found = records(client, (key for _, key in heapq.nlargest(BEST, scores)))
        yield tuple(sorted(msgpack.unpackb(each[b"name"]) for each in found))


def score(moment: float, stored: bytes, now: float) -> float:
    decayed = max((now - moment) / 86_400, 0.01) ** -RATE
    return decayed + sum(
        amplitude * math.cos(2 * math.pi * (now - phase) / period)
        for period, amplitude, phase in msgpack.unpackb(stored)
    )


def ranked_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        found: list[Recurring] = []
        for _ in range(times):
            found = Recurring.query.top_by_decay("relevance", n=BEST)
        yield tuple(sorted(each.name for each in found))
