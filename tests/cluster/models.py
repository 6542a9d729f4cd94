"""The models of the cluster tests, and which node has one of them."""

from __future__ import annotations

from typing import Any

import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    ContentField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    EmbeddingField,
    ExistenceFilter,
    Field,
    FloatField,
    FrequencySketch,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    PredictionLedgerMixin,
    Publisher,
    Recall,
    Relationship,
    SortedField,
    StringField,
)
from popoto.fields.event_stream import EventStreamMixin
from tests.memory.words import text_of
from tests.models.shop import Shop, Town
from tests.vectors.provider import Known
from tests.vectors.wordwise import Wordwise


class Person(Model):
    name = KeyField()
    age = SortedField(type=int, default=0)


class City(Model):
    name = KeyField()
    mayor = Relationship(model=Person)
    place = GeoField()


class House(Model):
    number = KeyField(type=int)
    city = Relationship(model=City)
    colour = IndexedField()
    price = SortedField(type=float, partition_by="colour", default=0.0)
    floors = IntField(default=1)


class Scripted(Field):
    """A field whose hook runs a script of its own, and sends a message."""

    def on_save(self, model_instance: Any, *_: Any, pipeline: Any = None, **__: Any) -> Any:  # type: ignore[override]
        pipeline.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "hook:script", "ran")
        return Publisher(channel_name="hooked").publish({"n": 1}, pipeline=pipeline)


class SeveralKeys(Field):
    """A field whose hook uses commands with several keys."""

    def on_save(self, model_instance: Any, *_: Any, pipeline: Any = None, **__: Any) -> Any:  # type: ignore[override]
        pipeline.delete("hook:1", "hook:2", "hook:3")
        pipeline.mset({"hook:1": 1, "hook:2": 2}).rename("hook:2", "hook:3")
        pipeline.sadd("hook:s", "a").sunionstore("hook:t", "hook:s")
        pipeline.smove("hook:t", "hook:u", "a")
        pipeline.zunionstore("hook:z", ["hook:s", "hook:u"], aggregate="MAX")
        pipeline.xadd("hook:x", {"a": 1}).xgroup_destroy("hook:x", "group")
        pipeline.xgroup_create("hook:x", "group")
        return pipeline.bitop("OR", "hook:b", "hook:1", "hook:3")


class Hooked(Model):
    name = KeyField()
    body = Scripted()
    more = SeveralKeys()


class Order(EventStreamMixin, Model):
    name = KeyField()
    state = IndexedField()
    _stream_name = "orders"


class Note(Model):
    """A model that is spread over the nodes."""

    agent = KeyField()
    number = KeyField(type=int)
    topic = IndexedField(null=True)
    rank = SortedField(type=int, null=True)
    weight = SortedField(type=float, partition_by="topic", default=0.0)
    code = StringField(null=True)
    body = StringField(null=True)
    tags = ListField(max_length=3)
    author = Relationship(model=Person)
    reply_to = Relationship(model="Note", on_delete="SET_NULL")
    rests_on = Relationship(model="Note", on_delete="PROTECT")

    class Meta:
        shard_by = "agent"
        indexes = ((("agent", "code"), True),)


class Pin(Model):
    """On one node, and gone with the note that it is about."""

    number = KeyField(type=int)
    note = Relationship(model=Note, on_delete="CASCADE")


#: What texts mean: animals, weather, money.
MEANINGS = Known(
    {
        "the cat sleeps": (1, 0, 0),
        "a kitten plays": (0.9, 0.1, 0.1),
        "rain falls on the garden": (0, 1, 0),
        "taxes are due": (0, 0, 1),
        "cat": (1, 0.1, 0),
    }
)


class Memory(AccessTrackerMixin, PredictionLedgerMixin, EventStreamMixin, Model):
    """What each agent remembers, with everything that memories have."""

    agent = KeyField()
    name = KeyField()
    text = StringField(default="")
    weight = FloatField(default=1.0)
    rank = SortedField(type=float, default=0.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="agent")
    rhythm = CyclicDecayField(cycles=[(100, 1.0)], pressure_rate=0.1)
    sure = ConfidenceField()
    both = CoOccurrenceField()
    ways = CoOccurrenceField(symmetric=False)
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")
    known = ExistenceFilter(capacity=1000, fingerprint_fn=text_of)
    counts = FrequencySketch(width=100, depth=3, fingerprint_fn=text_of)

    class Meta:
        shard_by = "agent"
        history = True


class Filed(Model):
    """Vectors of all agents in one store of files."""

    agent = KeyField()
    name = KeyField()
    text = StringField(default="")
    meaning = EmbeddingField(source="text", provider=MEANINGS)

    class Meta:
        shard_by = "agent"


class Said(Model):
    """What agents were told, in conversations that several of them take part in."""

    agent = KeyField()
    name = KeyField()
    text = StringField(default="")
    speaker = StringField(default="")
    session = IndexedField(default="one")
    turn = SortedField(type=int, default=0)
    place = SortedField(type=int, default=0, partition_by="session")
    sure = ConfidenceField()
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=Wordwise(), store="server")

    class Meta:
        shard_by = "agent"
        recall = Recall(session="session", order="place", speaker="speaker")


class Guarded(Model):
    """What nobody may ask for of all agents at once."""

    agent = KeyField()
    name = KeyField()
    text = StringField(default="")
    words = BM25Field(source="text")

    class Meta:
        shard_by = "agent"
        require_partition = "agent"


class Written(Model):
    """Whose texts are files."""

    agent = KeyField()
    name = KeyField()
    body = ContentField(null=True)
    more = ContentField(null=True)

    class Meta:
        shard_by = "agent"


#: Models with `Meta.shard_by`.
SHARDED = (Note, Memory, Filed, Said, Guarded, Written)

MODELS = (Shop, Town, Person, City, House, Hooked, Order, Pin)


def holder(nodes: list[redis.Redis], tag: str) -> redis.Redis:
    """The node that serves a model."""
    for client in nodes:
        try:
            client.exists(f"{{{tag}}}")
        except redis.ResponseError:
            continue
        return client
    raise AssertionError(f"no node serves {tag}")


def street() -> None:
    """Persons, cities and houses, which refer to each other across the nodes."""
    for name, age in (("ann", 30), ("bob", 50)):
        Person.create(name=name, age=age)
    for name, mayor, place in (("rome", "ann", (41.9, 12.5)), ("oslo", "bob", (59.9, 10.7))):
        City.create(name=name, mayor=f"Person:{mayor}", place=place)
    for number in range(12):
        House.create(
            number=number,
            city="City:rome" if number % 3 else "City:oslo",
            colour="red" if number % 2 else "blue",
            price=float(number),
            floors=number % 4,
        )
