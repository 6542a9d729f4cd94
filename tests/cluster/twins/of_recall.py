"""What is recalled, with what each signal tells."""

from __future__ import annotations

import random
from typing import Any

from .allowed import dropped_from
from .deeds import asked_often, deed
from .drawing import agent
from .drawing_memories import CUES, a_text, how_many, memory_key, of_all, of_one
from .side import Side


@asked_often
def recall(side: Side, chance: random.Random) -> Any:
    signals = chance.choice((None, None, ["words"], ["meaning"], ["words", "meaning", "length"]))
    weights = chance.choice(({}, {"sure": 1.0, "rhythm": 0.5}, {"words": 2.0}))
    own = {"relevance": 0, "season": 0, "trust": 0}
    options: dict[str, Any] = {
        "limit": how_many(chance),
        "signals": signals,
        "weights": {**own, **weights} if signals is None else None,
        "cues": chance.choice((None, [memory_key(side, chance), chance.choice(CUES)])),
        "field": "words",
    }
    query, words = of_all(side, chance), a_text(chance)
    if chance.random() < 0.7:
        return side.api(query.recall, words, **options)
    found = side.api(query.recall, words, explain=True, **options)
    told = found.explain()
    return found, told.results, dropped_from(told)


@deed()
def recall_of_one(side: Side, chance: random.Random) -> Any:
    query, words = of_one(side, chance), a_text(chance)
    return side.api(query.recall, words, limit=how_many(chance), field="own_words")


@deed()
def say(side: Side, chance: random.Random) -> Any:
    rows = [
        side.models.said(
            agent=agent(chance),
            name=str(chance.randrange(12)),
            text=a_text(chance),
            speaker=chance.choice(("Anna", "Ben")),
            session=chance.choice(("one", "two")),
            place=chance.randrange(9),
        )
        for _ in range(chance.randint(1, 6))
    ]
    return side.api(side.models.said.bulk_create, rows)


@asked_often
def recall_what_was_said(side: Side, chance: random.Random) -> Any:
    query = side.models.said.query.filter(**chance.choice(({}, {"session": "one"})))
    return side.api(query.recall, a_text(chance), limit=how_many(chance))
