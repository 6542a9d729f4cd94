"""What a ranking tells of itself, and the queries that it composes with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    KeyField,
    Model,
    Q,
    Relationship,
    StringField,
    TemporalPeriod,
    clock,
)
from popoto.models.reading.ranking import decaying
from tests.driver import Api, RoundTrips

NOW = 1_700_000_000.0
DAY = 86_400

Counting = Callable[[], AbstractContextManager[RoundTrips]]


class Author(Model):
    name = KeyField()


class Note(Model):
    name = KeyField()
    agent = StringField(default="a")
    topic = StringField(default="x", indexed=True)
    weight = FloatField(default=1.0)
    author = Relationship(Author)
    relevance = DecayingSortedField(decay_rate=0.5, base_score_field="weight", partition_by="agent")


class Wave(Model):
    name = KeyField()
    topic = StringField(default="x", indexed=True)
    r = CyclicDecayField(decay_rate=0.5, cycles=[(TemporalPeriod.WEEKLY, 3.0)], pressure_rate=0.1)


def notes(number: int, **values: Any) -> None:
    """The lower its number, the younger a note."""
    ages = iter(range(number))
    made = [Note(name=f"n{each:04}", **values) for each in range(number)]
    with clock.using(lambda: NOW - (1 + next(ages)) * DAY):
        Note.bulk_create(made)


def test_it_tells_what_was_asked(api: Api) -> None:
    notes(3)
    with clock.using(NOW):
        told = api(Note.query.filter(agent="a").top_by_decay, n=2).explain()
    assert str(told) == repr(told)
    asked = "the best 2 by relevance, decay rate 0.5, base weight, as of 2023-11-14 22:13:20+00:00"
    assert str(told).splitlines() == [
        f"Ranking of Note: {asked}",
        "  scored 3 of 3 member(s)",
        "  stopped at the end: every member was looked at",
        "  took 1 round trip(s)",
    ]
    with clock.using(1e18):
        rare = api(Note.query.filter(agent="a").top_by_decay, decay_rate=-2, base_score_field="")
    asked = "the best 10 by relevance, decay rate -2, without a base, as of 1e+18"
    assert rare.explain().asked == asked


def test_it_tells_where_the_search_stopped() -> None:
    notes(1_500)
    everybody = Note.query.filter(agent="a")
    with clock.using(NOW):
        by_two = everybody.top_by_decay(n=5).explain()
        by_time = everybody.top_by_decay(n=5, base_score_field="").explain()
        with pytest.warns(UserWarning, match="'name' holds no numbers"):
            by_another = everybody.top_by_decay(n=5, base_score_field="name").explain()
        by_keys = everybody.top_by_decay(n=5, base_score_field="", decay_rate=0).explain()
        some = everybody.filter(name__startswith="n00").top_by_decay(n=5).explain()
        none = everybody.filter(name="missing").top_by_decay(n=5).explain()
        unasked = everybody.top_by_decay(n=0).explain()
    could_not = "where nobody behind could be better any more"
    assert (by_two.stopped, by_time.stopped) == (could_not, could_not)
    assert by_two.scored < 400
    assert by_time.scored == 5
    assert by_another.stopped == "at the end: every member was looked at"
    assert by_another.scored == 1_500
    assert by_keys.stopped.startswith("when enough were found in the order of keys")
    assert by_keys.scored == 5
    assert some.stopped == "at the end of the records that the conditions find"
    assert (some.scored, some.members) == (100, 1_500)
    assert none.stopped.startswith("before it began")
    assert unasked.stopped.startswith("before it began")
    assert unasked.round_trips == 0


def test_conditions_are_told_as_a_query_tells_them() -> None:
    notes(3)
    query = Note.query.filter(agent="a").filter(Q(topic="x") | Q(name="n0001"))
    assert query.top_by_decay().explain().operands == query.explain().operands
    assert Note.query.filter(agent="a").top_by_decay().explain().operands == ()


def test_round_trips_are_those_that_were_made(
    api: Api, round_trips: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes(9)
    query = Note.query.filter(agent="a", topic="x")
    for most in (5_000, 4):
        monkeypatch.setattr(decaying, "_MOST_CANDIDATES", most)
        api(query.top_by_decay, n=3)  # the server learns the scripts
        with clock.using(NOW), round_trips() as seen:
            found = api(query.top_by_decay, n=3)
        assert [each.name for each in found] == ["n0000", "n0001", "n0002"]
        assert found.explain().round_trips == seen.sends
        assert found.explain().scored == 9


def test_explaining_asks_nothing(round_trips: Counting) -> None:
    notes(3)
    found = Note.query.filter(agent="a").top_by_decay()
    with round_trips() as seen:
        found.explain()
    assert seen.sends == 0
    # It is a list like any other, in other respects.
    assert found == list(found)
    assert isinstance(found, list)


def test_cyclic_rankings_compose_with_queries(api: Api) -> None:
    with clock.using(NOW):
        for number in range(6):
            Wave.create(name=f"n{number}", topic="even" if number % 2 == 0 else "odd")
    with clock.using(NOW + DAY):
        for number, factor in enumerate((1.1, 9.0, 1.3, 1.4, 1.5, 1.6)):
            Wave.query.get(name=f"n{number}").strengthen_cycle("r", factor)
        even = Wave.query.filter(topic="even")
    with clock.using(round(NOW / TemporalPeriod.WEEKLY) * TemporalPeriod.WEEKLY):
        assert [each.name for each in api(Wave.query.top_by_decay, n=2)] == ["n1", "n5"]
        assert [each.name for each in api(even.top_by_decay)] == ["n4", "n2", "n0"]
        assert api(even.limit(1).values("name").top_by_decay) == [{"name": "n4"}]
        assert api(even.offset(1).values_list("name").top_by_decay, n=3) == [("n2",), ("n0",)]
        assert api(even.exclude(name="n4").limit(0).top_by_decay) == []
        assert api(even.top_by_decay).explain().scored == 3


def test_related_records_come_along(round_trips: Counting, redis_client: redis.Redis) -> None:
    notes(3, author=Author.create(name="ann"))
    query = Note.query.filter(agent="a").select_related("author")
    found = query.top_by_decay()
    with round_trips() as seen:
        assert {each.author.name for each in found} == {"ann"}
    assert seen.sends == 0


def test_a_limit_of_none_asks_nothing_wherever_it_begins(
    api: Api, round_trips: Counting, redis_client: redis.Redis
) -> None:
    notes(3)
    with round_trips() as seen:
        found = api(Note.query.filter(agent="a").offset(2).limit(0).top_by_decay, n=3)
    assert (found, found.explain().round_trips, seen.sends) == ([], 0, 0)
