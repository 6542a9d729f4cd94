"""What deeds draw of notes: keys, values, conditions, orders, windows."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from popoto import Q

from .side import Side

AGENTS = ("ann", "b:ob", "cleo", "dan")
NUMBERS = (1, 2, 3, 4)
TOPICS = (None, "red", "b:lue", "green")
UTC = datetime.UTC


def agent(chance: random.Random) -> str:
    return chance.choice(AGENTS)


def note_key(side: Side, chance: random.Random, whose: str | None = None) -> str:
    values = {"agent": whose or agent(chance), "act": chance.choice(NUMBERS)}
    return str(side.models.note._meta.record_key(values))


def person_key(side: Side, chance: random.Random) -> str:
    values = {"town": chance.choice(("rome", "oslo")), "name": chance.choice("xy")}
    return str(side.models.person._meta.record_key(values))


def note_values(side: Side, chance: random.Random) -> dict[str, Any]:
    """Values of some fields of a note."""
    drawn: dict[str, Callable[[], Any]] = {
        "topic": lambda: chance.choice(TOPICS),
        "flag": lambda: chance.choice((None, True, False)),
        "rank": lambda: chance.choice((None, 1, 2, 7, 2**53 + 1)),
        "weight": lambda: chance.choice((0.0, 1.5, -2.0)),
        "own": lambda: chance.randint(0, 3),
        "place": lambda: chance.choice((None, (10.0, 10.0), (10.0, 10.01), (-40.0, 170.0))),
        "code": lambda: chance.choice((None, None, "u", "v", "w:x")),
        "body": lambda: chance.choice((None, "", "text", "other: text")),
        "hits": lambda: chance.randint(0, 3),
        "price": lambda: chance.choice((None, Decimal("1.50"), Decimal(-3))),
        "at": lambda: chance.choice((None, datetime.datetime(2024, 1, 1, tzinfo=UTC))),
        "done": lambda: chance.choice((True, False)),
        "tags": lambda: chance.choice(([], ["a"], ["a", "b", "c", "d"])),
        "bag": lambda: chance.choice((None, {1, 2}, {"x"})),
        "data": lambda: chance.choice((None, {"a": [1]}, {})),
        "author": lambda: chance.choice((None, person_key(side, chance))),
        "reply_to": lambda: chance.choice((None, note_key(side, chance))),
        "rests_on": lambda: chance.choice((None, None, None, note_key(side, chance))),
    }
    names = chance.sample(sorted(drawn), chance.randint(1, 8))
    return {name: drawn[name]() for name in names}


def new_note(side: Side, chance: random.Random, whose: str | None = None) -> Any:
    values = note_values(side, chance)
    return side.models.note(agent=whose or agent(chance), act=chance.choice(NUMBERS), **values)


def stored_note(side: Side, chance: random.Random, whose: str | None = None) -> Any:
    """The first of a few that is there, if any is."""
    keys = [note_key(side, chance, whose) for _ in range(4)]
    found = side.api(side.models.note.query.get_many, keys, skip_none=True)
    return found[0] if found else None


def some_notes(side: Side, chance: random.Random) -> Any:
    """A query by some conditions, often by none, and often one that names no shard."""
    whose, other = agent(chance), agent(chance)
    key, keys = note_key(side, chance), [note_key(side, chance) for _ in range(3)]
    conditions: tuple[Callable[[], Q], ...] = (
        lambda: Q(agent=whose),
        lambda: Q(agent__in=[whose, other]),
        lambda: Q(topic=chance.choice(TOPICS)),
        lambda: Q(topic__in=chance.sample(TOPICS, 2)),
        lambda: Q(rank__gte=chance.choice((1, 2, 2**53))),
        lambda: Q(rank__isnull=chance.random() < 0.5),
        lambda: Q(topic="red", weight__lt=1),
        lambda: Q(agent=whose, own__gt=0),
        lambda: Q(place=(10.0, 10.0), place_radius=5, place_radius_unit="km"),
        lambda: Q(code=chance.choice("uv")),
        lambda: Q(body__ne="text"),
        lambda: Q(act__in=[1, 2, 9]),
        lambda: Q(author__age__gte=chance.randint(1, 9)),
        lambda: Q(reply_to=key),
        lambda: Q(reply_to__topic="red"),
        lambda: ~Q(topic="red"),
        lambda: Q(agent=whose) | Q(topic="red"),
        lambda: ~Q(agent=whose),
        lambda: Q(pk=key),
        lambda: Q(pk__in=keys),
        lambda: Q(agent__startswith="b:"),
        lambda: Q(topic__icontains="E"),
    )
    query = side.models.note.query.filter()
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        condition = chance.choice(conditions)()
        query = (query.exclude if chance.random() < 0.1 else query.filter)(condition)
    return query


ORDERS = (
    (),
    ("rank",),
    ("-rank",),
    ("topic", "-rank"),
    ("-weight", "own"),
    ("-agent",),
    ("body", "-act"),
    ("pk",),
    ("-pk",),
    ("at", "price"),
)


def ordered(query: Any, chance: random.Random) -> Any:
    names, nulls = chance.choice(ORDERS), chance.choice((None, None, "first", "last"))
    return query.order_by(*names, nulls=nulls) if names else query


def cut(query: Any, chance: random.Random) -> Any:
    """With a limit or an offset, or both, or neither."""
    if chance.random() < 0.4:
        query = query.limit(chance.choice((0, 1, 3)))
    return query.offset(chance.choice((1, 3))) if chance.random() < 0.4 else query


def question(side: Side, chance: random.Random) -> Any:
    return cut(ordered(some_notes(side, chance), chance), chance)
