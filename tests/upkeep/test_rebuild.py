"""`rebuild_indexes`: every entry follows from the records again, and queries stay complete."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgpack
import pytest
import redis

from popoto import IndexedField, KeyField, ListField, Model, SortedField
from popoto.models.upkeep.registry import Registry
from tests.driver import Api

from .zoo import Animal, Keeper, Visit, animal, drop_indexes, meanwhile, state


def fill(count: int = 25) -> list[Animal]:
    return Animal.bulk_create([animal(number) for number in range(count)])


def test_a_healthy_model_stays_as_it_is(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    given[3]._ttl = 1000
    given[3].save()
    before = state(redis_client)
    assert api(Animal.rebuild_indexes, batch_size=4) == 25
    after = state(redis_client)
    assert before.pop("$Expiry:Animal")
    assert after.pop("$Expiry:Animal")
    assert after == before


def test_lost_indexes_come_back(api: Api, redis_client: redis.Redis) -> None:
    fill()
    before = state(redis_client)
    drop_indexes(redis_client, Animal)
    assert Animal.query.count() == 0
    assert api(Animal.rebuild_indexes, batch_size=7) == 25
    assert state(redis_client) == before


def test_whatever_the_damage(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    Animal.bulk_delete(given[:5])
    expected = state(redis_client)
    Animal.bulk_create([animal(number) for number in range(5)])
    redis_client.delete(*(each._redis_key for each in given[:5]))
    for key in redis_client.keys("$*:Animal*"):
        kind = redis_client.type(key)
        if kind == b"set":
            redis_client.sadd(key, given[7]._redis_key, "Animal:gone:t:1")
        elif kind == b"zset" and not key.startswith((b"$Values", b"$Expiry")):
            redis_client.zadd(key, {given[8]._redis_key: 99.5, "Animal:gone:t:1": 1})
        elif kind == b"hash" and key.startswith(b"$Index"):
            redis_client.hset(key, "0123456789abcdef", given[9]._redis_key)
    redis_client.hset("$Values:Animal", "mood", 17)
    redis_client.zadd("$Values:Animal:mood", {"stale": 0})
    redis_client.sadd("$IndexF:Animal:dropped:x", given[9]._redis_key)
    redis_client.zadd("$SortF:Animal:price", {given[9]._redis_key: 1})
    redis_client.hset("$Index:Animal:chip:legs", "0123456789abcdef", given[9]._redis_key)
    assert api(Animal.rebuild_indexes) == 20
    assert state(redis_client) == expected
    assert api(Animal.check_indexes)["total"] == 0


def test_after_raw_update(api: Api) -> None:
    fill()
    keys = Animal.query.filter(mood="happy").keys()
    Animal.raw_update(keys, mood="raw", price=500.0, home=(1, 1))
    assert api(Animal.check_indexes)["total"] > 0
    assert api(Animal.rebuild_indexes) == 25
    assert Animal.query.filter(mood="happy").count() == 0
    assert Animal.query.filter(mood="raw").count() == len(keys)
    assert Animal.query.filter(home=(1, 1), home_radius=5).count() == len(keys)
    assert api(Animal.check_indexes)["total"] == 0


def test_a_field_that_gets_an_index(api: Api, redis_client: redis.Redis) -> None:
    def model(field: Any) -> type[Model]:
        return type("Grown", (Model,), {"name": KeyField(), "size": field})

    from popoto import Field

    old = model(Field(type=float))
    old.bulk_create([old(name=str(n), size=float(n)) for n in range(5)])
    new = model(SortedField(type=float))
    assert api(new.check_indexes)["missing_entries"] == {"size": 5}
    assert api(new.rebuild_indexes) == 5
    assert new.query.filter(size__gte=3).count() == 2
    partitioned = model(SortedField(type=float, partition_by="name"))
    assert api(partitioned.rebuild_indexes) == 5
    assert redis_client.exists("$SortF:Grown:size") == 0
    assert api(old.rebuild_indexes) == 5
    assert redis_client.keys("$SortF*") == []


def test_data_of_popoto_1_6_gets_what_it_lacks(api: Api, redis_client: redis.Redis) -> None:
    """1.6 keeps no lists of texts and no registry of expiring records."""
    given = fill()
    given[2]._ttl = 1000
    given[2].save()
    whole = state(redis_client)
    for prefix in ("$Values", "$Keys", "$Expiry"):
        for key in redis_client.keys(f"{prefix}:Animal*"):
            redis_client.delete(key)
    assert api(Animal.check_indexes)["total"] == 0
    assert Animal.query.filter(mood__startswith="hap").count() == 5
    assert api(Animal.rebuild_indexes) == 25
    now = state(redis_client)
    assert now.keys() == whole.keys()
    del now["$Expiry:Animal"], whole["$Expiry:Animal"]
    assert now == whole


def test_texts_that_share_a_set(api: Api, redis_client: redis.Redis) -> None:
    texts = [None, "None", "a:b", "a{&#58;}b", "plain", "plain"]
    Visit.bulk_create([Visit(place=text) for text in texts])
    before = state(redis_client)
    drop_indexes(redis_client, Visit)
    assert api(Visit.rebuild_indexes) == 6
    assert state(redis_client) == before
    assert Visit.query.filter(place=None).count() == 1
    assert Visit.query.filter(place__contains=":").count() == 1


def test_companions_stay(api: Api, redis_client: redis.Redis) -> None:
    fill(2)
    meals = redis_client.lrange(f"{animal(1)._redis_key}::meals", 0, -1)
    redis_client.rpush("Animal:gone:t:1::meals", "x")
    assert api(Animal.rebuild_indexes) == 2
    assert redis_client.lrange(f"{animal(1)._redis_key}::meals", 0, -1) == meals
    assert redis_client.exists("Animal:gone:t:1::meals") == 0


# Records that cannot be indexed ----------------------------------------------------------


class Thing(Model):
    name = KeyField()
    colour = IndexedField(default="grey")
    size = SortedField(default=5.0)
    log = ListField(max_length=3)


def packed(value: object) -> bytes:
    return msgpack.packb(value)


FOREIGN = {
    "lacks its identity": {"colour": packed("red"), "size": packed(1.0)},
    "holds another key": {"name": packed("other"), "colour": packed("red"), "size": packed(1.0)},
    "has a broken key": {"name": b"\xc1", "colour": packed("red"), "size": packed(1.0)},
    "is truncated": {"name": packed("x")[:1], "colour": packed("red")},
    "is empty of ours": {"weather": b"fine"},
}


@pytest.mark.parametrize("stored", FOREIGN.values(), ids=list(FOREIGN))
def test_a_hash_without_identity_is_reported_and_not_indexed(
    api: Api, redis_client: redis.Redis, stored: dict[str, bytes], caplog: Any
) -> None:
    Thing(name="good", colour="red").save()
    redis_client.hset("Thing:x", mapping=stored)
    before = state(redis_client)
    rebuilt = api(Thing.rebuild_indexes)
    assert rebuilt == 1
    assert [problem.key for problem in rebuilt.problems] == ["Thing:x"]
    assert "'Thing:x'" in caplog.text
    assert state(redis_client) == before
    assert api(Thing.check_indexes)["unreadable_records"] == 1
    assert api(Thing.check_indexes)["total"] == 0


def test_the_first_thousand_of_very_many_are_listed(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = redis_client.pipeline()
    for number in range(1003):
        pipeline.hset(f"Thing:{number}", "weather", "fine")
    pipeline.execute()
    rebuilt = api(Thing.rebuild_indexes)
    assert (rebuilt, len(rebuilt.problems), rebuilt.problem_count) == (0, 1000, 1003)
    assert len(caplog.records) == 1003


def test_a_field_that_cannot_be_decoded_is_left_out(api: Api, redis_client: redis.Redis) -> None:
    Thing(name="a", colour="red", size=2).save()
    redis_client.hset("Thing:a", "colour", b"\xc1")
    redis_client.hset("Thing:b", mapping={"name": packed("b"), "size": packed("text")})
    drop_indexes(redis_client, Thing)
    rebuilt = api(Thing.rebuild_indexes)
    assert rebuilt == 2
    assert sorted(problem.key for problem in rebuilt.problems) == ["Thing:a", "Thing:b"]
    assert Thing.query.filter(size=2).keys() == [b"Thing:a"]
    assert not redis_client.exists("$IndexF:Thing:colour:None")
    assert redis_client.smembers("$IndexF:Thing:colour:grey") == {b"Thing:b"}
    assert redis_client.zrange("$SortF:Thing:size", 0, -1) == [b"Thing:a"]


def test_entries_of_what_cannot_be_decoded_stay(api: Api, redis_client: redis.Redis) -> None:
    Thing(name="a", colour="red").save()
    redis_client.hset("Thing:a", "colour", b"\xc1")
    before = state(redis_client)
    assert api(Thing.rebuild_indexes) == 1
    assert state(redis_client) == before


def test_other_keys_under_the_name_are_left_alone(api: Api, redis_client: redis.Redis) -> None:
    Thing(name="a").save()
    redis_client.set("Thing:text", "x")
    redis_client.rpush("Thing:list", "x")
    redis_client.hset("Thing:a:more", "x", "y")
    redis_client.hset("Thingy:a", "x", "y")
    redis_client.sadd(b"$IndexF:Thing:colour:\xff", "Thing:a")
    redis_client.hset(b"Thing:\xff", "x", "y")
    redis_client.sadd("$IndexF:Thing:colour:red", b"Thing:\xfe", "Elsewhere:1")
    redis_client.hset("Elsewhere:1", "x", "y")
    redis_client.set("$IndexF:Thing:colour:blue", "x")
    foreign = {key: value for key, value in state(redis_client).items() if key[0] != "$"}
    assert api(Thing.rebuild_indexes) == 1
    api(Thing.clean_indexes)
    now = state(redis_client)
    assert {key: value for key, value in now.items() if key[0] != "$"} == foreign
    assert now["$IndexF:Thing:colour:blue"] == b"x"


# Beside writers and readers --------------------------------------------------------------


def keys_of(**conditions: Any) -> set[bytes]:
    return set(Animal.query.filter_for_keys_set(**conditions))


def test_queries_stay_complete_during_a_rebuild(redis_client: redis.Redis) -> None:
    """Half of the indexes are damaged; readers must always find what was right all the time."""
    fill(60)
    Keeper(name="k0").save()
    happy, dear = keys_of(mood="happy"), keys_of(price_usd__gte=1)

    def read(_: int) -> None:
        assert keys_of(mood="happy") == happy
        assert keys_of(price_usd__gte=1) == dear
        assert Animal.query.count() == 60
        assert Animal.query.filter(mood__startswith="hap").count() == len(happy)

    with meanwhile(read, threads=2) as failures:
        for damage in range(6):
            redis_client.delete("$IndexF:Animal:legs:1", "$GeoF:Animal:home")
            redis_client.sadd("$RelationshipF:Animal:keeper:Keeper:k9", *happy)
            redis_client.hset("$Values:Animal", "mood", 59 - damage)
            assert Animal.rebuild_indexes(batch_size=11) == 60
    assert failures == []
    assert Animal.check_indexes()["total"] == 0


def test_writers_go_on_during_a_rebuild(redis_client: redis.Redis) -> None:
    fill(30)
    turns = count()

    def write(worker: int) -> None:
        turn = next(turns)
        each = Animal.query.get(redis_key=animal(worker)._redis_key)
        each.mood, each.price, each.chip = f"m{turn % 3}", turn, f"w{worker}-{turn}"
        each.save()
        other = animal(100 + worker)
        other.save()
        if turn % 2:
            other.delete()

    with meanwhile(write, threads=3) as failures:
        for _ in range(8):
            redis_client.delete(*redis_client.keys("$SortF:Animal:*")[:2])
            Animal.rebuild_indexes(batch_size=5)
    assert failures == []
    assert Animal.rebuild_indexes() == Animal.query.count()
    assert Animal.check_indexes()["total"] == 0


# The registry ----------------------------------------------------------------------------


def test_the_registry_knows_every_key_that_is_written(redis_client: redis.Redis) -> None:
    given = fill()
    given[1]._ttl = 1000
    given[1].save()
    registry = Registry(Animal._meta)
    text_keys = {key for _, _, *pair in registry.text_fields for key in pair}
    unknown = {
        key
        for key in state(redis_client)
        if not registry.is_record_key(key)
        and registry.companion_of(key) is None
        and not any(family.holds(key) for family in registry.families)
        and key not in text_keys
    }
    assert unknown == set()
