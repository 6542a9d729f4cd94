"""The models that are worked on: between them they have every feature that writes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from popoto import (
    CASCADE,
    SET_NULL,
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EmbeddingField,
    EventStreamMixin,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.embeddings import AbstractEmbeddingProvider

STREAM = "soak"


class Words(AbstractEmbeddingProvider):
    """A vector that says which words a text has, by their checksums."""

    model_name = "words-16"
    dimensions = 16
    max_batch_size = 100

    def embed(self, texts: Sequence[str], input_type: str | None = None) -> list[list[float]]:
        """One vector for each text."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.01] * self.dimensions
        for word in text.split():
            vector[zlib.crc32(word.encode()) % self.dimensions] += 1.0
        return vector


class Item(Model):
    """Has an index of every kind."""

    lane = KeyField()
    name = KeyField()
    topic = IndexedField()
    rank = SortedField(type=int, default=0)
    code = UniqueField()
    slot = StringField()
    note = StringField()
    tags = ListField(max_length=4)
    size = IntField(default=0)

    class Meta:
        """One slot for each of a lane's items."""

        indexes = ((("lane", "slot"), True),)


class Lease(Model):
    """Ends by itself."""

    lane = KeyField()
    name = KeyField()
    topic = IndexedField()
    code = UniqueField()


class Box(Model):
    """Takes its parts along, and lets go of its labels."""

    lane = KeyField()
    name = KeyField()
    note = StringField()


class Part(Model):
    """Goes with its box."""

    lane = KeyField()
    name = KeyField()
    box = Relationship(Box, on_delete=CASCADE)


class Label(Model):
    """Stays when its box goes."""

    lane = KeyField()
    name = KeyField()
    box = Relationship(Box, on_delete=SET_NULL)


class Parcel(EventStreamMixin, Model):
    """Tells a stream of every write."""

    _stream_name = STREAM
    _stream_max_length = None
    _stream_metadata_fields = ("note",)

    lane = KeyField()
    name = KeyField()
    note = StringField()


class Memory(AccessTrackerMixin, Model):
    """What an agent remembers, found by words, meaning, age and certainty."""

    agent = KeyField()
    name = KeyField()
    text = StringField()
    words = BM25Field(source="text", partition_by="agent")
    meaning = EmbeddingField(source="text", provider=Words(), store="server")
    certainty = ConfidenceField()
    relevance = DecayingSortedField(base_score_field="certainty", partition_by="agent")
    near = CoOccurrenceField()

    class Meta:
        """Every change is noted."""

        history = True


class Seat(Model):
    """All lanes want one of few values."""

    lane = KeyField()
    name = KeyField()
    holder = UniqueField()


class Counter(Model):
    """All lanes add to it."""

    name = KeyField()
    total = IntField(default=0)
    score = SortedField(type=int, default=0)


class Job(Model):
    """All lanes want to be the one who takes it."""

    name = KeyField()
    state = IndexedField(default="open")
    by = StringField()


MODELS: tuple[type[Any], ...] = (
    *(Item, Lease, Box, Part, Label, Parcel, Memory),
    *(Seat, Counter, Job),
)
