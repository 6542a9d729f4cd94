"""recall 10000: the best 10 of 10000 texts by words and meaning, beside NumPy and one fetch.

The vector of the question is at hand: what a provider takes is not measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import redis

from benchmarks.searching import BEST, LONG, InMemory, documents, questions
from benchmarks.semantic import DIMENSIONS, Fixed
from popoto import BM25Field, EmbeddingField, KeyField, Model, StringField
from popoto.fields.embedding_field import invalidate_cache

COUNT = 10000
TIMES = 21
WORDS = "$BM25:Recalled:words"
VECTORS = "$EmbeddingF:Recalled:vector"


class OneVector(Fixed):
    """The same vector for every question."""

    def embed(self, texts: list[str], input_type: str | None = None) -> Any:
        return [self.rows[0] for _ in texts]


PROVIDER = OneVector()


class Recalled(Model):
    name = KeyField()
    text = StringField(default="")
    words = BM25Field(source="text")
    vector = EmbeddingField(source="text", provider=PROVIDER, store="server")


def key_of(number: int) -> str:
    return f"Recalled:m{number:06}"


def fill(client: redis.Redis, count: int) -> InMemory:
    """What saving these documents leaves; what words add to scores, in memory."""
    texts, rows = documents(count), PROVIDER.prepare(count)
    lengths = {key_of(number): words.total() for number, words in enumerate(texts)}
    postings: dict[str, dict[str, float]] = {}
    with client.pipeline(transaction=False) as pipeline:
        for number, words in enumerate(texts):
            key = key_of(number)
            text = " ".join(words.elements())
            fields = {"name": f"m{number:06}", "text": text, "vector": DIMENSIONS}
            pipeline.hset(key, mapping={name: msgpack.packb(fields[name]) for name in fields})
            pipeline.sadd("$Class:Recalled", key)
            pipeline.hset(f"{VECTORS}:vectors", key, rows[number].tobytes())
            pipeline.zadd(f"{VECTORS}:changes", {key: number + 1})
            for word, times in words.items():
                postings.setdefault(word, {})[key] = times
            if number % 2_000 == 0:
                pipeline.execute()
        for word, found in postings.items():
            step = 2**-32 if len(found) > LONG else 0
            scores = {key: times - lengths[key] * step for key, times in found.items()}
            pipeline.zadd(f"{WORDS}:inv:{word}", scores)
        average = sum(lengths.values()) / count
        pipeline.zadd(f"{WORDS}:dl", lengths)
        pipeline.mset({f"{WORDS}:n": count, f"{WORDS}:avgdl": average})
        note = {"epoch": "e", "version": count, "dimensions": DIMENSIONS, "form": "float32"}
        pipeline.hset(f"{VECTORS}:note", mapping={"model": "", **note})
        pipeline.execute()
    return InMemory(texts)


def by_hand(client: redis.Redis, count: int) -> Iterator[object]:
    """Every score of words and meaning in memory, and the records of the best."""
    memory, rows = fill(client, count), PROVIDER.prepare(count)
    yield
    while True:
        found = 0
        for question in itertools.islice(itertools.cycle(questions()), TIMES):
            similar = rows @ rows[0]
            scores = np.zeros(count)
            for word in question.split():
                if word in memory.postings:
                    places, adds = memory.postings[word]
                    scores[places] += adds
            candidates = np.flatnonzero((similar > 0) | (scores > 0))
            order = np.argsort(-(similar + scores)[candidates])
            best = candidates[order[:BEST]]
            with client.pipeline(transaction=False) as pipeline:
                for place in best:
                    pipeline.hgetall(key_of(int(place)))
                found += len(pipeline.execute())
        yield found


def by_popoto(client: redis.Redis, count: int) -> Iterator[object]:
    fill(client, count)
    invalidate_cache()
    Recalled.query.recall(questions()[0])
    yield
    while True:
        found = 0
        for question in itertools.islice(itertools.cycle(questions()), TIMES):
            found += len(Recalled.query.recall(question, limit=BEST))
        yield found
