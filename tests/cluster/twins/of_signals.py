"""What is learned beside memories: touches, confidence, cycles, reads, predictions, proposals."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import popoto
from popoto import ConfidenceField, ObservationProtocol, RecallProposal

from .allowed import IN_ANY_ORDER
from .deeds import deed
from .drawing import agent
from .drawing_memories import stored_memories, stored_memory
from .side import Side

OUTCOMES = ("acted", "used", "dismissed", "deferred", "contradicted")


@deed()
def touch(side: Side, chance: random.Random) -> Any:
    record = stored_memory(side, chance)
    name = chance.choice(("relevance", "fresh", "rhythm", "season"))
    return record and side.api(record.touch, name)


@deed()
def touch_several(side: Side, chance: random.Random) -> Any:
    records, name = stored_memories(side, chance), chance.choice(("relevance", "rhythm"))
    return side.api(side.models.memory.bulk_touch, records, name)


@deed()
def confidence(side: Side, chance: random.Random) -> Any:
    record = stored_memory(side, chance)
    name, signal = chance.choice(("sure", "trust")), chance.choice((0.0, 0.2, 0.9))
    if record is None:
        return None
    return (
        side.of(ConfidenceField, "update_confidence", record, name, signal),
        side.of(ConfidenceField, "get_confidence", record, name),
        side.of(ConfidenceField, "get_confidence_data", record, name),
        side.call(popoto.explain_confidence, record, name),
    )


@deed()
def confidence_of_several(side: Side, chance: random.Random) -> Any:
    pairs = [(each, chance.random()) for each in stored_memories(side, chance)]
    name = chance.choice(("sure", "trust"))
    return side.of(ConfidenceField, "bulk_update_confidence", pairs, name)


@deed()
def confident(side: Side, chance: random.Random) -> Any:
    pattern = chance.choice(("*", "*:a", f"*{agent(chance)}*"))
    return side.of(ConfidenceField, "get_confidence_filtered", side.models.memory, "sure", pattern)


@deed()
def cycle(side: Side, chance: random.Random) -> Any:
    record, name = stored_memory(side, chance), chance.choice(("rhythm", "season"))
    method = chance.choice(("strengthen_cycle", "weaken_cycle", "resolve_pressure"))
    return record and side.api(getattr(record, method), name)


@deed()
def read(side: Side, chance: random.Random) -> Any:
    record = stored_memory(side, chance)
    method = chance.choice(("on_read", "confirm_access", "discard_staged_access"))
    if record is None:
        return None
    found = side.api(getattr(record, method))
    if side.is_async:
        return found, side.run(record.async_access_count()), side.run(record.async_last_accessed())
    return found, record.access_count, record.last_accessed


@deed()
def confirm_several(side: Side, chance: random.Random) -> Any:
    return side.api(side.models.memory.bulk_confirm_access, stored_memories(side, chance))


@deed()
def predict(side: Side, chance: random.Random) -> Any:
    record, model = stored_memory(side, chance), side.models.memory
    number, outcome = chance.random(), chance.choice(OUTCOMES)
    if record is None:
        return None
    if chance.random() < 0.7:
        side.api(model.record_prediction, record, {"n": chance.random()})
    ways: tuple[Callable[[], Any], ...] = (
        lambda: side.api(model.resolve_prediction, record, {"n": number}),
        lambda: side.api(model.auto_resolve, record, outcome),
    )
    return chance.choice(ways)(), side.api(model.get_prediction_data, record)


@deed()
def errors(side: Side, chance: random.Random) -> Any:
    model = side.models.memory
    by = chance.choice((None, "day", lambda key, error: key[-1]))
    return (
        side.api(model.get_highest_errors, model, limit=chance.choice((1, 10))),
        side.api(model.error_summary, model, group_by=by, limit=chance.choice((2, 100))),
    )


@deed()
def propose(side: Side, chance: random.Random) -> Any:
    partition, records = chance.choice((None, "p:q")), stored_memories(side, chance)
    if chance.random() < 0.5:
        side.of(RecallProposal, "create_batch", records, "why", partition)
    else:
        side.of(ObservationProtocol, "on_surfaced", records, partition=partition)
    return side.of(RecallProposal, "get_pending", side.models.memory, partition)


@deed()
def resolve(side: Side, chance: random.Random) -> Any:
    partition, record = chance.choice((None, "p:q")), stored_memory(side, chance)
    return record and side.of(RecallProposal, "resolve", record, "used", partition)


@deed(allowing=IN_ANY_ORDER)
def stale(side: Side, chance: random.Random) -> Any:
    partition, ttl = chance.choice((None, "p:q")), chance.choice((0, 1800))
    return side.of(RecallProposal, "expire_stale", side.models.memory, partition, ttl)


@deed()
def pending(side: Side, chance: random.Random) -> Any:
    partition = chance.choice((None, "p:q"))
    return side.of(RecallProposal, "get_pending", side.models.memory, partition)


@deed()
def used(side: Side, chance: random.Random) -> Any:
    records = stored_memories(side, chance)
    told = {each.pk: chance.choice(OUTCOMES) for each in records}
    with popoto.acting_as(chance.choice(("x", "y"))):
        return side.of(ObservationProtocol, "on_context_used", records, told)
