"""`check_indexes` and `clean_indexes`: what is wrong, in both directions, and what goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, SortedField, UniqueField
from tests.driver import Api, RoundTrips

from .zoo import Animal, Keeper, Visit, animal, meanwhile, state

HEALTHY = {
    "class_set": 0,
    "key_fields": {"born": 0, "kind": 0, "tag": 0},
    "sorted_fields": {"born": 0, "price": 0, "price_usd": 0, "speed": 0},
    "geo_fields": {"home": 0},
    "composite_indexes": {"$Index:Animal:mood:chip": 0, "$Index:Animal:mood:note": 0},
    "indexed_fields": {"chip": 0, "mood": 0, "legs": 0},
    "relationship_fields": {"keeper": 0},
    "capped_lists": {"meals": 0},
    "wrong_values": {},
    "missing_entries": {},
    "unreadable_records": 0,
    "total": 0,
}


def fill(count: int = 20) -> list[Animal]:
    return Animal.bulk_create([animal(number) for number in range(count)])


def test_a_healthy_model(api: Api, redis_client: redis.Redis) -> None:
    assert api(Animal.check_indexes) == HEALTHY
    fill()
    before = state(redis_client)
    for size in (1, 3, 1000):
        assert api(Animal.check_indexes, batch_size=size) == HEALTHY
    assert api(Animal.clean_indexes) == 0
    assert state(redis_client) == before


def test_a_model_without_indexes(api: Api) -> None:
    Visit().save()
    checked = api(Visit.check_indexes)
    assert checked["key_fields"] == checked["sorted_fields"] == checked["geo_fields"] == {}
    assert checked["composite_indexes"] == {}
    assert checked["total"] == 0


@pytest.mark.parametrize("size", [0, -2, None, "1"])
def test_batch_size(api: Api, size: Any) -> None:
    for method in (Animal.check_indexes, Animal.clean_indexes, Animal.rebuild_indexes):
        with pytest.raises(ValueError, match="batch_size"):
            api(method, batch_size=size)


def test_every_entry_of_a_missing_record_is_counted_and_cleaned(
    api: Api, redis_client: redis.Redis
) -> None:
    given = fill()
    full = [given[1], given[10]]
    Animal.bulk_delete([each for each in given if each not in full])
    redis_client.delete(full[0]._redis_key)
    checked = api(Animal.check_indexes)
    assert checked == HEALTHY | {
        "class_set": 1,
        "key_fields": {"born": 0, "kind": 1, "tag": 1},
        "sorted_fields": {"born": 1, "price": 1, "price_usd": 1, "speed": 1},
        "geo_fields": {"home": 1},
        "composite_indexes": {"$Index:Animal:mood:chip": 1, "$Index:Animal:mood:note": 1},
        "indexed_fields": {"chip": 1, "mood": 1, "legs": 1},
        "relationship_fields": {"keeper": 1},
        "capped_lists": {"meals": 1},
        "total": 15,
    }
    for size in (1, 4):
        assert api(Animal.check_indexes, batch_size=size) == checked
    assert api(Animal.clean_indexes, batch_size=2) == 15
    assert api(Animal.check_indexes) == HEALTHY
    assert Animal.bulk_delete([full[1]]) == 1
    assert redis_client.keys() == []


def test_cleaning_leaves_what_the_living_have(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    for each in given[:7]:
        redis_client.delete(each._redis_key)
    assert api(Animal.clean_indexes) == sum_of_entries(given[:7])
    cleaned = state(redis_client)
    redis_client.flushall()
    Animal.bulk_create([animal(number) for number in range(7, 20)])
    assert state(redis_client) == cleaned


def sum_of_entries(records: list[Animal]) -> int:
    options = Animal._meta
    return sum(
        2 + len(options.entries(each._redis_key, each._saved_field_values)) for each in records
    )


def test_expired_records(api: Api, redis_client: redis.Redis) -> None:
    for number in range(3):
        each = animal(number)
        each._ttl = 1
        each.save()
    redis_client.pexpire(animal(0)._redis_key, 1)
    time.sleep(0.01)
    found = api(Animal.check_indexes)["total"]
    assert found > 0
    assert api(Animal.clean_indexes) == found
    assert api(Animal.check_indexes)["total"] == 0
    assert not redis_client.zscore("$Expiry:Animal", animal(0)._redis_key)


def test_names_that_begin_alike_are_told_apart(api: Api, redis_client: redis.Redis) -> None:
    class Good(Model):
        name = KeyField()
        price = SortedField(partition_by="place")
        price_usd = SortedField()
        place = IndexedField()
        place_of = IndexedField()

    class GoodX(Model):
        name = KeyField()
        price = SortedField()

    Good(name="a:b", price=1, price_usd=2, place="x:y", place_of="*").save()
    GoodX(name="a", price=1).save()
    redis_client.delete("Good:a{&#58;}b", "GoodX:a")
    checked = api(Good.check_indexes)
    assert checked["sorted_fields"] == {"price": 1, "price_usd": 1}
    assert checked["indexed_fields"] == {"place": 1, "place_of": 1}
    assert checked["total"] == 6
    assert api(Good.clean_indexes) == 6
    assert api(GoodX.check_indexes)["total"] == 3


def test_wrong_values_and_missing_entries_are_told(api: Api, redis_client: redis.Redis) -> None:
    fill(4)
    key = animal(1)._redis_key
    redis_client.srem("$IndexF:Animal:mood:None", key)
    redis_client.sadd("$IndexF:Animal:mood:sad", key)
    redis_client.zadd("$SortF:Animal:price_usd", {key: 17})
    redis_client.hdel("$Index:Animal:mood:chip", *redis_client.hkeys("$Index:Animal:mood:chip"))
    redis_client.geoadd("$GeoF:Animal:home", (1, 1, key))
    checked = api(Animal.check_indexes)
    assert checked["wrong_values"] == {"mood": 1}
    assert checked["missing_entries"] == {
        "mood": 1, "price_usd": 1, "home": 1, "$Index:Animal:mood:chip": 3,
    }  # fmt: skip
    assert checked["total"] == 7
    assert api(Animal.clean_indexes) == 0


def test_check_writes_nothing(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    redis_client.delete(given[0]._redis_key)
    redis_client.hset("Animal:broken:t:1", "kind", b"\xc1")
    redis_client.set("$IndexF:Animal:mood:text", "no set")
    redis_client.lpush("Animal:x:y:1", "no hash")
    before = state(redis_client)
    checked = api(Animal.check_indexes)
    assert checked["unreadable_records"] == 1
    assert checked["total"] > 0
    assert state(redis_client) == before


def test_values_that_look_like_patterns(api: Api, redis_client: redis.Redis) -> None:
    texts = ["*", "?", "[a]", "a\\b", "{x}", "ü", "\n", "", "None", ":", "{&#58;}", "^", "/-"]
    for number, text in enumerate(texts):
        Animal.bulk_create([animal(number, mood=text, kind=text, chip=text + "!", keeper=None)])
    assert api(Animal.check_indexes) == HEALTHY
    for key in redis_client.keys("Animal:*"):
        if redis_client.type(key) == b"hash":
            redis_client.delete(key)
    found = api(Animal.check_indexes)["total"]
    assert api(Animal.clean_indexes) == found
    assert Animal.check_indexes() == HEALTHY
    for key in redis_client.keys("$Values*"):
        redis_client.delete(key)
    assert redis_client.keys() == []


def test_a_unique_value_is_free_after_cleaning(api: Api, redis_client: redis.Redis) -> None:
    class Badge(Model):
        name = KeyField()
        code = UniqueField()

    Badge(name="a", code="x").save()
    redis_client.delete("Badge:a")
    assert api(Badge.clean_indexes) == 3
    assert redis_client.keys("*Badge*") == []


def test_a_record_created_meanwhile_is_not_hurt() -> None:
    """Writers delete and create the same records while cleaning runs."""
    Keeper(name="k").save()

    def churn(worker: int) -> None:
        each = animal(worker)
        each.save()
        each.delete()
        each.save()

    with meanwhile(churn, threads=3) as failures:
        for _ in range(15):
            Animal.clean_indexes()
            assert Animal.check_indexes()["total"] == 0
    assert failures == []
    assert Animal.check_indexes() == HEALTHY
    assert Animal.query.count() == 3
    assert Animal.query.filter(mood__in=["happy", "None"]).count() == 2


@pytest.mark.single_server("a walk over the keys of three nodes takes three times as many")
def test_round_trips_of_a_small_model(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    """One page of keys, one of entries, and one of records with one look at their entries."""
    fill(3)
    for method, most in ((Animal.check_indexes, 8), (Animal.clean_indexes, 5)):
        api(method)
        with round_trips() as seen:
            api(method)
        assert seen.sends <= most


def test_round_trips_do_not_grow_with_the_values(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    fill(400)
    with round_trips() as seen:
        api(Animal.check_indexes)
    assert seen.sends < 40
    with round_trips() as seen:
        api(Animal.clean_indexes)
    assert seen.sends < 30


class Tagged(Model):
    name = KeyField()
    topic = IndexedField()


def test_a_key_of_another_program_in_a_record_s_place_is_no_record_that_is_gone(
    api: Api, redis_client: redis.Redis
) -> None:
    Tagged.bulk_create([Tagged(name=name, topic="t") for name in "ab"])
    redis_client.delete("Tagged:a")
    redis_client.set("Tagged:a", "theirs")
    assert api(Tagged.check_indexes)["total"] == 0
    assert api(Tagged.clean_indexes) == 0
    assert redis_client.smembers("$Class:Tagged") == {b"Tagged:a", b"Tagged:b"}


def test_nulls_are_counted_with_the_texts_that_a_list_covers(
    api: Api, redis_client: redis.Redis
) -> None:
    topics = {"a": None, "b": None, "c": "x"}
    Tagged.bulk_create([Tagged(name=name, topic=topic) for name, topic in topics.items()])
    redis_client.hset("$Values:Tagged", "topic", 9)
    api(Tagged.rebuild_indexes)
    assert redis_client.hget("$Values:Tagged", "topic") == b"3"
