"""What is asked of notes, by conditions, orders, windows and keys."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from .allowed import IN_ANY_ORDER
from .deeds import asked_often, deed
from .drawing import (
    NUMBERS,
    agent,
    cut,
    note_key,
    ordered,
    person_key,
    question,
    some_notes,
    stored_note,
)
from .side import Side

# Shapes of results -------------------------------------------------------------------------------


@asked_often
def all_(side: Side, chance: random.Random) -> Any:
    return side.api(question(side, chance).all)


@asked_often
def shaped(side: Side, chance: random.Random) -> Any:
    is_reversed = chance.random() < 0.5
    shapes: tuple[Callable[[Any], Any], ...] = (
        lambda query: query.values("agent", "rank", "author"),
        lambda query: query.values_list("pk", flat=True),
        lambda query: query.values_list("topic", "weight"),
        lambda query: query.only("body", "act"),
        lambda query: query.computed_sort(lambda each: -each.act, reverse=is_reversed),
    )
    return side.api(chance.choice(shapes)(question(side, chance)).all)


@deed()
def with_related(side: Side, chance: random.Random) -> Any:
    ways: tuple[Callable[[Any], Any], ...] = (
        lambda query: query.select_related("author"),
        lambda query: query.select_related("reply_to", "author"),
        lambda query: query.prefetch_related("rests_on"),
    )
    found = side.api(chance.choice(ways)(question(side, chance)).all)
    names = ("author", "reply_to", "rests_on")
    return found, [[getattr(each, name) for name in names] for each in found]


@asked_often
def one(side: Side, chance: random.Random) -> Any:
    return side.api(getattr(question(side, chance), chance.choice(("first", "last"))))


@asked_often
def told(side: Side, chance: random.Random) -> Any:
    some = some_notes(side, chance)
    part = cut(ordered(some, chance), chance)
    return [
        (side.api(each.count), side.api(each.exists), side.api(each.keys)) for each in (some, part)
    ]


@asked_often
def sliced(side: Side, chance: random.Random) -> Any:
    query, first = question(side, chance), chance.choice((0, 1, -1, 5))
    which = slice(first, chance.choice((None, 3, -1)), chance.choice((None, 2)))
    return query[first] if chance.random() < 0.5 else query[which]


@asked_often
def iterator(side: Side, chance: random.Random) -> Any:
    query, size = question(side, chance), chance.choice((1, 3, 1000))
    if not side.is_async:
        return list(query.iterator(chunk_size=size))

    async def iterated() -> list[Any]:
        return [each async for each in query.async_iterator(chunk_size=size)]

    return side.run(iterated())


@deed()
def whole_model(side: Side, chance: random.Random) -> Any:
    """What is asked of `Model.query` itself."""
    query = side.models.note.query
    given = chance.choice(({}, {"order_by": "-rank", "limit": 3}, {"values": ("rank",)}))
    return (
        side.api(query.all, **given),
        side.api(query.count),
        side.api(query.count, topic="red"),
        side.api(query.last),
        query[1:3],
        len(query),
    )


# Sums and places ---------------------------------------------------------------------------------


@asked_often
def aggregate(side: Side, chance: random.Random) -> Any:
    method = chance.choice(("sum", "avg", "min", "max"))
    name = chance.choice(("rank", "weight", "hits", "price", "at", "body"))
    return side.api(getattr(question(side, chance), method), name)


@asked_often
def group_count(side: Side, chance: random.Random) -> Any:
    name = chance.choice(("topic", "agent", "author", "hits", "flag", "done"))
    return side.api(some_notes(side, chance).group_count, name)


@asked_often
def distances(side: Side, chance: random.Random) -> Any:
    near = {"place": (10.0, 10.0), "place_radius": chance.choice((5, 20000))}
    query = some_notes(side, chance).filter(
        **near, place_radius_unit="km", place_with_distances=True
    )
    return side.api(cut(query, chance).all)


@deed()
def around_another(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    if record is None:
        return None
    near = {"place_member": record, "place_radius": 50, "place_radius_unit": "km"}
    return side.api(side.models.note.query.filter(**near).all)


@deed()
def explain(side: Side, chance: random.Random) -> Any:
    return side.api(question(side, chance).explain).in_python


# By key ------------------------------------------------------------------------------------------


@deed()
def get(side: Side, chance: random.Random) -> Any:
    query, key = side.models.note.query, note_key(side, chance)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: side.api(query.get, redis_key=key),
        lambda: side.api(query.get, agent=agent(chance), act=chance.choice(NUMBERS)),
        lambda: side.api(query.get, code=chance.choice("uv")),
        lambda: side.api(query.get, pk=key),
        lambda: side.api(query.get, key),
        lambda: side.api(query.get, topic="red"),
    )
    return chance.choice(ways)()


@deed()
def get_many(side: Side, chance: random.Random) -> Any:
    keys = [note_key(side, chance) for _ in range(chance.randint(0, 5))]
    return side.api(side.models.note.query.get_many, keys, skip_none=chance.random() < 0.5)


@deed()
def load(side: Side, chance: random.Random) -> Any:
    found = side.api(side.models.note.load, note_key(side, chance))
    return found, found and found.db_key.exists()


@deed(allowing=IN_ANY_ORDER)
def keys_set(side: Side, chance: random.Random) -> Any:
    given = chance.choice(({"topic": "red"}, {"agent": agent(chance)}, {"rank__gte": 1}))
    return side.models.note.query.filter_for_keys_set(**given)


@deed(allowing=IN_ANY_ORDER)
def keys(side: Side, chance: random.Random) -> Any:
    return side.api(side.models.note.query.keys, clean=chance.random() < 0.5)


# Along relationships -----------------------------------------------------------------------------


@deed()
def related(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    name = chance.choice(("author", "reply_to", "rests_on"))
    back = chance.choice(("replies", "resting", "pins"))
    if record is None:
        return None
    referring = cut(getattr(record, back).filter(), chance)
    return side.api(record.related, name), side.api(referring.all)


@deed()
def notes_of_a_person(side: Side, chance: random.Random) -> Any:
    record = side.api(side.models.person.query.get, redis_key=person_key(side, chance))
    return record and side.api(record.notes.order_by("-rank").all)


@deed()
def as_dict(side: Side, chance: random.Random) -> Any:
    record = stored_note(side, chance)
    return record and (record.to_dict(max_depth=0), record.to_dict(json=True, exclude=["bag"]))
