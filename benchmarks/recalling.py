"""Asking many texts by words and by meaning: NumPy with all in memory and one fetch, and popoto.

The vector of the question is at hand: what a provider takes is not measured.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import redis

from benchmarks.by_hand import records
from benchmarks.searching import BEST, LONG, InMemory, documents, questions
from benchmarks.semantic import DIMENSIONS, Fixed
from popoto import BM25Field, ContextAssembler, EmbeddingField, KeyField, Model, StringField
from popoto.fields.embedding_field import invalidate_cache

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


def best_by_hand(memory: InMemory, rows: Any, question: str) -> list[str]:
    """The keys of the best: every score of words and meaning in memory."""
    similar = rows @ rows[0]
    scores = np.zeros(len(rows))
    for word in question.split():
        if word in memory.postings:
            places, adds = memory.postings[word]
            scores[places] += adds
    candidates = np.flatnonzero((similar > 0) | (scores > 0))
    order = np.argsort(-(similar + scores)[candidates])
    return [key_of(int(place)) for place in candidates[order[:BEST]]]


def asked(times: int) -> Iterator[str]:
    return itertools.islice(itertools.cycle(questions()), times)


def recalled_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    memory, rows = fill(client, count), PROVIDER.prepare(count)
    yield
    while True:
        found = 0
        for question in asked(times):
            found += len(records(client, best_by_hand(memory, rows, question)))
        yield found


def recalled_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    invalidate_cache()
    Recalled.query.recall(questions()[0])
    yield
    while True:
        found = 0
        for question in asked(times):
            found += len(Recalled.query.recall(question, limit=BEST))
        yield found


def assembled_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    """The same, and the text of a context made of it."""
    memory, rows = fill(client, count), PROVIDER.prepare(count)
    yield
    while True:
        found = 0
        for question in asked(times):
            shown = [
                {name.decode(): msgpack.unpackb(value) for name, value in stored.items()}
                for stored in records(client, best_by_hand(memory, rows, question))
            ]
            json.dumps(shown)
            found += len(shown)
        yield found


def assembled_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, count)
    invalidate_cache()
    assembler = ContextAssembler(Recalled, {}, max_items=BEST, retrieval_mode="hybrid")
    assembler.assemble({"topic": questions()[0]})
    yield
    while True:
        found = 0
        for question in asked(times):
            found += len(assembler.assemble({"topic": question}).records)
        yield found
