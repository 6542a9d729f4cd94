"""What deeds draw of memories: keys, texts, records, queries."""

from __future__ import annotations

import random
from typing import Any

from .drawing import agent
from .side import Side

MEMORY_NAMES = ("a", "b", "c:c", "d")
#: Ends of edges that are no records.
CUES = ("a topic", "another")
WORDS = ("cat", "kitten", "rain", "storm", "vet", "doctor", "river", "went", "the", "zebra")


def memory_key(side: Side, chance: random.Random, whose: str | None = None) -> str:
    values = {"agent": whose or agent(chance), "name": chance.choice(MEMORY_NAMES)}
    return str(side.models.memory._meta.record_key(values))


def a_text(chance: random.Random) -> str:
    """Some words, and one that no other text has: no two are equally near to anything."""
    words = chance.choices(WORDS, k=chance.randint(1, 6))
    return " ".join((*words, f"n{chance.randrange(10**6)}"))


def memory_values(chance: random.Random) -> dict[str, Any]:
    return {
        "text": a_text(chance),
        "kind": chance.choice(("fact", "plan")),
        "importance": chance.choice((0.05, 0.3, 0.5, 0.8)),
        "rank": chance.choice((0.0, 1.0, 2.5, -1.0)),
        "story": chance.choice((None, a_text(chance))),
    }


def stored_memory(side: Side, chance: random.Random, whose: str | None = None) -> Any:
    """The first of a few that is there, if any is."""
    keys = [memory_key(side, chance, whose) for _ in range(4)]
    found = side.api(side.models.memory.query.get_many, keys, skip_none=True)
    return found[0] if found else None


def stored_memories(side: Side, chance: random.Random, whose: str | None = None) -> list[Any]:
    keys = [memory_key(side, chance, whose) for _ in range(chance.randint(1, 5))]
    query = side.models.memory.query
    return list(side.api(query.get_many, list(dict.fromkeys(keys)), skip_none=True))


def of_all(side: Side, chance: random.Random) -> Any:
    """A query for memories of all agents, or by a condition that names no agent."""
    conditions: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"kind": chance.choice(("fact", "plan"))},
        {"rank__gte": 1},
        {"name__in": ["a", "d"]},
        {"importance__ne": 0.3},
    )
    query = side.models.memory.query.filter(**chance.choice(conditions))
    return query.offset(chance.choice((0, 0, 1, 3)))


def of_one(side: Side, chance: random.Random) -> Any:
    query = side.models.memory.query.filter(agent=agent(chance))
    return query.offset(chance.choice((0, 0, 1)))


def how_many(chance: random.Random) -> int:
    return chance.choice((1, 3, 20))
