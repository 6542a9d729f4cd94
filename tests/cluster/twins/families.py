"""The models, each of them twice: in shards (`ApartNote`), and as a whole (`WholeNote`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from popoto import (
    AccessTrackerMixin,
    AutoKeyField,
    BM25Field,
    BooleanField,
    ConfidenceField,
    ContentField,
    CoOccurrenceField,
    CyclicDecayField,
    DatetimeField,
    DecayingSortedField,
    DecimalField,
    DictField,
    EmbeddingField,
    EventStreamMixin,
    ExistenceFilter,
    FloatField,
    FrequencySketch,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    PredictionLedgerMixin,
    Recall,
    Relationship,
    SetField,
    SortedField,
    StringField,
    WriteFilterMixin,
)
from popoto.recipes import PolicyEntry
from tests.memory.words import text_of

from .vectors import GeneralPosition

DAY = 86_400
PROVIDER = GeneralPosition()


@dataclass(frozen=True)
class Family:
    """One model of each pair. `Any`: fields are read and written by the names of the models."""

    #: what the names of its models begin with; equally long in both
    prefix: str
    person: Any
    note: Any
    pin: Any
    memory: Any
    said: Any
    guarded: Any
    fleeting: Any
    made: Any
    policy: Any

    def of(self, name: str) -> Any:
        return getattr(self, name)


MODELS = tuple(each.name for each in fields(Family) if each.name != "prefix")


class Maker:
    """Makes the models of one family."""

    def __init__(self, prefix: str, *, in_shards: bool) -> None:
        self.prefix = prefix
        self.in_shards = in_shards

    def model(
        self,
        name: str,
        shard_by: str,
        /,
        *bases: type,
        meta: Mapping[str, Any] | None = None,
        **body: Any,
    ) -> Any:
        settings = {**(meta or {}), **({"shard_by": shard_by} if self.in_shards else {})}
        body |= {
            "__module__": __name__,
            "__qualname__": f"{self.prefix}{name}",
            "Meta": type("Meta", (), settings),
        }
        return type(Model)(f"{self.prefix}{name}", (*bases, Model), body)

    def person(self) -> Any:
        return self.model(
            "Person",
            "town",
            town=KeyField(),
            name=KeyField(),
            age=SortedField(type=int, default=0),
        )

    def note(self, person: Any) -> Any:
        own = f"{self.prefix}Note"
        return self.model(
            "Note",
            "agent",
            meta={"indexes": ((("agent", "code"), True), (("topic", "flag"), False))},
            # Before the agent in record keys: keys in order go to and fro between shards.
            act=KeyField(type=int),
            agent=KeyField(),
            topic=IndexedField(null=True),
            flag=IndexedField(type=bool, null=True),
            rank=SortedField(type=int, null=True),
            weight=SortedField(type=float, partition_by="topic", default=0.0),
            own=SortedField(type=int, partition_by="agent", default=0),
            place=GeoField(),
            code=StringField(null=True),
            body=StringField(null=True),
            hits=IntField(default=0),
            price=DecimalField(null=True),
            at=DatetimeField(null=True),
            done=BooleanField(default=False),
            tags=ListField(max_length=3),
            bag=SetField(null=True),
            data=DictField(null=True),
            author=Relationship(model=person, related_name="notes"),
            reply_to=Relationship(model=own, on_delete="SET_NULL", related_name="replies"),
            rests_on=Relationship(model=own, on_delete="PROTECT", related_name="resting"),
        )

    def pin(self, note: Any) -> Any:
        return self.model(
            "Pin",
            "board",
            board=KeyField(),
            number=KeyField(type=int),
            note=Relationship(model=note, on_delete="CASCADE", related_name="pins"),
        )

    def memory(self) -> Any:
        return self.model(
            "Memory",
            "agent",
            *(AccessTrackerMixin, PredictionLedgerMixin, WriteFilterMixin, EventStreamMixin),
            meta={"history": True},
            agent=KeyField(),
            name=KeyField(),
            text=StringField(default=""),
            kind=IndexedField(default="fact"),
            importance=FloatField(default=0.5),
            rank=SortedField(type=float, default=0.0),
            relevance=DecayingSortedField(base_score_field="importance", partition_by="agent"),
            fresh=DecayingSortedField(base_score_field="sure"),
            rhythm=CyclicDecayField(cycles=[(DAY, 0.5), (7 * DAY, 0.25, 10.0)], pressure_rate=0.1),
            season=CyclicDecayField(cycles=[(DAY, 1.0)], partition_by="agent"),
            sure=ConfidenceField(initial_confidence=0.4),
            trust=ConfidenceField(partition_by="agent"),
            near=CoOccurrenceField(),
            ways=CoOccurrenceField(symmetric=False),
            words=BM25Field(source="text"),
            own_words=BM25Field(source="text", partition_by="agent"),
            meaning=EmbeddingField(source="text", provider=PROVIDER, store="server"),
            known=ExistenceFilter(capacity=1000, fingerprint_fn=text_of),
            often=FrequencySketch(width=100, depth=3, fingerprint_fn=text_of),
            story=ContentField(null=True),
            compute_filter_score=lambda record: float(record.importance),
            _wf_min_threshold=0.1,
            _wf_priority_threshold=0.7,
        )

    def said(self) -> Any:
        return self.model(
            "Said",
            "agent",
            meta={"recall": Recall(session="session", order="place", speaker="speaker")},
            agent=KeyField(),
            name=KeyField(),
            text=StringField(default=""),
            speaker=StringField(default=""),
            session=IndexedField(default="one"),
            place=SortedField(type=int, default=0, partition_by="session"),
            words=BM25Field(source="text"),
            meaning=EmbeddingField(
                source="text", provider=PROVIDER, store="server", precision="int8"
            ),
        )

    def guarded(self) -> Any:
        return self.model(
            "Guarded",
            "agent",
            meta={"require_partition": "agent"},
            agent=KeyField(),
            name=KeyField(),
            text=StringField(default=""),
            rank=SortedField(type=int, default=0, partition_by="agent"),
            words=BM25Field(source="text", partition_by="agent"),
            near=CoOccurrenceField(),
        )

    def fleeting(self) -> Any:
        return self.model(
            "Fleeting",
            "agent",
            meta={"ttl": 5000},
            agent=KeyField(),
            name=KeyField(),
            kind=IndexedField(null=True),
            rank=SortedField(type=int, null=True),
            body=StringField(null=True),
        )

    def made(self) -> Any:
        return self.model(
            "Made",
            "agent",
            agent=KeyField(),
            number=AutoKeyField(),
            kind=IndexedField(null=True),
            content=StringField(default=""),
            importance=FloatField(default=0.5),
            relevance=DecayingSortedField(base_score_field="importance", partition_by="agent"),
            words=BM25Field(source="content"),
            meaning=EmbeddingField(source="content", provider=PROVIDER),
        )

    def family(self) -> Family:
        person = self.person()
        note = self.note(person)
        return Family(
            self.prefix,
            person=person,
            note=note,
            pin=self.pin(note),
            memory=self.memory(),
            said=self.said(),
            guarded=self.guarded(),
            fleeting=self.fleeting(),
            made=self.made(),
            policy=self.model("Policy", "agent_id", PolicyEntry),
        )


APART = Maker("Apart", in_shards=True).family()
WHOLE = Maker("Whole", in_shards=False).family()
