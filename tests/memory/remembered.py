"""A model that keeps a history of all that can change in the memory of its records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    History,
    HistoryEntry,
    IntField,
    KeyField,
    Model,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    clock,
)
from popoto.engine.request import Request
from popoto.engine.run import run
from tests.driver import Api

NOW = 1_700_000_000.25


class Fact(AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    topic = StringField(default="work")
    certainty = ConfidenceField(partition_by="topic")
    clock = CyclicDecayField(cycles=[(60, 0.5)], pressure_rate=0.1, partition_by="topic")
    seen = DecayingSortedField(base_score_field="certainty")
    links = CoOccurrenceField()
    ways = CoOccurrenceField(symmetric=False)
    told = IntField(default=0)

    class Meta:
        history = True


class Brief(Model):
    """Keeps three entries."""

    name = KeyField()
    certainty = ConfidenceField()

    class Meta:
        history = History(max_length=3)


def fact(name: str = "a", **values: Any) -> Fact:
    """A stored fact whose history is empty."""
    with clock.using(NOW):
        made = Fact.create(name=name, **values)
    run(Request.of(("DEL", f"$History:Fact:{made.pk}"), shard="Fact").plan())
    return made


def last(record: Any, kind: str | None = None) -> HistoryEntry:
    """The latest entry (of a kind)."""
    return [entry for entry in record.history() if kind in (None, entry.kind)][-1]


def told(record: Any) -> list[tuple[Any, ...]]:
    """What the history says, in short."""
    return [(each.kind, each.field, each.before, each.after) for each in record.history()]


def learn(record: Any, signal: float, api: Api | None = None, **options: Any) -> Any:
    update: Callable[..., Any] = ConfidenceField.update_confidence
    return (api or _sync)(update, record, "certainty", signal, **options)


def _sync(method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return method(*arguments, **options)


def propose(*records: Any) -> None:
    with clock.using(NOW):
        RecallProposal.create_batch(records)
