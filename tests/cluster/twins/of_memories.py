"""What is done to memories as records: written, moved, forgotten, in transactions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from popoto import ConfidenceField, ObservationProtocol, RecallProposal

from .deeds import SELDOM, deed
from .drawing import agent
from .drawing_memories import (
    MEMORY_NAMES,
    a_text,
    memory_values,
    of_all,
    stored_memories,
    stored_memory,
)
from .families import DAY
from .side import Side


@deed()
def pass_time(side: Side, chance: random.Random) -> Any:
    side.moment += chance.choice((1, 3600, DAY))


@deed()
def remember(side: Side, chance: random.Random) -> Any:
    values = {"agent": agent(chance), "name": chance.choice(MEMORY_NAMES), **memory_values(chance)}
    return side.api(side.models.memory.create, overwrite=chance.random() < 0.5, **values)


@deed()
def remember_several(side: Side, chance: random.Random) -> Any:
    model = side.models.memory
    rows = [
        model(agent=agent(chance), name=chance.choice(MEMORY_NAMES), **memory_values(chance))
        for _ in range(chance.randint(3, 10))
    ]
    return side.api(model.bulk_create, rows)


@deed()
def change_memory(side: Side, chance: random.Random) -> Any:
    record, new = stored_memory(side, chance), memory_values(chance)
    if record is None:
        return None
    for name, value in new.items():
        setattr(record, name, value)
    return side.api(record.save, update_fields=chance.choice((None, ["text", "rank"]))), record


@deed()
def move_memory(side: Side, chance: random.Random) -> Any:
    record, name = stored_memory(side, chance), chance.choice(MEMORY_NAMES)
    if record is None:
        return None
    record.name = name
    return side.api(record.save, migrate_key=True)


@deed()
def forget(side: Side, chance: random.Random) -> Any:
    record = stored_memory(side, chance)
    return record and side.api(record.delete)


@deed()
def write_to_what_is_gone(side: Side, chance: random.Random) -> Any:
    """An instance whose record was deleted meanwhile."""
    record, model = stored_memory(side, chance), side.models.memory
    if record is None:
        return None
    side.api(model.query.filter(pk=record.pk).delete)
    writes: tuple[Callable[[], Any], ...] = (
        lambda: side.api(record.touch, "relevance"),
        lambda: side.of(ConfidenceField, "update_confidence", record, "sure", 0.9),
        lambda: side.api(record.strengthen_cycle, "rhythm"),
        lambda: side.api(record.confirm_access),
        lambda: side.api(record.on_read),
        lambda: side.api(model.record_prediction, record, {"n": 1}),
        lambda: side.of(RecallProposal, "create_batch", [record]),
        lambda: side.of(ObservationProtocol, "on_context_used", [record], {record.pk: "acted"}),
    )
    return chance.choice(writes)()


@deed(weight=SELDOM)
def forget_several(side: Side, chance: random.Random) -> Any:
    return side.api(side.models.memory.bulk_delete, stored_memories(side, chance))


@deed()
def update_memories(side: Side, chance: random.Random) -> Any:
    new = chance.choice(({"text": a_text(chance)}, {"rank": 2.0}, {"kind": "plan"}))
    return side.api(of_all(side, chance).update, **new)


@deed()
def history(side: Side, chance: random.Random) -> Any:
    record = stored_memory(side, chance)
    return record and side.api(record.history, limit=chance.choice((None, 3)))


@deed()
def memory_transaction(side: Side, chance: random.Random) -> Any:
    """A record, and what stands beside it and another one, in one step."""
    model, whose = side.models.memory, agent(chance)
    records = stored_memories(side, chance, whose)
    if not records:
        return None
    first, last = records[0], records[-1]
    goes = first is not last and chance.random() < 0.3
    first.rank = chance.choice((3.0, 4.0))

    def fill(changes: Any) -> None:
        changes.save(first)
        if first is not last and not goes:
            changes.touch(last, "relevance")
        first.strengthen_cycle("rhythm", pipeline=changes)
        ConfidenceField.update_confidence(last, "sure", 0.7, pipeline=changes)
        last.confirm_access(pipeline=changes)
        model.record_prediction(last, {"n": 1}, pipeline=changes)
        if first is not last:
            model.near.strengthen(model, first, last, 0.2, pipeline=changes)
        if goes:
            changes.delete(last)
        elif first is last:
            ObservationProtocol.on_context_used(records, {first.pk: "used"}, pipeline=changes)

    return side.transaction(fill), side.api(model.query.filter(agent=whose).all)


@deed()
def make(side: Side, chance: random.Random) -> Any:
    values = {"agent": agent(chance), "kind": chance.choice("ij"), "content": a_text(chance)}
    made = side.models.made
    return side.api(made.create, **values), side.api(made.query.order_by("content").all)
