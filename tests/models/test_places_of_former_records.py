"""A record was deleted by hand, and another one is created under its key: what it costs and takes.

Nothing tells what the former one held, so its entries are looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    CyclicDecayField,
    Field,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.fields.keeping.families import KeyFamily
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Tally(Field[int]):
    """Keeps scores beside the records that follow from no value, and a hash for all of them."""

    def key_families(self) -> Sequence[KeyFamily]:
        stem = f"{self.model_name}:{self.name}"
        return (
            KeyFamily("tallies", self.name, f"$Tally:{stem}", "zset", derived=False),
            KeyFamily("tallies", self.name, f"$Noted:{stem}", "names", derived=False),
        )


class Ship(Model):
    name = KeyField()
    port = IndexedField()
    masts = IndexedField(type=int)
    call_sign = UniqueField()
    length = SortedField(type=float, partition_by="port")
    age = SortedField(type=int)
    place = GeoField()
    flagship = Relationship("self")
    tally = Tally(type=int, default=0)

    class Meta:
        indexes = ((("port", "masts"), False), (("port", "call_sign"), True))


def ship(number: int, **values: Any) -> Ship:
    return Ship(
        **{
            "name": f"s{number}",
            "port": f"p{number % 3}",
            "masts": number % 4,
            "call_sign": f"c{number}",
            "length": float(number),
            "age": number,
            "place": (number, number),
            "flagship": "Ship:s0",
            **values,
        }
    )


NEW: dict[str, Any] = {
    "port": "elsewhere",
    "masts": 9,
    "call_sign": "new",
    "length": 0.5,
    "age": 99,
    "place": None,
    "flagship": None,
}


@pytest.fixture
def ships(redis_client: redis.Redis) -> None:
    Ship.bulk_create([ship(number) for number in range(40)])
    redis_client.delete("Ship:s5")


def test_none_of_them_stays(api: Api, redis_client: redis.Redis, ships: None) -> None:
    api(ship(5, **NEW).save)
    assert api(Ship.check_indexes)["total"] == 0
    for conditions in (
        {"port": "p2"},
        {"masts": 1},
        {"call_sign": "c5"},
        {"length": 5.0, "port": "p2"},
        {"age": 5},
        {"place": (5, 5), "place_radius": 1},
        {"flagship": "Ship:s0"},
    ):
        names = {each.name for each in api(Ship.query.filter(**conditions).all)}
        assert "s5" not in names, conditions
    assert b"Ship:s5" not in redis_client.zrange("$SortF:Ship:length:p2", 0, -1)
    assert api(Ship.query.get, call_sign="new").name == "s5"
    api(ship(41, call_sign="c5").save)


def test_one_that_has_the_same_values_keeps_its_entries(api: Api, ships: None) -> None:
    api(ship(5).save)
    assert api(Ship.check_indexes)["total"] == 0
    assert api(Ship.query.filter(port="p2", masts=1, flagship="Ship:s0").count) == 3


def test_what_follows_from_no_value_stays(api: Api, redis_client: redis.Redis, ships: None) -> None:
    redis_client.zadd("$Tally:Ship:tally", {"Ship:s5": 7})
    redis_client.hset("$Noted:Ship:tally", "Ship:s5", "aground")
    api(ship(5, **NEW).save)
    assert redis_client.zscore("$Tally:Ship:tally", "Ship:s5") == 7
    assert redis_client.hget("$Noted:Ship:tally", "Ship:s5") == b"aground"


def test_what_memory_kept_of_it_elsewhere_goes(api: Api, redis_client: redis.Redis) -> None:
    class Buoy(Model):
        name = KeyField()
        port = IndexedField()
        seen = CyclicDecayField(partition_by="port", cycles=[(86_400, 1.0, 0.0)])

    api(Buoy.create, name="b", port="old").strengthen_cycle("seen", 1.5)
    redis_client.delete("Buoy:b")
    api(Buoy.create, name="b", port="new")
    kept = [key for key in redis_client.keys("$*:old*") if redis_client.type(key) == b"hash"]
    assert [key for key in kept if redis_client.hexists(key, "Buoy:b")] == []
    assert api(Buoy.check_indexes)["total"] == 0


def test_it_costs_a_look_at_each_set_but_those_of_the_keys(
    api: Api, round_trips: Counter, ships: None
) -> None:
    """There are as many of these as records; the new record stands in its own anyway."""
    with round_trips() as seen:
        api(ship(5, **NEW).save)
    sets = 3 + 4 + 40 + 1  # ports, masts, call signs, flagship
    assert 0 < seen.commands["sismember"] <= sets + 8


def test_a_key_of_another_kind_is_told_and_stops_nothing(
    api: Api, redis_client: redis.Redis, ships: None, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set("$IndexF:Ship:port:strange", "text")
    api(ship(5, **NEW).save)
    assert "entries of the former 'Ship:s5' may be left" in caplog.text
    assert api(Ship.query.get, call_sign="new").name == "s5"


# Once a query has taken its key out of the class set -------------------------------------------

MET_BY: dict[str, Callable[[Api], Any]] = {
    "nobody": lambda api: [],
    "count": lambda api: api(Ship.query.count),
    "all": lambda api: api(Ship.query.all),
    "keys": lambda api: api(Ship.query.keys),
    "keys(clean=True)": lambda api: api(Ship.query.keys, clean=True),
    "an index": lambda api: api(Ship.query.filter(port="p2").all),
    "a range": lambda api: api(Ship.query.filter(age__gte=0).all),
    "both": lambda api: api(Ship.query.filter(port="p2", age__gte=0).all),
    "either": lambda api: api(Ship.query.filter(Q(port="p2") | Q(masts=1)).all),
}


def saved(api: Api, client: redis.Redis) -> None:
    api(ship(5, **NEW).save)


def queued(api: Api, client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        api(ship(5, **NEW).save, pipeline=pipeline)
        pipeline.execute()


def moved(api: Api, client: redis.Redis) -> None:
    other = api(Ship.query.get, name="s6")
    other.name = "s5"
    for name, value in NEW.items():
        setattr(other, name, value)
    api(other.save, migrate_key=True)


def several(api: Api, client: redis.Redis) -> None:
    api(Ship.bulk_create, [ship(5, **NEW), ship(60)])


@pytest.mark.parametrize("then", [saved, queued, moved, several])
@pytest.mark.parametrize("met_by", MET_BY)
def test_none_stays_though_a_query_has_met_that_it_was_gone(
    api: Api, redis_client: redis.Redis, ships: None, met_by: str, then: Callable[..., None]
) -> None:
    MET_BY[met_by](api)
    assert redis_client.sismember("$Class:Ship", "Ship:s5") == (met_by == "nobody")
    then(api, redis_client)
    assert api(Ship.check_indexes)["total"] == 0
    for conditions in ({"port": "p2"}, {"masts": 1}, {"age": 5}, {"flagship": "Ship:s0"}):
        assert "s5" not in {each.name for each in api(Ship.query.filter(**conditions).all)}
    assert not redis_client.exists("$Expiry:Ship:values")


class Raft(Model):
    name = KeyField()
    port = IndexedField()


class Barge(Model):
    name = KeyField()
    port = IndexedField()
    age = SortedField(type=int, default=1)


def notes(client: redis.Redis, model: str) -> dict[bytes, bytes]:
    found: Any = client.hgetall(f"$Expiry:{model}:values")
    return dict(found)


def test_what_nothing_tells_of_is_noted_where_more_may_be_left(
    api: Api, redis_client: redis.Redis
) -> None:
    for model in (Raft, Barge):
        api(model.create, name="a", port="x")
        api(model.create, name="b", port="y")
        redis_client.delete(f"{model.__name__}:a")
    # All that it left was met.
    assert api(Raft.query.filter(port="x").all) == []
    assert notes(redis_client, "Raft") == {}
    assert api(Barge.query.filter(port="x").all) == []
    assert notes(redis_client, "Barge") == {b"Barge:a": b"\x80"}
    # Cleaning takes what was left, and the note.
    api(Barge.clean_indexes)
    assert notes(redis_client, "Barge") == {}
    assert redis_client.zrange("$SortF:Barge:age", 0, -1) == [b"Barge:b"]
    # A note of what it held tells all.
    api(Barge.create, name="c", port="x", _ttl=0)
    assert api(Barge.query.count) == 1
    assert notes(redis_client, "Barge") == {}


class Skiff(Model):
    name = KeyField()
    port = StringField(null=True)
    masts = IntField(null=True)

    class Meta:
        indexes = ((("port", "masts"), True),)


def test_where_a_unique_pair_stands_is_not_known_either(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Skiff.create, name="a", port="x", masts=1)
    redis_client.delete("Skiff:a")
    assert api(Skiff.query.count) == 0
    assert notes(redis_client, "Skiff") == {b"Skiff:a": b"\x80"}
    api(Skiff.create, name="a", port="y", masts=2)
    assert notes(redis_client, "Skiff") == {}
    assert redis_client.hlen(Skiff._meta.composites[0].key) == 1
    assert api(Skiff.check_indexes)["total"] == 0


@pytest.mark.parametrize("lookup", ["port__startswith", "port__contains", "port__iexact"])
def test_a_text_that_was_looked_for_is_all_that_one_of_one_index_leaves(
    api: Api, redis_client: redis.Redis, lookup: str
) -> None:
    for name in "ab":
        api(Raft.create, name=name, port="home")
    redis_client.delete("Raft:a")
    assert [each.name for each in api(Raft.query.filter(**{lookup: "home"}).all)] == ["b"]
    assert redis_client.smembers("$IndexF:Raft:port:home") == {b"Raft:b"}
    assert notes(redis_client, "Raft") == {}
