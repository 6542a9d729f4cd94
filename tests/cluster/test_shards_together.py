"""What is asked of every shard is asked of all at once: one round trip to each node."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from popoto.models.writing import depending
from tests.driver import Api

from .models import Memory, Note, Person

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "dan", "eve", "finn")


def reply(agent: str, to: Note | None) -> Note:
    return Note.create(agent=agent, number=1, reply_to=to)


def test_who_depends_on_a_record_is_looked_for_in_all_shards_at_once(
    counted: Callable[[], list[int]],
) -> None:
    first = reply("ann", None)
    for agent in AGENTS[1:]:
        reply(agent, first)
    asked = counted()
    assert first.delete() is True
    # For both relationships of notes, before the record goes and after it.
    assert asked.count(len(AGENTS)) == 4
    # Besides: which shards there are, pins, the record itself, and five that let go of it.
    assert len(asked) == 17
    assert Note.query.filter(reply_to__isnull=False).count() == 0


def test_of_many_records_some_are_looked_for_at_a_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depending, "_MOST_SETS", 4)
    first = reply("ann", None)
    for agent in AGENTS[1:]:
        reply(agent, first)
    for number in range(2, 7):
        Note.create(agent="ann", number=number, reply_to=f"Note:{AGENTS[number - 1]}:1")
    assert api(Note.query.filter(number=1).delete) == len(AGENTS)
    assert Note.query.filter(agent="ann", reply_to__isnull=True).count() == 5


def test_references_left_behind_are_counted_in_all_shards_at_once(
    counted: Callable[[], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    person = Person.create(name="p")
    for agent in AGENTS:
        Note.create(agent=agent, number=1, author=person)
    person.name = "q"
    asked = counted()
    with caplog.at_level(logging.WARNING):
        person.save(migrate_key=True)
    assert f"{len(AGENTS)} records of Note still refer to Person:p" in caplog.text
    assert asked.count(len(AGENTS)) == 1
    assert len(asked) < 6


def test_similarity_is_asked_of_all_shards_at_once(counted: Callable[[], list[int]]) -> None:
    for agent in AGENTS:
        Memory.create(agent=agent, name="m", text="the cat sleeps", rank=1.0)
    search = Memory.query.filter().semantic_search
    search("cat", indexes={"rank": 1.0})
    asked = counted()
    assert len(search("cat", indexes={"rank": 1.0})) == len(AGENTS)
    # Which shards there are, what has changed, which they are again, the ranking, who was read.
    assert asked == [1, len(AGENTS), 1, len(AGENTS), len(AGENTS)]
