"""Rows of design/faults.md about saving, deleting and reading, one test each, named after its row.

Each of these was seen to fail with popoto 1.6.1, and fails again when the technique that the
row names is taken out.
"""

from __future__ import annotations

import datetime
import math
import time
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    DecimalField,
    DictField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.engine.run import send
from popoto.exceptions import UniquenessError
from popoto.models.reading.executing import Execution
from popoto.models.reading.spec import QuerySpec
from tests.driver import Api
from tests.truth.models import Shelf, Thing
from tests.truth.oracle import records, violations


class Person(Model):
    name = KeyField()
    email = UniqueField()
    city = IndexedField(null=True)
    age = SortedField(type=int, default=0)
    partition_age = SortedField(type=int, default=0, partition_by="city")
    log = ListField(max_length=3)
    money = DecimalField(default=Decimal(0))
    hits = IntField(default=0)
    extra = DictField(null=True)
    text = StringField(null=True)

    class Meta:
        indexes = ((("city", "text"), True),)


def person(name: str, **values: Any) -> Person:
    return Person(name=name, **{"email": f"{name}@x", **values})


def expire(api: Api, instance: Model) -> None:
    """Save a record so that it is over at once."""
    instance._ttl = 0
    api(instance.save)


# Uniqueness -----------------------------------------------------------------------------------


