"""Records that odd things happen to, and what other processes do to them."""

from __future__ import annotations

import itertools
import random
from typing import Any

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    EmbeddingField,
    FloatField,
    KeyField,
    Model,
    StringField,
    redis_db,
)
from popoto.embeddings import AbstractEmbeddingProvider

ABOUT = ("tea", "cake", "cat", "dog", "rain", "sun")


class Topics(AbstractEmbeddingProvider):
    """How much of each topic a text has."""

    model_name = "topics"
    dimensions = len(ABOUT)
    max_batch_size = 100

    def __init__(self) -> None:
        #: raised for questions
        self.error: Exception | None = None

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        if self.error is not None and input_type == "query":
            raise self.error
        return [[text.split().count(each) + 0.01 for each in ABOUT] for text in texts]


TOPICS = Topics()


class Tale(AccessTrackerMixin, Model):
    """Its vectors are on the server, with the record."""

    agent_id = KeyField()
    name = KeyField()
    text = StringField()
    weight = FloatField(default=1.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="agent_id")
    season = CyclicDecayField(partition_by="agent_id")
    certainty = ConfidenceField()
    near = CoOccurrenceField()
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=TOPICS, store="server")


class Filed(AccessTrackerMixin, Model):
    """The same, with vectors in files."""

    agent_id = KeyField()
    name = KeyField()
    text = StringField()
    weight = FloatField(default=1.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="agent_id")
    season = CyclicDecayField(partition_by="agent_id")
    certainty = ConfidenceField()
    near = CoOccurrenceField()
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=TOPICS)


MODELS: dict[str, Any] = {"Tale": Tale, "Filed": Filed}


def write_without_end(url: str, model: str) -> None:
    """Tales are made, changed and deleted, until somebody kills this process."""
    redis_db.set_REDIS_DB_settings(url=url)
    kind = MODELS[model]
    chances = random.Random()
    for number in itertools.count():
        name, text = str(chances.randrange(30)), f"{chances.choice(ABOUT)} tale{number % 7}"
        told = kind.query.filter(agent_id="a", name=name).first()
        if told is None:
            kind.create(agent_id="a", name=name, text=text, overwrite=True)
        elif chances.random() < 0.4:
            told.delete()
        else:
            told.text = text
            told.save(recreate=True)


def write_some(url: str, model: str, count: int) -> None:
    """So many tales of the cat are made by this process; every other one goes again."""
    redis_db.set_REDIS_DB_settings(url=url)
    kind = MODELS[model]
    for number in range(count):
        told = kind.create(agent_id="a", name=f"n{number}", text=f"cat tale{number}")
        if number % 2:
            told.delete()
