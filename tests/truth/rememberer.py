"""A process that forks writers of memories, for tests that kill them.

    python -m tests.truth.rememberer SOCKET [JOURNAL]

As `tests.truth.writer`. With a journal a writer lets a few records learn, and writes how often
each has into the journal after it was acknowledged.
"""

from __future__ import annotations

import os
import random
from typing import Any

from popoto import ConfidenceField, ModelException, ObservationProtocol, RecallProposal, redis_db
from popoto.models.transactions import transaction
from tests.truth.remembering import Fact
from tests.truth.writer import serve

NAMES = ("one", "t:wo", "three", "None", "five")
AGENTS = ("a", "b:c", "data")


def some_fact() -> Any:
    """A stored record, which others may change meanwhile."""
    while True:
        found = Fact.query.get(name=random.choice(NAMES))
        if found is not None:
            return found
        create()


def create() -> None:
    Fact(name=random.choice(NAMES), agent=random.choice(AGENTS), weight=0.8).save()


def change() -> None:
    fact = some_fact()
    fact.agent, fact.weight = random.choice(AGENTS), random.choice((0.3, 0.9))
    fact.save()


def move() -> None:
    fact = some_fact()
    fact.name, fact.agent = random.choice(NAMES), random.choice(AGENTS)
    fact.save(migrate_key=True)


def expire() -> None:
    fact = some_fact()
    fact._ttl = random.choice((0.003, 100))
    fact.save()


def learn() -> None:
    ConfidenceField.update_confidence(some_fact(), random.choice(("certainty", "worth")), 0.9)


def learn_in_bulk() -> None:
    signals = [(some_fact(), random.random()) for _ in range(3)]
    ConfidenceField.bulk_update_confidence(signals, "certainty")


def observe() -> None:
    facts = {fact.pk: fact for fact in (some_fact() for _ in range(3))}
    outcomes = {key: random.choice(("acted", "dismissed", "contradicted", "used")) for key in facts}
    for fact in facts.values():
        fact.on_read()
    ObservationProtocol.on_context_used(list(facts.values()), outcomes)


def cycle() -> None:
    fact = some_fact()
    fact.strengthen_cycle("season", 1.1)
    fact.resolve_pressure("season")


def predict() -> None:
    fact = some_fact()
    Fact.record_prediction(fact, {"n": 1.0})
    Fact.resolve_prediction(fact, {"n": random.random()})


def link() -> None:
    source, target = some_fact().pk, some_fact().pk
    if source != target:
        with transaction() as joined:
            Fact.near.strengthen(Fact, source, target, 0.1, pipeline=joined)
            Fact.causes.link(Fact, source, target, pipeline=joined)


def propose() -> None:
    RecallProposal.create_batch([some_fact(), some_fact()], partition=random.choice((None, "x")))


def queue() -> None:
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline(transaction=random.random() < 0.5)
    fact = some_fact()
    fact.agent = random.choice(AGENTS)
    fact.save(pipeline=pipeline)
    ConfidenceField.update_confidence(some_fact(), "worth", 0.1, pipeline=pipeline)
    some_fact().delete(pipeline=pipeline)
    pipeline.execute(raise_on_error=False)


OPERATIONS = (
    *(create, change, change, move, expire, learn, learn_in_bulk, observe, observe),
    *(cycle, predict, link, link, propose, queue),
    lambda: some_fact().touch("relevance"),
    lambda: some_fact().delete(),
    lambda: Fact.bulk_update(Fact.query.all(limit=3), agent=random.choice(AGENTS)),
    lambda: Fact.bulk_delete(Fact.query.all(limit=2)),
)


def write_anything() -> None:
    while True:
        try:
            random.choice(OPERATIONS)()
        except (ModelException, TypeError):
            # The record was deleted or has expired meanwhile.
            continue


def learn_and_tell(journal: int) -> None:
    while True:
        name = random.choice(NAMES)
        fact, _ = Fact.get_or_create(name=name)
        ConfidenceField.update_confidence(fact, "worth", 0.9)
        count = ConfidenceField.get_confidence_data(fact, "worth")["evidence_count"]
        os.write(journal, f"{fact.pk} {count}\n".encode())


if __name__ == "__main__":
    serve(write_anything, learn_and_tell)