def test_a_claim_whose_holder_is_gone_is_taken_over(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", email="one@x", city="r", text="t").save)
    expire(api, api(Person.query.get, name="a"))
    api(person("b", email="one@x", city="r", text="t").save)
    assert violations(redis_client, Person) == []
    assert [each.name for each in api(Person.query.all)] == ["b"]
    assert violations(redis_client, Person, strict=True) == []


def test_uniqueness_holds_on_every_path(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", email="one@x").save)
    other = person("b")
    api(other.save)
    before = records(redis_client, Person)
    other.email = "one@x"
    pipeline = redis_client.pipeline()
    for attempt in (
        lambda: api(other.save),
        lambda: api(other.save, update_fields=["email"]),
        lambda: api(other.save, pipeline=pipeline),
        lambda: api(person("c", email="one@x").save),
        lambda: api(Person.create, name="c", email="one@x"),
        lambda: api(Person.bulk_create, [person("c", email="one@x")]),
        lambda: api(Person.bulk_create, [person("d", email="d"), person("e", email="d")]),
        lambda: api(Person.bulk_update, [other], email="one@x"),
    ):
        with pytest.raises(ModelException, match=r"unique.*already exists|same .*email"):
            attempt()
    other.name = "moved"
    with pytest.raises(UniquenessError):
        api(other.save, migrate_key=True)
    pipeline.execute()
    assert records(redis_client, Person) == before
    assert violations(redis_client, Person) == []


def test_claims_of_one_pipeline_are_decided_when_it_runs(
    api: Api, redis_client: redis.Redis
) -> None:
    pipeline = redis_client.pipeline()
    for name in ("a", "b"):
        api(person(name, email="one@x").save, pipeline=pipeline)
    answers = pipeline.execute(raise_on_error=False)
    assert [isinstance(answer, redis.ResponseError) for answer in answers] == [False, True]
    assert set(records(redis_client, Person)) == {"Person:a"}
    assert violations(redis_client, Person) == []


def test_create_under_an_existing_key_replaces_nothing(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", city="old").save)
    with pytest.raises(ModelException, match=r"already exists(?s:.*)update_or_create"):
        api(Person.create, name="a", email="a@x", city="new")
    assert api(Person.query.get, name="a").city == "old"
    api(Person.create, overwrite=True, name="a", email="a@x", city="new")
    assert api(Person.query.count, city="old") == 0
    assert violations(redis_client, Person) == []


def test_moving_onto_an_occupied_key_replaces_nothing(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", text="first").save)
    api(person("b", text="second").save)
    for is_gone in (False, True):
        moving = api(Person.query.get, name="a")
        if is_gone:
            api(api(Person.query.get, name="a").delete)
        moving.name = "b"
        with pytest.raises(ModelException, match="already exists"):
            api(moving.save, migrate_key=True, recreate=True)
        assert records(redis_client, Person)["Person:b"]["text"] == "second"
    assert violations(redis_client, Person) == []


# Stale copies and ghosts ----------------------------------------------------------------------


def test_a_stale_copy_does_not_roll_back_other_fields(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", log=["x"]).save)
    stale, fresh = api(Person.query.get, name="a"), api(Person.query.get, name="a")
    fresh.city, fresh.text, fresh.age = "Riga", "changed", 7
    api(fresh.save)
    api(fresh.log.push, "y")
    stale.hits = 1
    api(stale.save)
    found = api(Person.query.get, name="a")
    assert (found.city, found.text, found.age, found.hits) == ("Riga", "changed", 7, 1)
    assert found.log == ["y", "x"]
    assert violations(redis_client, Person) == []


def test_stale_copies_leave_no_ghost(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", city="one", text="t").save)
    copies = [
        api(Person.query.get, name="a"),
        api(Person.query.all)[0],
        Person.query.filter(name="a")[0],
        person("a"),
    ]
    for number, copy in enumerate(copies):
        copy.city, copy.age = f"city{number}", number
        api(copy.save)
        assert violations(redis_client, Person) == []
    assert api(copies[0].delete)
    assert redis_client.keys("*") == []


def test_partial_operations_do_not_resurrect(api: Api, redis_client: redis.Redis) -> None:
    api(person("a").save)
    stale = api(Person.query.get, name="a")
    api(api(Person.query.get, name="a").delete)
    stale.city = "x"
    for attempt in (
        lambda: api(stale.save, update_fields=["city"]),
        lambda: api(stale.save, update_fields=["text"]),
        lambda: api(stale.atomic_increment, "hits", 1),
        lambda: api(stale.log.push, 1),
        lambda: api(person("a").save, update_fields=["text"]),
    ):
        with pytest.raises(ModelException):
            attempt()
        assert redis_client.keys("*") == []


def test_an_abandoned_pipeline_leaves_no_ghost_and_loses_nothing(
    api: Api, redis_client: redis.Redis
) -> None:
    instance = person("a", city="one")
    api(instance.save)
    pipeline = redis_client.pipeline()
    instance.city, instance.text, instance.log = "two", "t", ["x"]
    api(instance.save, pipeline=pipeline)
    pipeline.reset()
    api(instance.save)
    stored = records(redis_client, Person)["Person:a"]
    assert (stored["city"], stored["text"], stored["log"]) == ("two", "t", ["x"])
    assert violations(redis_client, Person) == []


def test_a_migration_takes_everything_along(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", city="r", text="t", age=3, log=[1, 2], money=Decimal("1.10")).save)
    moving = api(Person.query.get, name="a")
    moving.name, moving.age = "b", 4
    api(moving.save, update_fields=["name"], migrate_key=True)
    stored = records(redis_client, Person)
    assert set(stored) == {"Person:b"}
    assert stored["Person:b"] == {
        "name": "b",
        "email": "a@x",
        "city": "r",
        "age": 3,
        "partition_age": 0,
        "log": [1, 2],
        "money": Decimal("1.10"),
        "hits": 0,
        "extra": None,
        "text": "t",
    }
    assert violations(redis_client, Person) == []


def test_what_an_earlier_record_left_is_not_adopted(api: Api, redis_client: redis.Redis) -> None:
    redis_client.rpush("Person:a::log", b"\x01")
    redis_client.rpush("Person:b::log", b"\x01")
    instance = person("a", log=["mine"])
    api(instance.save)
    assert records(redis_client, Person)["Person:a"]["log"] == ["mine"]
    instance.log = []
    api(instance.save)
    instance.name = "b"
    api(instance.save, migrate_key=True)
    assert records(redis_client, Person)["Person:b"]["log"] == []
    assert violations(redis_client, Person) == []


# Refused before the first write ---------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"age": math.nan},
        {"age": "old"},
        {"hits": 2**64},
        {"text": "\ud800"},
        {"extra": {"a": object()}},
        {"log": [object()]},
        {"email": None},
        {"money": "much"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_stored_is_found_before_anything_is_written(
    api: Api, redis_client: redis.Redis, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ModelException):
        api(Person(**{"name": "new", "email": "n@x", **wrong}).save)
    assert redis_client.keys("*") == []
    api(person("a").save)
    instance = api(Person.query.get, name="a")
    instance.city = "changed"
    for name, value in wrong.items():
        setattr(instance, name, value)
    for names in (None, ["city", *wrong]):
        with pytest.raises(ModelException):
            api(instance.save, update_fields=names)
    assert records(redis_client, Person)["Person:a"]["city"] is None
    assert violations(redis_client, Person) == []


def test_a_key_of_a_wrong_type_stops_a_save_before_it_begins(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("$SortF:Person:age", "planted")
    with pytest.raises(ModelException, match="age"):
        api(person("a").save)
    assert redis_client.keys("*") == [b"$SortF:Person:age"]


def test_numbers_are_counted_exactly(api: Api, redis_client: redis.Redis) -> None:
    instance = person("a", age=2**53, hits=2**62, money=Decimal("12345678901234567.89"))
    api(instance.save)
    assert api(instance.atomic_increment, "age", 1) == 2**53 + 1
    assert api(instance.atomic_increment, "hits", 1) == 2**62 + 1
    assert api(instance.atomic_increment, "money", Decimal("0.01")) == Decimal(
        "12345678901234567.90"
    )
    assert api(Person.query.count, age=2**53) == 0
    assert violations(redis_client, Person) == []


# Expiry ---------------------------------------------------------------------------------------


def test_an_expired_record_is_invisible_at_once(api: Api, redis_client: redis.Redis) -> None:
    instance = person("a", city="r", age=5, text="t", log=["x"])
    instance._ttl = datetime.timedelta(milliseconds=30)
    api(instance.save)
    assert api(Person.query.count) == 1
    time.sleep(0.035)
    query = Person.query
    assert api(query.get, name="a") is None
    assert api(query.get_many, ["Person:a"]) == [None]
    for conditions in ({}, {"city": "r"}, {"age__gt": 1}, {"text": "t"}, {"city__startswith": "r"}):
        assert api(query.count, **conditions) == 0
        assert api(query.filter(**conditions).all) == []
        assert not api(query.filter(**conditions).exists)
    assert api(query.keys) == []
    assert api(query.filter(city="r").values("name").all) == []
    api(person("b", email="a@x", city="r", text="t").save)


def test_limits_are_filled_after_expired_records_are_left_out(api: Api) -> None:
    for number in range(6):
        instance = person(f"n{number}", city="r", age=number)
        if number % 2 == 0:
            expire(api, instance)
        else:
            api(instance.save)
    found = api(Person.query.filter(city="r", order_by="age", limit=2).all)
    assert [each.age for each in found] == [1, 3]
    assert api(Person.query.filter(city="r").first).age in (1, 3, 5)


def test_the_entries_of_expired_records_are_swept_without_a_scan(
    redis_client: redis.Redis, round_trips: Any
) -> None:
    for number in range(10):
        instance = person(f"n{number}", city=f"c{number}", text="t", log=[1])
        instance._ttl = 0
        instance.save()
    with round_trips() as seen:
        assert Person.query.count() == 0
    assert redis_client.keys("*") == []
    assert seen.sends <= 3
    assert not seen.commands.keys() & {"scan", "keys", "sscan", "hscan"}


def test_a_record_created_again_has_only_its_own_entries(
    api: Api, redis_client: redis.Redis
) -> None:
    for again in ("create", "save", "move", "bulk", "pipeline"):
        expire(api, person("a", city="old", age=9, text="t"))
        new = person("a", city="new")
        if again == "create":
            api(Person.create, name="a", email="a@x", city="new")
        elif again == "save":
            api(new.save)
        elif again == "bulk":
            api(Person.bulk_create, [new])
        elif again == "pipeline":
            pipeline = redis_client.pipeline()
            api(new.save, pipeline=pipeline)
            pipeline.execute()
        else:
            api(person("b", city="new").save)
            moving = api(Person.query.filter(name="b").first)
            expire(api, person("a", city="old", age=9, text="t"))
            moving.name = "a"
            api(moving.save, migrate_key=True)
        assert violations(redis_client, Person, strict=True) == [], again
        assert api(Person.query.count, city="old") == 0
        api(api(Person.query.get, name="a").delete)
        assert redis_client.keys("*") == [], again


def test_a_slow_sweep_does_not_harm_a_newer_record(redis_client: redis.Redis) -> None:
    """A query saw it expired; it is created and expires again before the sweep arrives."""
    expire(Api(is_async=False), person("a", city="first"))
    counting = Execution(QuerySpec(Person)).count()
    answer = send(next(counting))
    expire(Api(is_async=False), person("a", city="second"))
    try:
        while True:
            answer = send(counting.send(answer))
    except StopIteration:
        pass
    assert violations(redis_client, Person) == []
    assert Person.query.count() == 0
    assert redis_client.keys("*") == []


def test_companions_expire_with_their_record(api: Api, redis_client: redis.Redis) -> None:
    instance = person("a", log=["x"])
    instance._ttl = 1000
    api(instance.save)
    # The checker compares the ends of record and list, of one moment.
    assert violations(redis_client, Person) == []
    api(instance.log.push, "y")
    assert violations(redis_client, Person) == []
    assert redis_client.ttl("Person:a::log") > 900
    instance._ttl = None
    api(instance.save)
    assert redis_client.ttl("Person:a") == redis_client.ttl("Person:a::log") == -1
    assert violations(redis_client, Person) == []


# Hostile text ---------------------------------------------------------------------------------

HOSTILE = [
    "None",
    ":",
    "{&#58;}",
    "a:b",
    "a{&#58;}b",
    "*",
    "?",
    "[x]",
    "\\",
    "/-",
    "{}",
    "\x00",
    "",
]


def test_hostile_text_is_just_text(api: Api, redis_client: redis.Redis) -> None:
    texts = [None, *HOSTILE]
    for number, text in enumerate(texts):
        api(person(f"n{number}", city=text).save)
    assert violations(redis_client, Person) == []
    for number, text in enumerate(texts):
        assert [each.name for each in api(Person.query.filter(city=text).all)] == [f"n{number}"]
        if text is not None:
            found = api(Person.query.filter(city__startswith=text).all)
            expected = {i for i, each in enumerate(texts) if each and each.startswith(text)}
            expected |= {i for i, each in enumerate(texts) if each == "" == text}
            assert {int(each.name[1:]) for each in found} == expected
    for each in api(Person.query.all):
        api(each.delete)
        assert violations(redis_client, Person) == []
    assert redis_client.keys("*") == []


def test_a_text_leaves_a_set_that_it_shares(api: Api, redis_client: redis.Redis) -> None:
    instance = person("n", city="a{&#58;}b")
    api(instance.save)
    for text in ("a:b", "None", None, "None", "a{&#58;}b", "a:b"):
        instance.city = text
        api(instance.save)
        assert violations(redis_client, Person) == []
        assert api(Person.query.count, city__startswith="a{") == (text == "a{&#58;}b")
    api(instance.delete)
    assert redis_client.keys("*") == []


def test_hostile_text_is_unique_by_itself(api: Api, redis_client: redis.Redis) -> None:
    for number, text in enumerate(HOSTILE):
        api(person(f"n{number}", email=text).save)
    for text in HOSTILE:
        with pytest.raises(UniquenessError):
            api(person("other", email=text).save)
    assert violations(redis_client, Person) == []


def test_tuples_of_one_digest_do_not_compete(api: Api, redis_client: redis.Redis) -> None:
    api(person("a", city="x", text="y:z").save)
    api(person("b", city="x:y", text="z").save)
    assert violations(redis_client, Person) == []
    with pytest.raises(UniquenessError):
        api(person("c", city="x:y", text="z").save)
    api(api(Person.query.get, name="a").delete)
    moving = api(Person.query.get, name="b")
    moving.name = "d"
    api(moving.save, migrate_key=True)
    with pytest.raises(UniquenessError):
        api(person("c", city="x:y", text="z").save)
    assert violations(redis_client, Person) == []
    api(moving.delete)
    assert redis_client.keys("*") == []


def test_records_whose_keys_look_alike_are_not_mistaken(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Thing(part="None", number=1, note="kept").save)
    twin = Thing(part=None, number=1)
    with pytest.raises(ModelException, match="same record key"):
        api(twin.save)
    with pytest.raises(ModelException, match="same record key"):
        api(twin.save, update_fields=["note"])
    assert not api(twin.delete)
    assert not api(Thing.bulk_delete, [twin]) or records(redis_client, Thing)
    assert records(redis_client, Thing)["Thing:1:None"]["note"] == "kept"
    assert violations(redis_client, Thing, Shelf) == []


# The checker itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        ("SREM", "$Class:Person", "Person:a"),
        ("SADD", "$Class:Person", "Person:z"),
        ("SREM", "$IndexF:Person:city:r", "Person:a"),
        ("SADD", "$IndexF:Person:city:s", "Person:a"),
        ("SADD", "$UniquF:Person:email:q", "Person:z"),
        ("ZADD", "$SortF:Person:age", "9", "Person:a"),
        ("ZREM", "$SortF:Person:partition_age:r", "Person:a"),
        ("ZADD", "$SortF:Person:partition_age:s", "0", "Person:a"),
        ("HSET", "$Index:Person:city:text", "0123456789abcdef", "Person:a"),
        ("DEL", "$Index:Person:city:text"),
        ("ZREM", "$Values:Person:city", "r"),
        ("ZADD", "$Values:Person:city", "0", "s"),
        ("HINCRBY", "$Values:Person", "city", "1"),
        ("DEL", "Person:a"),
        ("HDEL", "Person:a", "text"),
        ("HSET", "Person:a", "city", b"\xa1s"),
        ("EXPIRE", "Person:a", "100"),
        ("RPUSH", "Person:a::log", b"\x01", b"\x01", b"\x01", b"\x01"),
        ("RPUSH", "Person:z::log", b"\x01"),
    ],
    ids=lambda damage: " ".join(map(str, damage)),
)
def test_the_checker_sees_damage(redis_client: redis.Redis, damage: tuple[Any, ...]) -> None:
    person("a", city="r", text="t", age=1).save()
    assert violations(redis_client, Person) == []
    redis_client.execute_command(*damage)
    assert violations(redis_client, Person) != []
