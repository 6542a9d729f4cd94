"""composite score 10000: the best 10 of 10000 memories by decay, confidence and reads together."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import msgpack
import redis

from popoto import AccessTrackerMixin, ConfidenceField, DecayingSortedField, KeyField, Model

COUNT = 10000
TIMES = 3
BEST = 10
YEAR = 365 * 86_400
WEIGHTS = {"relevance": 0.5, "certainty": 0.3, "access_count": 0.2}
RANKING = "$DecayingSortF:Weighed:relevance"
EVIDENCE = "$ConfidencF:Weighed:certainty:data"
READS = "$AT:Weighed:meta:"


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
            if number % 1000 == 999:
                pipeline.execute()


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    """What a careful user of redis-py would do: read all of it, and compute here."""
    fill(client, count)
    yield
    while True:
        for _ in range(TIMES):
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
                for key in sorted(keys, key=totals.__getitem__, reverse=True)[:BEST]:
                    pipeline.hgetall(key)
                found = pipeline.execute()
        yield len(found)


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, count)
    yield
    while True:
        for _ in range(TIMES):
            found = Weighed.query.filter().no_track().composite_score(WEIGHTS, limit=BEST)
        yield len(found)
