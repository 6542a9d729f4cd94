"""Checking, cleaning, rebuilding, emptying, erasing; out through a file and in again."""

from __future__ import annotations

import json
import random
from typing import Any

from popoto import ContentField

from .allowed import UNREGISTERED_SHARDS, without_time
from .deeds import DEEDS, SELDOM, Deed, deed
from .drawing import AGENTS, agent, note_key, question
from .families import MODELS
from .side import Side


def any_model(side: Side, chance: random.Random) -> Any:
    return side.models.of(chance.choice(MODELS))


@deed(allowing=UNREGISTERED_SHARDS)
def check(side: Side, chance: random.Random) -> Any:
    model, size = any_model(side, chance), chance.choice((1, 1000))
    return side.api(model.check_indexes, batch_size=size)


@deed()
def clean(side: Side, chance: random.Random) -> Any:
    return side.api(any_model(side, chance).clean_indexes)


@deed()
def rebuild(side: Side, chance: random.Random) -> Any:
    found = side.api(any_model(side, chance).rebuild_indexes)
    return int(found), found.problems


@deed(weight=SELDOM)
def delete_all(side: Side, chance: random.Random) -> Any:
    model = side.models.of(chance.choice(("note", "pin", "person", "fleeting")))
    return side.api(model.delete_all, batch_size=chance.choice((1, 1000)))


@deed(weight=SELDOM)
def lose_a_record(side: Side, chance: random.Random) -> Any:
    """Its entries stay, are let go by those who come across them, and then by cleaning."""
    note = side.models.note
    side.lose(note, note_key(side, chance))
    asked = question(side, chance)
    told = side.api(asked.count), side.api(asked.all), sorted(side.api(note.query.keys))
    return told, side.api(note.clean_indexes)


@deed()
def collect_contents(side: Side, chance: random.Random) -> Any:
    memory = side.models.memory
    collected = side.of(ContentField, "garbage_collect", memory, 0)
    return collected, [each.story for each in side.api(memory.query.all)]


@deed(weight=SELDOM)
def erase(side: Side, chance: random.Random) -> Any:
    whose = agent(chance)
    name, subject = chance.choice(
        (
            ("memory", {"agent": whose}),
            ("memory", {"kind": "plan"}),
            ("note", {"agent": whose}),
            ("note", {"topic": "red"}),
        )
    )
    report = side.api(side.models.of(name).erase, **subject)
    return report.is_complete, report.records


@deed(weight=SELDOM)
def export_and_import(side: Side, chance: random.Random) -> Any:
    """Into an empty model; with what stands beside the records."""
    model = side.models.of(chance.choice(("memory", "note", "fleeting", "made")))
    place = side.files / "exported.jsonl"
    before = side.api(model.query.all)
    exported = side.command("export", model, "-o", str(place))
    lines = [without_time(json.loads(line)) for line in place.read_text().splitlines()]
    side.api(model.delete_all)
    imported = side.command("import", model, str(place))
    return exported, imported, lines, before, side.api(model.query.all)


def look(side: Side, chance: random.Random) -> Any:
    """All that is stored, and whether the entries agree with it."""
    return [all_of(side, side.models.of(name)) for name in MODELS]


def all_of(side: Side, model: Any) -> Any:
    # Of a model that requires its partition nobody may ask for all records at once.
    asked = [{"agent": each} for each in AGENTS] if model is side.models.guarded else [{}]
    return (
        [side.api(model.query.filter(**each).all) for each in asked],
        UNREGISTERED_SHARDS.taken_out(side.api(model.check_indexes)),
    )


#: Every program ends with it, and none has it before.
LAST_LOOK = "look"
DEEDS[LAST_LOOK] = Deed(look, weight=0)
