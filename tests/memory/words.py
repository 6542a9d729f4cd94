"""Models whose words filters and sketches take in, and the bits and counters that they set."""

from __future__ import annotations

from typing import Any

import redis

from popoto import ExistenceFilter, FrequencySketch, IntField, KeyField, Model, StringField


def text_of(record: Any) -> Any:
    return record.text


class Note(Model):
    name = KeyField()
    text = StringField(null=True)
    hits = IntField(default=0)
    words = ExistenceFilter(error_rate=0.01, capacity=10_000, fingerprint_fn=text_of)
    counts = FrequencySketch(width=500, depth=5, fingerprint_fn=text_of)


class Plain(Model):
    """Without functions: the record key is the fingerprint."""

    name = KeyField()
    words = ExistenceFilter(capacity=1_000)
    counts = FrequencySketch()


def filter_model(name: str = "Page", **options: Any) -> Any:
    """A model with a filter (and a sketch) of these settings."""
    return type(Model)(
        name,
        (Model,),
        {
            "__module__": __name__,
            "__qualname__": name,
            "name": KeyField(),
            "text": StringField(null=True),
            "words": ExistenceFilter(fingerprint_fn=text_of, **options),
        },
    )


def sketch_model(name: str = "Sheet", **options: Any) -> Any:
    """A model with a sketch of these settings."""
    return type(Model)(
        name,
        (Model,),
        {
            "__module__": __name__,
            "__qualname__": name,
            "name": KeyField(),
            "text": StringField(null=True),
            "counts": FrequencySketch(fingerprint_fn=text_of, **options),
        },
    )


def set_bits(client: redis.Redis, key: str, below: int | None = None) -> set[int]:
    """The places of the bits that are set in a string."""
    stored: bytes = client.get(key) or b""
    found = {
        8 * place + bit
        for place, byte in enumerate(stored)
        for bit in range(8)
        if byte & (128 >> bit)
    }
    return found if below is None else {place for place in found if place < below}


def counters(client: redis.Redis, key: str) -> dict[str, int]:
    """The counters of a sketch that are not 0."""
    return {
        name.decode(): int(count) for name, count in client.hgetall(key).items() if name != b"form"
    }
