"""Models with every memory field, and records that have everything beside them."""

from __future__ import annotations

from typing import Any

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    IndexedField,
    KeyField,
    Model,
    PredictionLedgerMixin,
    RecallProposal,
    WriteFilterMixin,
)

DAY = 86_400


class Fact(AccessTrackerMixin, PredictionLedgerMixin, WriteFilterMixin, Model):
    """Has everything that can stand beside a record; what it keeps is parted by agent."""

    name = KeyField()
    agent = IndexedField(default="a")
    weight = FloatField(default=0.5)
    certainty = ConfidenceField(initial_confidence=0.4, partition_by="agent")
    worth = ConfidenceField()
    relevance = DecayingSortedField(base_score_field="certainty", partition_by="agent")
    season = CyclicDecayField(
        cycles=[(DAY, 0.5), (7 * DAY, 0.25, 10.0)], pressure_rate=0.1, partition_by="agent"
    )
    near = CoOccurrenceField()
    causes = CoOccurrenceField(symmetric=False)

    #: Tests say what is read.
    _track_reads = False

    def compute_filter_score(self) -> float:
        return self.weight


def remember(name: str, **values: Any) -> Fact:
    """A record that was created, read, confirmed, predicted of and linked to nothing yet."""
    fact: Fact = Fact.create(name=name, **values)
    ConfidenceField.update_confidence(fact, "certainty", 0.9)
    ConfidenceField.update_confidence(fact, "worth", 0.1)
    fact.strengthen_cycle("season", 1.5)
    fact.resolve_pressure("season")
    for _ in range(2):
        fact.on_read()
    fact.confirm_access()
    fact.on_read()
    Fact.record_prediction(fact, {"score": 1.0})
    Fact.resolve_prediction(fact, {"score": 0.25})
    RecallProposal.create_batch([fact])
    RecallProposal.create_batch([fact], partition="evening")
    return fact


def fill() -> list[Fact]:
    """Some records of two agents, linked."""
    facts = [
        remember(name, agent=agent, weight=weight)
        for name, agent, weight in (
            ("one", "a", 0.9),
            ("t:wo", "a", 0.3),
            ("three", "b", 0.8),
            ("four", "c:d", 0.5),
        )
    ]
    keys = [fact.pk for fact in facts]
    Fact.near.link(Fact, keys[0], keys[1], 0.25)
    Fact.near.strengthen(Fact, keys[0], keys[2], 0.5)
    Fact.causes.link(Fact, keys[1], keys[0], 0.75)
    Fact.causes.link(Fact, keys[2], keys[0], 0.125)
    Fact.record_prediction(facts[3], "open again")
    return facts
