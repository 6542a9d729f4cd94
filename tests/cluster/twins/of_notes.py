"""What is done to single notes, and to the persons and pins around them."""

from __future__ import annotations

import random
from typing import Any

from .deeds import deed
from .drawing import (
    AGENTS,
    NUMBERS,
    TOPICS,
    agent,
    new_note,
    note_key,
    note_values,
    person_key,
    stored_note,
)
from .side import Side


@deed()
def create_person(side: Side, chance: random.Random) -> Any:
    values = {
        "town": chance.choice(("rome", "oslo")),
        "name": chance.choice("xy"),
        "age": chance.randint(1, 9),
    }
    return side.api(side.models.person.update_or_create, **values)


@deed()
def create(side: Side, chance: random.Random) -> Any:
    values = {"agent": agent(chance), "act": chance.choice(NUMBERS), **note_values(side, chance)}
    return side.api(side.models.note.create, overwrite=chance.random() < 0.5, **values)


@deed()
def save(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    new = note_values(side, chance)
    if record is None:
        return None
    for name, value in new.items():
        setattr(record, name, value)
    options = chance.choice(({}, {"update_fields": list(new)}, {"ttl": 5000}))
    return side.api(record.save, **options), record


@deed()
def save_expected(side: Side, chance: random.Random) -> Any:
    record, one, other = stored_note(side, chance), chance.randint(0, 3), chance.randint(0, 3)
    if record is None:
        return None
    record.hits = one
    return side.api(record.save, expected={"hits": other}), record


@deed()
def save_new(side: Side, chance: random.Random) -> Any:
    record = new_note(side, chance)
    return side.api(record.save), record


@deed()
def save_deleted(side: Side, chance: random.Random) -> Any:
    """An instance whose record was deleted meanwhile."""
    record, recreate = stored_note(side, chance), chance.random() < 0.5
    if record is None:
        return None
    told = side.api(side.models.note.query.filter(pk=record.pk).delete)
    record.hits = 9
    return told, side.api(record.save, recreate=recreate)


@deed()
def move(side: Side, chance: random.Random) -> Any:
    """To another key of the same shard."""
    record = stored_note(side, chance)
    act, new = chance.choice(NUMBERS), note_values(side, chance)
    if record is None:
        return None
    for name, value in {**new, "act": act}.items():
        setattr(record, name, value)
    return side.api(record.save, migrate_key=chance.random() < 0.8), record.obsolete_redis_key


@deed()
def move_to_another_agent(side: Side, chance: random.Random) -> Any:
    """Refused of shards, unless it is the same agent."""
    record, whose = stored_note(side, chance), chance.choice(AGENTS)
    if record is None:
        return None
    record.agent = whose
    return side.api(record.save, migrate_key=True), record.obsolete_redis_key


@deed()
def delete(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    return record and side.api(record.delete)


@deed()
def get_or_create(side: Side, chance: random.Random) -> Any:
    asked = {"agent": agent(chance), "act": chance.choice(NUMBERS)}
    asked |= chance.choice(({}, {"topic": chance.choice(TOPICS[1:])}))
    defaults = note_values(side, chance)
    return side.api(side.models.note.get_or_create, **asked, defaults=defaults)


@deed()
def get_or_create_by_another_field(side: Side, chance: random.Random) -> Any:
    defaults = {**note_values(side, chance), "act": chance.choice(NUMBERS)}
    asked = {"agent": agent(chance), "code": chance.choice("uvw")}
    defaults.pop("code", None)
    return side.api(side.models.note.get_or_create, **asked, defaults=defaults)


@deed()
def update_or_create(side: Side, chance: random.Random) -> Any:
    asked = {"agent": agent(chance), "act": chance.choice(NUMBERS)}
    defaults = note_values(side, chance)
    return side.api(side.models.note.update_or_create, **asked, defaults=defaults)


@deed()
def increment(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    name = chance.choice(("hits", "rank", "weight", "own", "price", "body"))
    delta = chance.choice((1, -2))
    return record and (side.api(record.atomic_increment, name, delta), record)


@deed()
def push(side: Side, chance: random.Random) -> Any:
    record, what = stored_note(side, chance), chance.choice("pq")
    return record and (side.api(record.tags.push, what), side.api(record.refresh))


@deed()
def refresh(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    return record and side.api(record.refresh, chance.choice((None, ["body", "tags"])))


@deed()
def create_pin(side: Side, chance: random.Random) -> Any:
    values = {"board": chance.choice("kl"), "number": chance.choice(NUMBERS)}
    defaults = {"note": note_key(side, chance)}
    return side.api(side.models.pin.update_or_create, **values, defaults=defaults)


@deed()
def delete_person(side: Side, chance: random.Random) -> Any:
    record = side.api(side.models.person.query.get, redis_key=person_key(side, chance))
    return record and side.api(record.delete)
