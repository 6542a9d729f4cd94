"""Indexes of fields that a model does not have any more: they are counted, cleaned and removed."""

from __future__ import annotations

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, ListField, Model
from tests.driver import Api

from .zoo import state


class Lamp(Model):
    name = KeyField()
    colour = IndexedField()


#: What fields of every kind call their indexes.
SETS = ["$KeyF", "$UniqueKeyF", "$IndexF", "$UniquF", "$RelationshipF"]
SORTED = ["$SortF", "$SortedKeyF", "$DecayingSortF", "$CyclicDecayF", "$GeoF"]


def abandon(client: redis.Redis, *members: str) -> set[str]:
    """Index keys of an earlier definition of the model; returns their names in a check."""
    for prefix in SETS:
        client.sadd(f"{prefix}:Lamp:old:value", *members)
    for prefix in SORTED:
        client.zadd(f"{prefix}:Lamp:old", dict.fromkeys(members, 1.5))
    client.hset("$Index:Lamp:old:older", mapping={str(n): each for n, each in enumerate(members)})
    return {f"{prefix}:Lamp:old" for prefix in [*SETS, *SORTED, "$Index"]}


def test_entries_of_missing_records_are_counted_and_cleaned(
    api: Api, redis_client: redis.Redis
) -> None:
    Lamp.create(name="a", colour="red")
    names = abandon(redis_client, "Lamp:a", "Lamp:gone", "Lamp:lost")
    for batch_size in (1, 4, 1000):
        checked = api(Lamp.check_indexes, batch_size=batch_size)
        assert checked["abandoned_indexes"] == dict.fromkeys(names, 2)
        assert checked["total"] == 22
    assert api(Lamp.clean_indexes, batch_size=3) == 22
    assert api(Lamp.check_indexes)["total"] == 0
    assert redis_client.smembers("$IndexF:Lamp:old:value") == {b"Lamp:a"}
    assert redis_client.zrange("$SortF:Lamp:old", 0, -1) == [b"Lamp:a"]
    assert redis_client.hvals("$Index:Lamp:old:older") == [b"Lamp:a"]


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_a_rebuild_removes_them_and_nothing_else(
    api: Api, redis_client: redis.Redis, batch_size: int
) -> None:
    Lamp.create(name="a", colour="red")
    for key in ("$Other:Lamp:old", "$IndexF:Lampion:old:x", "$IndexF:Lamp", "Lamp:a:b"):
        redis_client.sadd(key, "Lamp:a")
    before = state(redis_client)
    abandon(redis_client, "Lamp:a", "Lamp:gone")
    assert api(Lamp.rebuild_indexes, batch_size=batch_size) == 1
    assert state(redis_client) == before


def test_one_of_a_kind_that_no_index_has_is_left_alone(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    Lamp.create(name="a", colour="red")
    redis_client.set("$IndexF:Lamp:old:value", "text")
    assert api(Lamp.check_indexes)["total"] == 0
    assert "'$IndexF:Lamp:old:value' is a string where a hash belongs: left alone" in caplog.text


class Song(Model):
    """With a capped list, so that its keys are looked through for lists of records."""

    name = KeyField()
    heard = ListField(max_length=2)


class Stone(Model):
    """Which keeps no key among those of its records."""

    name = KeyField()
    weight = IntField(default=1)


def leave_lists(client: redis.Redis, model: str) -> None:
    """Lists of a field that was capped once, and keys of other programs that look like it."""
    for key in ("a", "gone"):
        client.rpush(f"{model}:{key}::tags", "x")
    client.set(f"{model}:gone::cache", "text")
    client.rpush(f"{model}:gone::a-b", "x")
    client.rpush(f"{model}:gone:more::tags", "x")


def foreign(model: str) -> set[bytes]:
    return {f"{model}:gone{rest}".encode() for rest in ("::cache", "::a-b", ":more::tags")}


def test_lists_of_fields_that_are_not_capped_any_more_are_cleaned(
    api: Api, redis_client: redis.Redis
) -> None:
    Song.create(name="a", heard=[1])
    leave_lists(redis_client, "Song")
    assert api(Song.check_indexes)["capped_lists"] == {"heard": 0, "tags": 1}
    assert api(Song.clean_indexes) == 1
    assert api(Song.check_indexes)["total"] == 0
    assert set(redis_client.keys("Song:*")) == foreign("Song") | {
        b"Song:a", b"Song:a::heard", b"Song:a::tags",
    }  # fmt: skip


@pytest.mark.parametrize("model", [Song, Lamp, Stone])
def test_they_go_with_all_records(api: Api, redis_client: redis.Redis, model: type[Model]) -> None:
    model.create(name="a")
    leave_lists(redis_client, model.__name__)
    assert api(model.delete_all) == 1
    assert set(redis_client.keys(f"*{model.__name__}*")) == foreign(model.__name__)


@pytest.mark.parametrize("model", [Song, Lamp, Stone])
def test_they_go_with_an_erased_subject(
    api: Api, redis_client: redis.Redis, model: type[Model]
) -> None:
    model.create(name="a")
    model.create(name="b")
    leave_lists(redis_client, model.__name__)
    redis_client.rpush(f"{model.__name__}:b::tags", "x")
    assert api(model.erase, name="a").is_complete
    assert not redis_client.exists(f"{model.__name__}:a::tags")
    assert redis_client.exists(f"{model.__name__}:b::tags")
