"""Loading records: both shapes give the same instance; odd bytes are isolated."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    DatetimeField,
    DecimalField,
    Field,
    FloatField,
    IntField,
    KeyField,
    ListField,
    Model,
    QueryException,
    Relationship,
    StringField,
)
from popoto.exceptions import StoredDataError
from tests.driver import Api

from .shop import FULL, Shop, plain


class Node(Model):
    name = KeyField()
    size = IntField(default=7)
    made = Field(type=list, default=list)
    ratio = FloatField()
    price = DecimalField()
    seen = DatetimeField()
    text = StringField(max_length=5)
    needed = StringField(null=False, default="x")


def both(api: Api, model: Any = Node, **conditions: Any) -> list[Any]:
    return [api(model.query.get, name="a"), api(model.query.filter(name="a").all)[0]]


def test_the_two_shapes_are_the_same(api: Api) -> None:
    api(Shop.create, **FULL)
    eager, lazy = both(api, Shop)
    assert plain(eager) == plain(lazy)
    assert eager == lazy


def test_absent_fields_read_as_their_defaults(api: Api, redis_client: redis.Redis) -> None:
    redis_client.hset("Node:a", "name", b"\xa1a")
    redis_client.sadd("$Class:Node", "Node:a")
    redis_client.sadd("$KeyF:Node:name:a", "Node:a")
    for found in both(api):
        assert (found.size, found.made, found.ratio, found.needed) == (7, [], None, "x")
        found.made.append(1)
    assert both(api)[0].made == []


def test_other_encodings_that_are_accepted(api: Api, redis_client: redis.Redis) -> None:
    api(Node.create, name="a")
    redis_client.hset(
        "Node:a",
        mapping={
            "size": msgpack.packb(5.0),
            "ratio": b"\xca\x41\x28\x00\x00",
            "price": msgpack.packb({"as_encodable": "11.75", "__Decimal__": True}),
        },
    )
    for found in both(api):
        assert (found.size, found.ratio, found.price) == (5, 10.5, Decimal("11.75"))
    redis_client.hset("Node:a", mapping={"size": msgpack.packb("12"), "ratio": b"\x04"})
    for found in both(api):
        assert (found.size, found.ratio) == (12, 4.0)
        assert type(found.ratio) is float


def test_a_stored_value_that_is_too_long_now_is_loaded(api: Api, redis_client: redis.Redis) -> None:
    api(Node.create, name="a", text="12345")
    redis_client.hset("Node:a", "text", msgpack.packb("123456789"))
    for found in both(api):
        assert found.text == "123456789"
        found.size = 1
        api(found.save)


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\x92\x01", b"\xa5ab", b"\x01\x02", b"\x81\xa1a\x01"]
)
def test_undecodable_bytes_hurt_only_their_field(
    api: Api, redis_client: redis.Redis, raw: bytes
) -> None:
    api(Node.create, name="a", size=1, text="t")
    redis_client.hset("Node:a", "size", raw)
    for found in both(api):
        assert found.text == "t"
        with pytest.raises(StoredDataError) as caught:
            _ = found.size
        assert "Node.size" in str(caught.value)
        assert "Node:a" in str(caught.value)
    assert len(api(Node.query.all)) == 1
    found.text = "u"
    api(found.save)
    found.size = 3
    api(found.save)
    assert both(api)[0].size == 3


def test_a_corrupt_key_field_does_not_hide_the_others(api: Api, redis_client: redis.Redis) -> None:
    api(Node.create, name="a", text="t")
    api(Node.create, name="b", text="t")
    redis_client.hset("Node:b", "name", b"\xc1")
    assert len(api(Node.query.all)) == 2
    assert api(Node.query.get, name="a").text == "t"
    (broken,) = [each for each in api(Node.query.all) if each._redis_key == "Node:b"]
    assert broken.pk == "Node:b"
    assert api(broken.delete) is True


def test_unknown_hash_fields_are_ignored(api: Api, redis_client: redis.Redis) -> None:
    api(Node.create, name="a", size=1)
    redis_client.hset(
        "Node:a",
        mapping={"delete": b"\xa1x", "_ttl": b"\x05", "old": b"\xa1o", "na\x00me": b"\xa1z"},
    )
    for found in both(api):
        assert found._ttl is None
        assert not hasattr(found, "old")
        found.size += 1
        api(found.save)
        api(found.save, update_fields=["size"])
    assert redis_client.hget("Node:a", "old") == b"\xa1o"
    assert api(found.delete) is True


def test_a_key_of_another_model_is_refused(api: Api) -> None:
    api(Shop.create, **FULL)
    with pytest.raises(QueryException, match="another model"):
        api(Node.query.get, redis_key="Shop:a")


def test_assigning_to_a_lazily_loaded_field(api: Api) -> None:
    api(Node.create, name="a", size=1)
    (found,) = api(Node.query.all)
    found.size = 5
    assert found.size == 5
    assert found._saved_field_values["size"] == 1


# Relationships -----------------------------------------------------------------------------------


class Person(Model):
    name = KeyField()
    friend = Relationship(model="self")
    boss = Relationship(model="Person")


def test_a_reference_is_read_once(api: Api, round_trips: Any) -> None:
    api(Person.create, name="b")
    api(Person.create, name="a", friend="Person:b")
    found = api(Person.query.get, name="a")
    assert found.friend.name == "b"
    with round_trips() as seen:
        assert found.friend is found.friend
    assert seen.sends == 0


def test_circular_references_load_and_save(api: Api, redis_client: redis.Redis) -> None:
    for name, friend in (("a", "b"), ("b", "c"), ("c", "a")):
        api(Person(name=name, friend=f"Person:{friend}", boss=f"Person:{name}").save)
    found = api(Person.query.get, name="a")
    assert found.friend == Person(name="b")
    assert found.boss == found
    api(found.save)
    for name in "abc":
        assert api(api(Person.query.get, name=name).delete) is True
    assert redis_client.keys("*") == []


def test_an_assigned_key_stays_text(api: Api) -> None:
    api(Person.create, name="b")
    person = api(Person.create, name="a")
    person.friend = "Person:b"
    api(person.save)
    assert person.friend == "Person:b"
    assert api(Person.query.get, name="a").friend.name == "b"


def test_loading_and_saving_keeps_the_reference(api: Api) -> None:
    api(Person.create, name="b")
    api(Person.create, name="a", friend="Person:b")
    for found in (api(Person.query.get, name="a"), api(Person.query.filter(name="a").all)[0]):
        api(found.save)
        api(found.save, update_fields=["friend"])
    assert api(Person.query.filter(friend="Person:b").all) == [Person(name="a")]


# Lists and dates ----------------------------------------------------------------------------


def test_a_capped_list_is_there_either_way(api: Api) -> None:
    class Diary(Model):
        name = KeyField()
        log = ListField(max_length=3)
        made = DatetimeField()

    moment = datetime(999, 1, 2, 3, 4, 5)
    api(Diary.create, name="a", log=["x", ("y", 1)], made=moment)
    for found in both(api, Diary):
        assert found.log == ["x", ("y", 1)]
        assert found.made == moment
        api(found.save)
    assert both(api, Diary)[1].log == ["x", ("y", 1)]


def test_a_reference_to_itself_means_the_class_it_stands_in(api: Api) -> None:
    def define() -> Any:
        class Twin(Model):
            name = KeyField()
            other = Relationship(model="self")
            named = Relationship(model="Twin")

        return Twin

    first, second = define(), define()

    class Child(first):  # type: ignore[misc, valid-type]
        pass

    assert (first.other.model, first.named.model) == (first, first)
    assert (second.other.model, second.named.model) == (second, second)
    assert Child.other.model is Child
    target = api(second.create, name="a")
    api(second.create, name="b", other=target, named=target)


def test_a_record_with_a_corrupt_key_field_can_be_shown_and_compared(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Node.create, name="a")
    redis_client.hset("Node:a", "name", b"\xc1")
    first, second = api(Node.query.all)[0], api(Node.query.all)[0]
    assert (str(first), repr(first)) == ("Node:a", "<Node Popoto object at Node:a>")
    assert first == second
    assert first != Node(name="b")
    assert len({first, second}) == 1
