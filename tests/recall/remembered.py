"""Models that tests of `recall` have in common, and the texts and vectors of their records."""

from __future__ import annotations

from typing import Any

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EmbeddingField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Recall,
    SortedField,
    StringField,
)
from tests.vectors.provider import Known

#: Two meanings: animals and weather.
MEANINGS = Known(
    {
        "the cat sleeps": (1, 0, 0),
        "a kitten plays in the garden": (0.9, 0.1, 0.1),
        "rain falls on the garden": (0, 1, 0),
        "my taxes are due": (0, 0, 1),
        "cat": (1, 0.1, 0),
        "the cat in the garden": (1, 0.4, 0),
    }
)
TEXTS = {
    "sleep": "the cat sleeps",
    "play": "a kitten plays in the garden",
    "rain": "rain falls on the garden",
    "tax": "my taxes are due",
}


class Both(Model):
    name = KeyField()
    topic = IndexedField(default="all")
    size = IntField(default=0)
    text = StringField()
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")


class Worded(Model):
    name = KeyField()
    text = StringField()
    words = BM25Field(source="text")


class Meant(Model):
    name = KeyField()
    topic = IndexedField(default="all")
    text = StringField()
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")


class Owned(Model):
    """Words and relevance of each agent apart."""

    name = KeyField()
    agent = IndexedField()
    text = StringField()
    words = BM25Field(source="text", partition_by="agent")
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")
    relevance = DecayingSortedField(partition_by="agent")


class Lore(AccessTrackerMixin, Model):
    """Has every signal of memory."""

    name = KeyField()
    text = StringField()
    rank = SortedField(type=float, default=0.0)
    words = BM25Field(source="text")
    relevance = DecayingSortedField()
    certainty = ConfidenceField()
    near = CoOccurrenceField()


class Said(Model):
    name = KeyField()
    session = IndexedField()
    turn = SortedField(type=int, partition_by="session")
    speaker = StringField()
    text = StringField()
    words = BM25Field(source="text")

    class Meta:
        recall = Recall(session="session", order="turn", speaker="speaker")


def filled(model: Any) -> Any:
    """The model, with a record for each text."""
    for name, text in TEXTS.items():
        model.create(name=name, text=text)
    return model


def names(found: list[Any]) -> list[str]:
    return [each.name for each in found]
