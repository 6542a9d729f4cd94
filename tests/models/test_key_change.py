"""Changing key fields of stored records: refused, or the record moves as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    IntField,
    KeyField,
    KeyMutationError,
    ListField,
    Model,
    ModelException,
    SortedKeyField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import RecordGoneError, UniquenessError
from tests.driver import Api

from .shop import FULL, OTHER, Shop, assign, healthy, plain

OPENED = datetime(2020, 1, 1)


class Pair(Model):
    left = KeyField()
    right = KeyField(type=int)
    text = StringField()


@pytest.mark.parametrize("load", ["kept", "get", "filter"])
def test_a_changed_key_field_is_refused(api: Api, load: str) -> None:
    record = api(Pair.create, left="a", right=1)
    if load == "get":
        record = api(Pair.query.get, left="a", right=1)
    elif load == "filter":
        (record,) = api(Pair.query.filter(left="a").all)
    record.right = 2
    with pytest.raises(KeyMutationError) as caught:
        api(record.save)
    assert all(part in str(caught.value) for part in ("right", "1", "2"))
    assert isinstance(caught.value, ModelException)
    assert api(Pair.query.count) == 1


def test_fresh_instances_may_change_their_key(api: Api) -> None:
    record = Pair(left="a", right=1)
    record.left = "b"
    api(record.save)
    assert [each.pk for each in api(Pair.query.all)] == ["Pair:b:1"]


def test_an_unsaved_instance_never_deletes_the_record_it_would_have_been(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Pair.create, left="a", right=1, text="keep me")
    record = Pair(left="a", right=1)
    record.left = "b"
    api(record.save)
    assert sorted(each.pk for each in api(Pair.query.all)) == ["Pair:a:1", "Pair:b:1"]
    assert redis_client.exists("Pair:a:1")


def test_null_to_value_is_allowed_and_moves_the_record(api: Api, redis_client: redis.Redis) -> None:
    record = api(Pair.create, left=None, right=1, text="t")
    record.left = "a"
    api(record.save)
    assert [each.pk for each in api(Pair.query.all)] == ["Pair:a:1"]
    assert redis_client.keys("*None*") == []
    assert api(Pair.query.get, left="a", right=1).text == "t"


def test_value_to_null_is_refused(api: Api) -> None:
    record = api(Pair.create, left="a", right=1)
    record.left = None
    with pytest.raises(KeyMutationError):
        api(record.save)


def test_the_same_value_in_another_spelling_is_no_change(api: Api) -> None:
    record = api(Pair.create, left="a", right=1)
    record.right = "1"
    api(record.save)
    assert api(Pair.query.count) == 1


def test_automatic_keys_are_exempt(api: Api) -> None:
    class Auto(Model):
        uid = AutoKeyField()
        text = StringField()

    record = api(Auto.create, text="t")
    record.uid = "x" * 32
    api(record.save)
    assert [each.pk for each in api(Auto.query.all)] == ["Auto:" + "x" * 32]


@pytest.mark.parametrize("load", ["kept", "get", "filter"])
@pytest.mark.parametrize("changes", [{}, OTHER])
def test_migration_moves_everything(
    api: Api, redis_client: redis.Redis, load: str, changes: dict[str, Any]
) -> None:
    record = api(Shop.create, **FULL)
    if load == "get":
        record = api(Shop.query.get, name="a")
    elif load == "filter":
        (record,) = api(Shop.query.all)
    record.name = "b/c"
    assign(record, changes)
    api(record.save, migrate_key=True)
    assert record._redis_key == record.pk == "Shop:b//c"
    assert record.obsolete_redis_key is None
    assert plain(api(Shop.query.get, name="b/c")) == {
        **FULL,
        "opened": OPENED,
        **changes,
        "name": "b/c",
    }
    assert redis_client.smembers("$Class:Shop") == {b"Shop:b//c"}
    assert healthy(redis_client)
    assert not [
        key for key in redis_client.keys("*") if key.endswith((b"Shop:a", b":a", b"a::log"))
    ]


def test_a_moved_record_can_be_moved_again_and_deleted(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL)
    for name in ("b", "c", "a"):
        record.name = name
        api(record.save, migrate_key=True)
        assert healthy(redis_client)
    assert api(record.delete) is True
    assert redis_client.keys("*Shop*") == []


def test_unchanged_unique_values_do_not_conflict_with_themselves(api: Api) -> None:
    class Badge(Model):
        tag = UniqueKeyField()
        owner = KeyField()
        code = UniqueField()

    record = api(Badge.create, tag="t", owner="o", code="c")
    record.owner = "p"
    api(record.save, migrate_key=True)
    assert [each.pk for each in api(Badge.query.all)] == ["Badge:p:t"]


def test_migration_onto_an_occupied_key_is_refused(api: Api, redis_client: redis.Redis) -> None:
    api(Pair.create, left="b", right=1, text="theirs")
    record = api(Pair.create, left="a", right=1, text="mine")
    record.left = "b"
    with pytest.raises(ModelException, match="already exists"):
        api(record.save, migrate_key=True)
    assert api(Pair.query.get, left="b", right=1).text == "theirs"
    assert api(Pair.query.get, left="a", right=1).text == "mine"
    assert record._redis_key == "Pair:a:1"


def test_migration_takes_what_others_wrote_meanwhile(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    (stale,) = api(Shop.query.all)
    other = api(Shop.query.get, name="a")
    other.note, other.kind = "theirs", "tea"
    api(other.save)
    stale.name = "b"
    api(stale.save, migrate_key=True)
    found = api(Shop.query.get, name="b")
    assert (found.note, found.kind) == ("theirs", "tea")
    assert healthy(redis_client)


def test_migration_returns_the_fields_that_are_new_under_the_key(api: Api) -> None:
    record = api(Pair.create, left="a", right=1, text="t")
    record.left = "b"
    assert api(record.save, migrate_key=True) == 3


def test_a_sorted_key_moves_its_score(api: Api, redis_client: redis.Redis) -> None:
    class Ranked(Model):
        name = KeyField()
        place = SortedKeyField(type=int)
        size = IntField()

    record = api(Ranked.create, name="a", place=1, size=2)
    record.place = 5
    api(record.save, migrate_key=True)
    assert redis_client.zrange("$SortedKeyF:Ranked:place", 0, -1, withscores=True) == [
        (b"Ranked:a:5", 5.0)
    ]
    assert api(Ranked.query.get, name="a", place=5).size == 2


def test_migrating_keeps_the_expiry(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL, _ttl=100)
    record.name = "b"
    api(record.save, migrate_key=True)
    assert 0 < redis_client.ttl("Shop:b") <= 100
    assert 0 < redis_client.ttl("Shop:b::log") <= 100
    assert healthy(redis_client)
    record.name, record._ttl = "c", None
    api(record.save, migrate_key=True)
    assert (redis_client.ttl("Shop:c"), redis_client.ttl("Shop:c::log")) == (-1, -1)
    assert redis_client.keys("*Expiry*") == []
    assert healthy(redis_client)


@pytest.mark.parametrize("changes", [{"code": "c2"}, {"kind": "k", "size": 9}], ids=str)
def test_a_move_that_takes_a_taken_value_is_refused(
    api: Api, redis_client: redis.Redis, changes: dict[str, Any]
) -> None:
    api(Shop.create, name="holder", code="c2", kind="k", size=9)
    record = api(Shop.create, **FULL)
    record.name = "b"
    assign(record, changes)
    with pytest.raises(UniquenessError, match="already exists"):
        api(record.save, migrate_key=True)
    assert redis_client.exists("Shop:a")
    assert not redis_client.exists("Shop:b")
    assert healthy(redis_client)


@pytest.mark.parametrize(
    "changes", [{"code": "c2"}, {"kind": "k", "size": 9}, {"note": "x"}], ids=str
)
def test_a_move_of_some_fields_takes_the_whole_record_along(
    api: Api, redis_client: redis.Redis, changes: dict[str, Any]
) -> None:
    record = api(Shop.create, **FULL)
    record.name = "b"
    assign(record, {**changes, "rank": 77})
    api(record.save, migrate_key=True, update_fields=[*changes])
    found = plain(api(Shop.query.get, name="b"))
    assert found == {**FULL, "opened": OPENED, **changes, "name": "b"}
    assert healthy(redis_client)
    assert api(Shop.query.count) == 1


@pytest.mark.parametrize("value", ["x", 1.5])
def test_a_value_that_no_key_can_have_is_no_other_key(api: Api, value: Any) -> None:
    record = api(Pair.create, left="a", right=1)
    record.right = value
    with pytest.raises(
        KeyMutationError, match=r"^Pair\.right is part of the record key and changed"
    ):
        api(record.save)
    with pytest.raises(ModelException):
        api(record.save, migrate_key=True)
    assert api(Pair.query.keys) == [b"Pair:a:1"]


def test_a_move_of_a_record_that_is_gone_writes_it_whole_under_the_new_key(
    api: Api, redis_client: redis.Redis
) -> None:
    record = api(Shop.create, **FULL)
    api(Shop(name="a").delete)
    record.name = "b"
    with pytest.raises(RecordGoneError, match="'Shop:a' is not stored any more"):
        api(record.save, migrate_key=True)
    assert api(Shop.query.count) == 0
    api(record.save, migrate_key=True, recreate=True)
    assert plain(api(Shop.query.get, name="b")) == {**FULL, "opened": OPENED, "name": "b"}
    assert not redis_client.exists("Shop:a")
    assert healthy(redis_client)
    record.kind = "wine"
    api(record.save)
    assert healthy(redis_client)


class Logbook(Model):
    name = KeyField()
    log = ListField(max_length=3)


@pytest.mark.parametrize("key", ["Logbook:a::log", "Logbook:b::log"])
def test_a_list_that_is_another_programs_stays_and_so_does_the_record(
    api: Api, redis_client: redis.Redis, key: str
) -> None:
    record = api(Logbook.create, name="a", log=["x"])
    redis_client.delete(key)
    redis_client.set(key, "another program's")
    before = {each: redis_client.dump(each) for each in redis_client.keys("*")}
    record.name = "b"
    with pytest.raises(ModelException, match=f"{key}' holds a string where a list.*nothing was"):
        api(record.save, migrate_key=True)
    assert {each: redis_client.dump(each) for each in redis_client.keys("*")} == before
