"""What a query clears away, what that costs, and what it must not touch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import GeoField, IndexedField, KeyField, Model, Q, Relationship, SortedField
from popoto.models.beside import leftovers
from tests.driver import Api, RoundTrips
from tests.truth.oracle import violations

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Note(Model):
    name = KeyField()
    about = IndexedField()
    weight = SortedField(type=float, default=1.0)


QUERIES: list[Callable[[], Any]] = [
    lambda: Note.query.count,
    lambda: Note.query.all,
    lambda: Note.query.filter(about="x").all,
    lambda: Note.query.filter(about__startswith="x").count,
    lambda: Note.query.filter(weight__gte=0).all,
    lambda: Note.query.filter(about="x").keys,
]


@pytest.mark.parametrize("make", QUERIES, ids=range(len(QUERIES)))
def test_an_expired_record_costs_a_query_one_round_trip(
    api: Api, redis_client: redis.Redis, round_trips: Counter, make: Callable[[], Any]
) -> None:
    """It is swept, and not repaired once more; the query after that finds nothing to do."""
    api(Note.create, name="warm", about="x", _ttl=0)
    api(Note.query.count)
    api(Note.create, name="a", about="x", _ttl=0)
    with round_trips() as seen:
        assert not api(make())
    assert seen.sends == 2
    assert redis_client.keys("*Note*") == []
    with round_trips() as after:
        assert not api(make())
    assert after.sends == 1


@pytest.mark.parametrize("make", QUERIES, ids=range(len(QUERIES)))
def test_a_record_deleted_by_hand_costs_one_round_trip_too(
    api: Api, redis_client: redis.Redis, round_trips: Counter, make: Callable[[], Any]
) -> None:
    for name in "ab":
        api(Note.create, name=name, about="x")
    api(make())
    redis_client.delete("Note:a")
    with round_trips() as seen:
        api(make())
    assert seen.sends == 2
    with round_trips() as after:
        api(make())
    assert after.sends == 1


def test_both_kinds_are_cleared_away_by_one_query(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    api(Note.create, name="expired", about="x", _ttl=0)
    api(Note.create, name="deleted", about="x")
    redis_client.delete("Note:deleted")
    assert api(Note.query.filter(about="x").all) == []
    assert not redis_client.exists("$IndexF:Note:about:x", "$Class:Note")
    with round_trips() as after:
        assert api(Note.query.filter(about="x").all) == []
    assert after.sends == 1


class Parcel(Model):
    name = KeyField()
    city = KeyField()
    tag = IndexedField()
    legs = IndexedField(type=int)
    weight = SortedField(type=float, partition_by="city")
    place = GeoField()
    sender = Relationship(Note)


THROUGH: list[tuple[dict[str, Any], str]] = [
    ({"name": "a"}, "$KeyF:Parcel:name:a"),
    ({"tag": "t"}, "$IndexF:Parcel:tag:t"),
    ({"tag": None}, "$IndexF:Parcel:tag:None"),
    ({"tag__startswith": "t"}, "$IndexF:Parcel:tag:t"),
    ({"tag__contains": "t"}, "$IndexF:Parcel:tag:t"),
    ({"tag__endswith": "t"}, "$IndexF:Parcel:tag:t"),
    ({"name__startswith": "a"}, "$KeyF:Parcel:name:a"),
    ({"legs": 4}, "$IndexF:Parcel:legs:4"),
    ({"weight__gte": 1, "city": "x"}, "$SortF:Parcel:weight:x"),
    ({"place": (1, 1), "place_radius": 9}, "$GeoF:Parcel:place"),
    ({"sender": "Note:n"}, "$RelationshipF:Parcel:sender:Note:n"),
]


@pytest.mark.parametrize(("conditions", "index"), THROUGH, ids=[index for _, index in THROUGH])
def test_what_a_query_has_met_of_a_record_deleted_by_hand_goes(
    api: Api, redis_client: redis.Redis, conditions: dict[str, Any], index: str
) -> None:
    """Also the text of its value, from the list of those that lookups by text look at."""
    values = {"legs": 4, "weight": 2, "place": (1, 1), "sender": "Note:n"}
    tag = conditions.get("tag", "t")
    api(Parcel.create, name="a", city="x", tag=tag, **values)
    api(Parcel.create, name="b", city="y", tag="kin", weight=0.5)
    redis_client.delete("Parcel:x:a")
    assert api(Parcel.query.filter(**conditions).all) == []
    assert not redis_client.exists(index)
    assert not redis_client.sismember("$Class:Parcel", "Parcel:x:a")
    if any(name.startswith("tag") for name in conditions):
        assert redis_client.zrange("$Values:Parcel:tag", 0, -1) == [b"kin"]
        assert redis_client.hget("$Values:Parcel", "tag") == b"1"
    redis_client.sadd("$IndexF:Parcel:tag:kin", "Parcel:x:gone")
    assert api(Parcel.query.filter(tag="kin").count) == 1


class Line(Model):
    name = KeyField()
    about = IndexedField()


@pytest.mark.parametrize("lookup", ["about__startswith", "about__contains", "about__endswith"])
def test_texts_that_share_a_set_are_left_by_the_missing_record_alone(
    api: Api, redis_client: redis.Redis, lookup: str
) -> None:
    api(Line.create, name="a", about="x:y")
    api(Line.create, name="b", about="x{&#58;}y")
    api(Line.create, name="c", about="x:y:xy")
    redis_client.delete("Line:b", "Line:c")
    operand = {"about__startswith": "x", "about__contains": "y", "about__endswith": "y"}[lookup]
    for query in (Line.query.filter(**{lookup: operand}), Line.query.filter(about="x:y")):
        assert [each.name for each in api(query.all)] == ["a"]
    assert violations(redis_client, Line) == []


class Kept(Model):
    name = KeyField()

    class Meta:
        self_repair = False


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_a_model_whose_queries_repair_nothing_is_cleaned_when_asked(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(leftovers, "_RECORDS_PER_CALL", at_once)
    names = [f"{number}" for number in range(7)]
    Kept.bulk_create([Kept(name=name) for name in names])
    redis_client.delete("Kept:0", "Kept:3", "Kept:4", "Kept:6")
    living = {b"Kept:1", b"Kept:2", b"Kept:5"}
    assert set(api(Kept.query.keys)) == living
    assert redis_client.scard("$Class:Kept") == 7
    assert set(api(Kept.query.keys, clean=True)) == living
    assert redis_client.smembers("$Class:Kept") == living
    indexes = {f"$KeyF:Kept:name:{name}".encode() for name in "125"}
    assert set(redis_client.keys("$KeyF:*")) == indexes


def test_a_text_that_reads_like_the_key_of_a_missing_record_is_still_found(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Note.create, name="a", about="x")
    api(Note.create, name="b", about="Note:a")
    redis_client.delete("Note:a")
    either = Q(about="x") | Q(about__startswith="Note:")
    assert [each.name for each in api(Note.query.filter(either).all)] == ["b"]
    found = api(Note.query.filter(about__startswith="Note:").all)
    assert [each.name for each in found] == ["b"]
