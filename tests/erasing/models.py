"""Models that keep something of a subject in every way there is."""

from __future__ import annotations

from typing import Any

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    ContentField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    EmbeddingField,
    EventStreamMixin,
    ExistenceFilter,
    FrequencySketch,
    GeoField,
    IndexedField,
    KeyField,
    ListField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    SortedField,
    StringField,
    UniqueField,
    WriteFilterMixin,
)
from tests.vectors.provider import Known

PROVIDER = Known()
ANN, BOB = "ann1f0c", "bob77e2"


class Memory(EventStreamMixin, AccessTrackerMixin, PredictionLedgerMixin, WriteFilterMixin, Model):
    """Whose a memory is says a field; its key does not."""

    name = KeyField()
    agent = IndexedField()
    text = StringField(default="")
    mail = UniqueField()
    tags = ListField(max_length=3)
    place = GeoField()
    rank = SortedField(type=int, default=0, partition_by="agent")
    body = ContentField()
    sure = ConfidenceField()
    fresh = DecayingSortedField(partition_by="agent")
    rhythm = CyclicDecayField()
    links = CoOccurrenceField()
    words = BM25Field(source="text", partition_by="agent")
    all_words = BM25Field(source="text")
    near = EmbeddingField(source="text", provider=PROVIDER)
    near_on_server = EmbeddingField(source="text", provider=PROVIDER, store="server")
    known = ExistenceFilter(fingerprint_fn=lambda record: record.text)
    often = FrequencySketch(fingerprint_fn=lambda record: record.text)

    _stream_metadata_fields = ("agent",)
    _wf_min_threshold = 0.0
    _wf_priority_threshold = 0.5

    class Meta:
        history = True
        subject = "agent"
        require_partition = "agent"
        indexes = ((("agent", "text"), False), (("mail", "agent"), True))

    def compute_filter_score(self) -> float:
        return 0.9


class Deed(EventStreamMixin, Model):
    """Whose a deed is its key says, and the name of its stream."""

    agent = KeyField()
    number = KeyField(type=int)
    note = StringField(default="")
    found = BM25Field(source="note", partition_by="agent")

    _stream_name = "deeds"
    _stream_partition_field = "agent"

    class Meta:
        subject = "agent"


def remember(agent: str, name: str, **values: Any) -> Memory:
    return Memory.create(
        name=name,
        agent=agent,
        text=f"{agent} says {name}",
        mail=f"{name}@{agent}.example",
        tags=[agent, name],
        place=(1.0, 2.0),
        body=f"a long text of {agent}: {name}",
        **values,
    )


def lived(agent: str, number: int = 3) -> list[Memory]:
    """Memories that were changed, linked, judged, predicted and read; and deeds."""
    memories = [remember(agent, f"{agent}.{each}") for each in range(number)]
    for memory in memories:
        memory.body = f"{memory.body}, told again"
        memory.save()
        ConfidenceField.update_confidence(memory, "sure", 0.9)
        Memory.record_prediction(memory, {"of": memory.name})
        memory.confirm_access()
    Memory.links.link(Memory, memories[0].pk, memories[1].pk)
    ObservationProtocol.on_context_used(memories, {memories[0].pk: "acted"})
    for each in range(2):
        Deed.create(agent=agent, number=each, note=f"{agent} did {each}")
    return memories
