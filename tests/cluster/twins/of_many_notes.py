"""What is done to several notes at once: bulk work, updates, transactions, pipelines."""

from __future__ import annotations

import random
from typing import Any

from popoto import F, get_async_redis_db
from popoto.redis_db import POPOTO_REDIS_DB

from .deeds import SELDOM, deed
from .drawing import (
    NUMBERS,
    agent,
    cut,
    new_note,
    note_key,
    note_values,
    some_notes,
    stored_note,
)
from .side import Side


@deed()
def bulk_create(side: Side, chance: random.Random) -> Any:
    rows = [new_note(side, chance) for _ in range(chance.randint(0, 12))]
    refused: list[Any] = []
    options: dict[str, Any] = {
        "batch_size": chance.choice((1, 2, 1000)),
        "keep": chance.random() < 0.8,
    }
    if chance.random() < 0.5:
        options["on_error"] = refused.append
    found = side.api(side.models.note.bulk_create, rows, **options)
    return found, sorted(str((each.position, type(each.error).__name__)) for each in refused)


@deed()
def bulk_update(side: Side, chance: random.Random) -> Any:
    query = some_notes(side, chance)
    new = {name: value for name, value in note_values(side, chance).items() if name != "code"}
    return side.api(side.models.note.bulk_update, query, batch_size=chance.choice((1, 1000)), **new)


@deed(weight=SELDOM)
def bulk_delete(side: Side, chance: random.Random) -> Any:
    keys = [note_key(side, chance) for _ in range(chance.randint(0, 4))]
    found = side.api(side.models.note.query.get_many, keys, skip_none=True)
    return side.api(side.models.note.bulk_delete, found)


@deed()
def raw_update(side: Side, chance: random.Random) -> Any:
    keys = [note_key(side, chance) for _ in range(chance.randint(0, 4))]
    new = chance.choice(({"hits": 5}, {"body": "raw"}))
    return side.api(side.models.note.raw_update, keys, **new)


@deed()
def update(side: Side, chance: random.Random) -> Any:
    new = chance.choice(({"hits": F("hits") + 1}, {"rank": 3, "topic": "red"}, {"body": "x"}))
    return side.api(some_notes(side, chance).update, **new)


@deed(weight=SELDOM)
def delete_found(side: Side, chance: random.Random) -> Any:
    query = cut(some_notes(side, chance), chance)
    return side.api(query.delete, batch_size=chance.choice((1, 1000)))


@deed()
def transaction(side: Side, chance: random.Random) -> Any:
    """Of one agent, or of several, which is refused of shards."""
    whose = chance.choice((agent(chance), agent(chance), None))

    def fill(changes: Any) -> None:
        for _ in range(chance.randint(1, 4)):
            kind = chance.choice(("create", "save", "increment", "expect"))
            new, record = new_note(side, chance, whose), stored_note(side, chance, whose)
            if kind == "create":
                values = {"act": chance.choice(NUMBERS), **note_values(side, chance)}
                changes.create(side.models.note, agent=whose or agent(chance), **values)
            elif kind == "save" or record is None:
                changes.save(new if record is None else record)
            elif kind == "increment":
                changes.increment(record, "hits", 1)
            else:
                changes.expect(record)

    return side.transaction(fill)


@deed()
def pipeline(side: Side, chance: random.Random) -> Any:
    number = chance.randint(1, 4)
    records = [stored_note(side, chance) or new_note(side, chance) for _ in range(number)]
    at_once = chance.random() < 0.5 and len({each.agent for each in records}) == 1
    if side.is_async:
        waiting: Any = side.run(_pipeline(at_once))
    else:
        waiting = POPOTO_REDIS_DB.pipeline(transaction=at_once)
    for each in records:
        if chance.random() < 0.3:
            side.api(each.delete, pipeline=waiting)
        else:
            each.hits = chance.randint(10, 20)
            side.api(each.save, pipeline=waiting)
    told = waiting.execute(raise_on_error=False)
    told = side.run(told) if side.is_async else told
    return [isinstance(each, Exception) for each in told], records


async def _pipeline(at_once: bool) -> Any:
    return (await get_async_redis_db()).pipeline(transaction=at_once)
