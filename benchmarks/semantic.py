"""Searching by meaning: records with vectors of 384 dimensions, beside the bare product of NumPy.

The vector of the question is at hand: what a provider takes is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import redis

from benchmarks.by_hand import records
from popoto import EmbeddingField, KeyField, Model, StringField
from popoto.embeddings import AbstractEmbeddingProvider
from popoto.fields.embedding_field import invalidate_cache

DIMENSIONS = 384
BEST = 10
TEXT = "what was said " * 8
STEM = "$EmbeddingF:Memory:vector"


class Fixed(AbstractEmbeddingProvider):
    """A vector for the number at the end of a text, the same in every process."""

    def __init__(self) -> None:
        self.rows: Any = np.zeros((0, DIMENSIONS), dtype=np.float32)

    def prepare(self, count: int) -> Any:
        if len(self.rows) < count:
            made = np.random.default_rng(7).standard_normal((count, DIMENSIONS), dtype=np.float32)
            self.rows = made / np.linalg.norm(made, axis=1, keepdims=True)
        return self.rows[:count]

    def embed(self, texts: list[str], input_type: str | None = None) -> Any:
        return [self.rows[int(text.rpartition(" ")[2])] for text in texts]

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def max_batch_size(self) -> int:
        return 1000


FIXED = Fixed()


class Memory(Model):
    name = KeyField()
    text = StringField()
    vector = EmbeddingField(source="text", provider=FIXED, store="server")


def fill(client: redis.Redis, count: int) -> Any:
    """Records and their vectors, as saves leave them; the vectors as rows."""
    rows = FIXED.prepare(count)
    with client.pipeline(transaction=False) as pipeline:
        for number, key in enumerate(keys_of(count)):
            fields = {"name": f"m{number}", "text": f"{TEXT}{number}", "vector": DIMENSIONS}
            packed = {name: msgpack.packb(value) for name, value in fields.items()}
            pipeline.hset(key, mapping=packed)
            pipeline.sadd("$Class:Memory", key)
            pipeline.hset(f"{STEM}:vectors", key, rows[number].tobytes())
            pipeline.zadd(f"{STEM}:changes", {key: number + 1})
            if number % 5_000 == 0:  # no more than some megabytes wait to be sent
                pipeline.execute()
        note = {"epoch": "e", "version": count, "dimensions": DIMENSIONS, "form": "float32"}
        pipeline.hset(f"{STEM}:note", mapping={"model": "", **note})
        pipeline.execute()
    return rows


def keys_of(count: int) -> list[str]:
    return [f"Memory:m{number}" for number in range(count)]


def write(client: redis.Redis, key: str, version: int, vector: Any) -> None:
    """Another vector of a record, as a save of another process leaves it."""
    with client.pipeline() as pipeline:
        pipeline.hset(f"{STEM}:vectors", key, vector.tobytes())
        pipeline.zadd(f"{STEM}:changes", {key: version})
        pipeline.hset(f"{STEM}:note", "version", version)
        pipeline.execute()


def searched_by_hand(
    client: redis.Redis, count: int, times: int, *, writes: bool = False
) -> Iterator[object]:
    """One product with all rows, and the records of the best. `writes`: each after a write."""
    rows, keys = fill(client, count).copy(), keys_of(count)
    version = count
    yield
    while True:
        similar: Any = None
        best: Any = None
        for turn in range(times):
            if writes:
                version += 1
                rows[turn % count] = FIXED.rows[version % count]
                write(client, keys[turn % count], version, rows[turn % count])
            similar = rows @ FIXED.rows[turn]
            best = np.argpartition(similar, -BEST)[-BEST:]
            best = best[np.argsort(-similar[best])]
            records(client, (keys[place] for place in best))
        yield int((similar[best] > 0).sum())


def searched_by_popoto(
    client: redis.Redis, count: int, times: int, *, writes: bool = False
) -> Iterator[object]:
    fill(client, count)
    keys = keys_of(count)
    version = count
    invalidate_cache()
    Memory.query.semantic_search(f"{TEXT}0")
    yield
    while True:
        found: list[Any] = []
        for turn in range(times):
            if writes:
                version += 1
                write(client, keys[turn % count], version, FIXED.rows[version % count])
            found = Memory.query.semantic_search(f"{TEXT}{turn}", limit=BEST)
        yield len(found)
