"""Queries to several shards answer as those of the same records on a single server."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import Q, redis_db
from popoto.exceptions import QueryException
from popoto.fields.keeping import shards
from tests.driver import Api
from tests.queries.test_random_queries import (
    Case,
    Record,
    Specimen,
    compare_with_python,
    orders,
    unshrunk,
    worlds,
)

from .models import Note, Person, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "dan")


class Spread(Specimen):
    """Specimens of which each kind has a shard of its own."""

    class Meta:
        shard_by = "kind"
        name = "Specimen"


class ByNumber(Specimen):
    """The same with shards whose order is not that of the keys."""

    class Meta:
        shard_by = "number"
        name = "Specimen"


@pytest.mark.parametrize("model", [Spread, ByNumber])
@settings(unshrunk, max_examples=40)
@given(
    world=worlds,
    order=orders,
    nulls=st.sampled_from([None, None, "first", "last"]),
    limit=st.none() | st.integers(0, 6),
    offset=st.integers(0, 3),
)
def test_queries_answer_as_python_does(
    api: Api,
    nodes: list[redis.Redis],
    model: type[Specimen],
    world: tuple[list[Record], list[Case]],
    order: str | None,
    nulls: str | None,
    limit: int | None,
    offset: int,
) -> None:
    for node in nodes:
        node.flushall()
    compare_with_python(api, model, world, order, nulls, limit, offset)
    for node in nodes:
        node.flushall()


@pytest.fixture
def notes(_on_the_cluster: None) -> list[Note]:
    """Six notes of each of four agents, in the order of their keys."""
    return written()


def written() -> list[Note]:
    Person.create(name="p", age=30)
    return [
        Note.create(
            agent=agent,
            number=number,
            topic=("odd" if number % 2 else "even") if number else None,
            rank=number * 10 + place if number > 1 else None,
            weight=float(place),
            author="Person:p" if number == 3 else None,
            reply_to="Note:ann:0" if number == 1 else None,
        )
        for place, agent in enumerate(AGENTS)
        for number in range(6)
    ]


def test_results_of_all_shapes(api: Api, notes: list[Note]) -> None:
    everything = Note.query.filter()
    assert api(everything.all) == api(Note.query.all) == notes
    assert api(everything.count) == 24
    assert api(everything.filter(topic="odd").count) == 12
    assert api(Note.query.filter(topic="none").exists) is False
    assert api(everything.keys) == [each.pk.encode() for each in notes]
    ranks = everything.filter(rank__gt=20).order_by("-rank").values_list("rank", flat=True)
    assert api(ranks.limit(3).offset(2).all) == [51, 50, 43]
    assert api(everything.order_by("rank", "-agent").limit(2).values("agent", "rank").all) == [
        {"agent": "ann", "rank": 20},
        {"agent": "bob", "rank": 21},
    ]
    greatest = everything.order_by("-rank").limit(2).values_list("agent", flat=True)
    assert api(greatest.all) == ["dan", "cleo"]
    first = api(everything.order_by("rank", nulls="first").first)
    assert (first.pk, first.rank) == ("Note:ann:0", None)
    assert api(everything.order_by("rank", nulls="first").last).rank == 53
    (only,) = api(everything.filter(rank=42).only("topic").all)
    assert (only.topic, only.agent, only.rank) == ("even", "cleo", 42)
    assert api(everything.computed_sort(lambda each: -each.number).all)[0].number == 5
    assert everything[2:4] == notes[2:4]
    assert api(Note.query.filter(agent__in=["ann", "dan"], number=2).all) == [notes[2], notes[20]]
    assert api(Note.query.filter(agent="ann").exclude(agent="ann").all) == []
    assert api(Note.query.get, rank=42) == notes[16]
    with pytest.raises(QueryException, match="more than one"):
        api(Note.query.get, topic="odd")


def test_aggregates(api: Api, notes: list[Note]) -> None:
    everything = Note.query.filter()
    ranks = [each.rank for each in notes if each.rank is not None]
    assert api(everything.sum, "rank") == sum(ranks)
    assert api(everything.avg, "weight") == 1.5
    assert (api(everything.min, "rank"), api(everything.max, "rank")) == (20, 53)
    assert api(everything.group_count, "agent") == dict.fromkeys(AGENTS, 6)
    assert api(everything.order_by("-rank").limit(2).sum, "rank") == 105


QUESTIONS: list[Callable[[Api, Any], Any]] = [
    lambda api, query: api(query.count),
    lambda api, query: api(query.exists),
    lambda api, query: api(query.keys),
    lambda api, query: api(query.limit(0).all),
    lambda api, query: api(query.offset(99).all),
    lambda api, query: api(query.order_by("rank").first),
    lambda api, query: api(query.order_by("rank", nulls="last").last),
    lambda api, query: api(query.order_by("-rank", "agent").limit(4).offset(3).values("rank").all),
    lambda api, query: [api(getattr(query, each), "rank") for each in ("sum", "avg", "min", "max")],
    lambda api, query: api(query.order_by("rank").limit(5).avg, "rank"),
    lambda api, query: api(query.order_by("-weight").limit(3).offset(1).sum, "weight"),
    lambda api, query: api(query.min, "code"),
    lambda api, query: api(query.group_count, "topic"),
]


def test_whatever_is_missing_in_a_shard_the_others_answer_as_one_server(
    api: Api, nodes: list[redis.Redis], notes: list[Note], server_url: str
) -> None:
    """One has no records left, one has lost some, and one has numbers that are null."""
    gone = [
        each.pk for each in notes if each.agent == "ann" or each.pk in ("Note:bob:3", "Note:dan:2")
    ]
    for key in gone:
        shard = key.rpartition(":")[0]
        holder(nodes, shard).delete(f"{{{shard}}}{key}")
    api(Note.query.filter(agent="cleo").update, rank=None)
    with redis_db.using(server_url):
        written()
        Note.query.filter(agent="cleo").update(rank=None)
        redis_db.get_REDIS_DB().delete(*gone)
    for conditions in (
        *({}, {"topic": "odd"}, {"topic": None}, {"rank__gt": 30}, {"number": 99}),
        *({"agent__in": ["ann", "dan"]}, {"agent__in": ["ann", "zed"]}, {"agent": "ann"}),
    ):
        query = Note.query.filter(**conditions)
        for place, ask in enumerate(QUESTIONS):
            here = ask(api, query)
            with redis_db.using(server_url):
                assert here == ask(api, query), (conditions, place)
    Note.clean_indexes()
    with redis_db.using(server_url):
        redis_db.get_REDIS_DB().flushall()


def test_references(api: Api, notes: list[Note]) -> None:
    assert api(Note.query.filter(author__age=30).count) == 4
    replies = api(Note.query.filter(reply_to="Note:ann:0").select_related("reply_to").all)
    assert [each.reply_to for each in replies] == [notes[0]] * 4
    assert api(Note.query.filter(reply_to__agent="ann", agent="bob").all) == [notes[7]]
    assert api(Note.query.filter(reply_to__topic=None).count) == 4
    api(notes[0].delete)
    assert api(Note.query.filter(reply_to__isnull=False).count) == 0


def test_many_records_chunk_by_chunk(api: Api, notes: list[Note]) -> None:
    query = Note.query.filter(rank__gt=0).order_by("-rank")
    expected = [each.pk for each in sorted(notes, key=lambda each: -(each.rank or 0))][:16]
    assert [each.pk for each in query.iterator(chunk_size=5)] == expected

    async def asynchronous() -> list[str]:
        return [each.pk async for each in query.async_iterator(chunk_size=5)]

    assert api.run(asynchronous()) == expected


def test_changes(api: Api, notes: list[Note]) -> None:
    assert api(Note.query.filter(topic="odd").update, topic="new") == 12
    assert api(Note.query.filter(topic="new", agent="bob").count) == 3
    assert api(Note.query.order_by("-rank").limit(3).delete) == 3
    assert [each.pk for each in api(Note.query.filter(number=5).all)] == ["Note:ann:5"]
    assert api(Note.query.filter().delete) == 21
    assert api(Note.query.filter().exists) is False
    assert api(Note.query.filter().all) == []


def test_no_shard_is_asked_for_what_cannot_match(api: Api) -> None:
    assert api(Note.query.filter().all) == []
    assert api(Note.query.filter(Q(agent="a"), Q(agent="b")).count) == 0
    assert api(Note.query.filter(agent__in=[]).last) is None


def test_what_a_query_does_is_told(api: Api, notes: list[Note]) -> None:
    told = api(Note.query.filter(topic="odd").explain)
    assert told.shards == 4
    assert (told.commands, told.round_trips) == (5, 2)
    assert "in each of 4 shards" in str(told)
    one = api(Note.query.filter(topic="odd", agent="ann").explain)
    assert (one.shards, one.commands, one.round_trips) == (1, 1, 1)
    assert "shard" not in str(one)


@pytest.fixture
def asked(counted: Callable[[], list[int]], notes: list[Note]) -> list[int]:
    """How many commands went together, each time that any did. Nodes know the scripts."""
    Note.query.filter(topic="odd").count()
    return counted()


def test_all_shards_are_asked_together(asked: list[int], notes: list[Note]) -> None:
    assert Note.query.filter(topic="odd").count() == 12
    assert len(Note.query.filter(topic="odd").order_by("-rank").limit(2).all()) == 2
    assert len(Note.query.get_many([each.pk for each in notes])) == 24
    assert asked == [1, 4, 1, 4, 48]


def test_of_many_shards_some_are_asked_at_a_time(
    monkeypatch: pytest.MonkeyPatch, asked: list[int], notes: list[Note]
) -> None:
    monkeypatch.setattr(shards, "_TOGETHER", 3)
    assert Note.query.filter(topic="odd").count() == 12
    ranked = Note.query.filter(rank__gt=0).order_by("-rank").values_list("rank", flat=True)
    assert ranked.limit(5).offset(1).all() == [52, 51, 50, 43, 42]
    assert asked == [1, 3, 1, 1, 3, 1]


def test_scripts_are_taught_to_every_node(asked: list[int], nodes: list[redis.Redis]) -> None:
    for node in nodes:
        node.script_flush()
    assert Note.query.filter(topic="odd").count() == 12
    assert asked == [1, 4, 4]


def test_a_key_of_another_program_is_named(api: Api, nodes: list[redis.Redis]) -> None:
    Note.create(agent="ann", number=1, topic="odd")
    Note.create(agent="bob", number=1)
    key = "{Note:bob}$IndexF:Note:topic:odd"
    holder(nodes, "Note:bob").set(key, "theirs")
    with pytest.raises(QueryException, match="topic:odd' is a string instead of a set"):
        api(Note.query.filter(topic="odd").count)
    holder(nodes, "Note:bob").delete(key)


def test_records_around_another_one_are_found_in_every_shard(
    api: Api, nodes: list[redis.Redis]
) -> None:
    values = {
        **dict.fromkeys(["price", "rank", "age", "level"], 1),
        "day": datetime.date(2024, 1, 1),
        "exact": Decimal(1),
    }
    here, beside, _ = (
        Spread.create(kind=kind, number=number, place=(10.0, 10.0 + number), **values)
        for kind, number in (("a", 0), ("b", 0), ("c", 1))
    )
    near = Spread.query.filter(place_member=here, place_radius=5, place_radius_unit="km")
    assert api(near.order_by("kind").all) == [here, beside]
    for node in nodes:
        node.flushall()


@pytest.mark.parametrize("told", [True, False])
def test_the_nearest_of_all_shards_come_first(
    api: Api, nodes: list[redis.Redis], server_url: str, told: bool
) -> None:
    values = {
        **dict.fromkeys(["price", "rank", "age", "level"], 1),
        "day": datetime.date(2024, 1, 1),
        "exact": Decimal(1),
    }

    def written() -> None:
        # Each kind has a shard of its own; two are as far, and two stand in one place.
        for number, (kind, north) in enumerate(
            [
                ("c", 10.02),
                ("a", 10.01),
                ("b", 9.99),
                ("d", 10.0),
                ("a", 10.0),
                ("b", 10.03),
                ("c", 20),
            ]
        ):
            Spread.create(kind=kind, number=number, place=(10.0, north), **values)

    def found() -> list[tuple[str, Any]]:
        query = Spread.query.filter(
            place=(10.0, 10.0), place_radius=5, place_radius_unit="km", place_with_distances=told
        )
        rows = [
            *api(query.all),
            *api(query.limit(2).offset(1).all),
            api(query.first),
            api(query.last),
        ]
        return [(each.pk, getattr(each, "_geo_distance", None)) for each in rows]

    written()
    here = found()
    with redis_db.using(server_url):
        written()
        assert here == found()
        redis_db.get_REDIS_DB().flushall()
    assert {key for key, _ in here[:2]} == {"Specimen:d:3", "Specimen:a:4"}
    assert all(distance is not None for _, distance in here) is told
    for node in nodes:
        node.flushall()
