"""What is done to edges between memories, and what spreads along them."""

from __future__ import annotations

import random
from typing import Any

from .deeds import asked_often, deed
from .drawing import agent
from .drawing_memories import CUES, MEMORY_NAMES, memory_key
from .side import Side


def edges(side: Side, chance: random.Random) -> Any:
    return chance.choice((side.models.memory.near, side.models.memory.ways))


def two_ends(side: Side, chance: random.Random) -> tuple[str, str]:
    """Of one agent, or one of them a cue; seldom of two agents or two cues: shards refuse those."""
    one, other = agent(chance), agent(chance)
    kind = chance.choices(("own", "from a cue", "to a cue", "others", "cues"), (40, 20, 20, 2, 1))[
        0
    ]
    if kind == "cues":
        return CUES
    if kind == "from a cue":
        return chance.choice(CUES), memory_key(side, chance, other)
    if kind == "to a cue":
        return memory_key(side, chance, one), chance.choice(CUES)
    names = chance.sample(MEMORY_NAMES, 2)
    owners = (one, one if kind == "own" else other)
    keys = [
        side.models.memory._meta.record_key({"agent": owner, "name": name})
        for owner, name in zip(owners, names, strict=True)
    ]
    return keys[0], keys[1]


@deed()
def link(side: Side, chance: random.Random) -> Any:
    field, ends = edges(side, chance), two_ends(side, chance)
    method = chance.choice(("link", "link", "strengthen", "unlink"))
    amount = () if method == "unlink" else (chance.choice((0.25, 0.5, 0.9, 1.0)),)
    return side.api(getattr(field, method), side.models.memory, *ends, *amount)


@deed()
def link_several(side: Side, chance: random.Random) -> Any:
    pairs = [two_ends(side, chance) for _ in range(chance.randint(1, 8))]
    weight = chance.choice((0.4, 0.9, 1.0))
    return side.api(edges(side, chance).bulk_link, side.models.memory, pairs, weight)


@deed()
def weaken(side: Side, chance: random.Random) -> Any:
    key = chance.choice((memory_key(side, chance), *CUES))
    field, factor = edges(side, chance), chance.choice((0.5, 0.001))
    removed = side.api(field.weaken_all, side.models.memory, key, factor)
    return removed, side.api(field.get_linked, side.models.memory, key)


@asked_often
def linked(side: Side, chance: random.Random) -> Any:
    key, limit = chance.choice((memory_key(side, chance), *CUES)), chance.choice((2, 20))
    return side.api(edges(side, chance).get_linked, side.models.memory, key, limit=limit)


@asked_often
def propagate(side: Side, chance: random.Random) -> Any:
    seeds = chance.sample((memory_key(side, chance), memory_key(side, chance), *CUES), 2)
    hops = chance.choice((0, 1, 2, 3, 4, 5))
    field, threshold = edges(side, chance), chance.choice((0.05, 1e-6))
    return side.api(field.propagate, side.models.memory, seeds, depth=hops, threshold=threshold)
