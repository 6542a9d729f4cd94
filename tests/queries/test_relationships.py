"""References: values, resolving, lookups through them, dangling ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    Relationship,
    SortedField,
    StringField,
)
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class City(Model):
    name = KeyField()


class Person(Model):
    name = KeyField()
    tag = IndexedField()
    age = SortedField(type=int, partition_by="town")
    town = IndexedField()
    rank = SortedField(type=int, default=0)
    note = StringField()
    home = Relationship(City)


class Member(Model):
    number = KeyField(type=int)
    person = Relationship(model=Person)
    second = Relationship("Person")
    level = IntField()


class Node(Model):
    name = KeyField()
    next = Relationship("self")


def people(api: Api) -> dict[str, Person]:
    city = api(City.create, name="rome")
    return {
        name: api(
            Person.create,
            name=name,
            tag=tag,
            town="x",
            age=age,
            rank=age,
            note=name,
            home=city if name == "ann" else None,
        )
        for name, tag, age in (("ann", "red", 10), ("bob", "blue", 20), ("cid", "red", 30))
    }


def members(api: Api) -> dict[str, Person]:
    found = people(api)
    for number, name in enumerate(("ann", "ann", "bob", "cid", None)):
        api(Member.create, number=number, person=found[name] if name else None, level=number % 2)
    return found


def numbers(found: list[Member]) -> list[int]:
    return sorted(member.number for member in found)


def test_states(api: Api, redis_client: redis.Redis) -> None:
    ann = people(api)["ann"]
    member = api(Member.create, number=1, person=ann)
    assert member.person is ann
    listed = api(Member.query.all)[0]
    assert listed.person == "Person:ann"
    assert api(Member.query.filter(number=1).all)[0].person == "Person:ann"
    assert api(Member.query.get, number=1).person == ann
    assert type(api(Member.query.get, number=1, person=ann).person) is Person
    assert api(Member.query.get_many, ["Member:1"])[0].person.note == "ann"
    assert redis_client.smembers("$RelationshipF:Member:person:Person:ann") == {b"Member:1"}
    listed.person = "Person:bob"
    api(listed.save)
    assert listed.person == "Person:bob"
    assert not redis_client.exists("$RelationshipF:Member:person:Person:ann")
    listed.person = None
    api(listed.save)
    assert redis_client.keys("$RelationshipF:Member:*") == []
    assert api(Member.query.get, number=1).person is None


def test_what_is_no_reference(api: Api) -> None:
    city = api(City.create, name="c")
    for wrong in (5, "nocolon", city):
        with pytest.raises(ModelException, match="person"):
            api(Member.create, number=1, person=wrong)
    with pytest.raises(ModelException, match="person"):
        api(Member.create, number=1, person=Person())
    member = api(Member.create, number=1)
    member.person = "nocolon"
    with pytest.raises(ModelException):
        api(member.save)
    valid = Member._meta.fields["person"].is_valid
    field = Member._meta.fields["person"]
    assert valid(field, "Person:x") is True
    assert valid(field, "nocolon") is False
    assert valid(field, None) is True


def test_a_reference_survives_saves_that_do_not_touch_it(api: Api) -> None:
    people(api)
    api(Member.create, number=1, person="Person:ann", level=1)
    for load in (
        lambda: api(Member.query.get, number=1),
        lambda: api(Member.query.all)[0],
        lambda: api(Member.query.get_many, ["Member:1"])[0],
    ):
        member = load()
        member.level = 2
        api(member.save)
        assert api(Member.query.count, person="Person:ann") == 1


def test_dangling_references_resolve_to_none_and_stay_stored(
    api: Api, redis_client: redis.Redis
) -> None:
    found = members(api)
    api(found["ann"].delete)
    member = api(Member.query.get, number=0)
    if not api.is_async:
        assert member.person is None
    member.level = 7
    api(member.save)
    assert redis_client.hget("Member:0", "person") == b"\xaaPerson:ann"
    assert numbers(api(Member.query.filter(person=found["ann"]).all)) == [0, 1]


def test_circles(api: Api, redis_client: redis.Redis) -> None:
    nodes = [api(Node.create, name=name) for name in "abc"]
    for node, target in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        node.next = target
        api(node.save)
    loaded = api(Node.query.get, name="a")
    if not api.is_async:
        assert loaded.next.next.next == loaded
    nodes[0].next = nodes[0]
    api(nodes[0].save)
    assert [each.name for each in api(Node.query.filter(next=nodes[0]).all)] == ["a", "c"]
    for node in nodes:
        api(node.delete)
    assert redis_client.dbsize() == 0


def test_own_lookups(api: Api, round_trips: Counter) -> None:
    found = members(api)
    query = Member.query
    for operand in (found["ann"], "Person:ann", found["ann"].db_key):
        assert numbers(api(query.filter(person=operand).all)) == [0, 1]
    with round_trips() as seen:
        assert api(query.count, person=found["ann"]) == 2
    assert seen.sends == 1
    assert numbers(api(query.filter(person=None).all)) == [4]
    assert numbers(api(query.filter(person__isnull=True).all)) == [4]
    assert numbers(api(query.filter(person__isnull=False).all)) == [0, 1, 2, 3]
    assert numbers(api(query.filter(person__in=[found["ann"], "Person:bob"]).all)) == [0, 1, 2]
    assert numbers(api(query.filter(person__in=[None, found["cid"]]).all)) == [3, 4]
    assert numbers(api(query.filter(person__ne=found["ann"]).all)) == [2, 3, 4]
    assert numbers(api(query.filter(person=found["ann"], level=1).all)) == [1]
    assert numbers(api(query.filter(Member.person == found["bob"]).all)) == [2]
    assert numbers(api(query.filter(Q(person=found["ann"]) | Q(person=found["cid"])).all)) == [
        *(0, 1, 3)
    ]
    assert api(query.get, person=found["bob"]).number == 2


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"person__name": "ann"}, [0, 1]),
        ({"person__name__in": ["ann", "cid"]}, [0, 1, 3]),
        ({"person__name__startswith": "b"}, [2]),
        ({"person__tag": "red"}, [0, 1, 3]),
        ({"person__tag__isnull": False}, [0, 1, 2, 3]),
        ({"person__tag__in": ["blue"]}, [2]),
        ({"person__rank__gt": 15}, [2, 3]),
        ({"person__rank__between": (5, 20)}, [0, 1, 2]),
        ({"person__age__gt": 15, "person__town": "x"}, [2, 3]),
        ({"person__tag": "red", "person__rank__lt": 20}, [0, 1]),
        ({"person__tag": "blue", "person__rank__lt": 20}, []),
        ({"person__note": "cid"}, [3]),
        ({"person__home__name": "rome"}, [0, 1]),
        ({"person__home": "City:rome"}, [0, 1]),
        ({"person__tag": "red", "level": 1}, [1, 3]),
        ({"person__tag": "nothing"}, []),
    ],
    ids=repr,
)
def test_lookups_through_a_reference(
    api: Api, round_trips: Counter, lookups: dict[str, Any], expected: list[int]
) -> None:
    members(api)
    with round_trips() as seen:
        assert numbers(api(Member.query.filter(**lookups).all)) == expected
    assert seen.sends <= 3
    assert api(Member.query.count, **lookups) == len(expected)
    assert numbers(api(Member.query.exclude(**lookups).all)) == sorted(
        {0, 1, 2, 3, 4} - set(expected)
    )


def test_wrong_lookups_through_a_reference(api: Api) -> None:
    for lookups in (
        {"person__colour": 1},
        {"person__rank__startswith": "x"},
        {"person__": 1},
        {"person__age__gt": 1},
        {"person__home__size": 3},
    ):
        with pytest.raises(QueryException, match=next(iter(lookups)).removesuffix("__")):
            api(Member.query.filter(**lookups).all)


def test_related_records_come_along(api: Api, round_trips: Counter) -> None:
    members(api)
    with round_trips() as seen:
        found = api(Member.query.filter(person__isnull=False).select_related("person__home").all)
    assert seen.sends == 3
    with round_trips() as seen:
        assert [member.person.name for member in found] == ["ann", "ann", "bob", "cid"]
        assert type(found[0].person.home) is City
        assert found[0].person.home.name == "rome"
        assert found[0].person is found[1].person
    assert seen.sends == 0
    with pytest.raises(QueryException, match="level"):
        api(Member.query.filter().select_related("level").all)


def test_one_round_trip_and_one_for_the_first_access(api: Api, round_trips: Counter) -> None:
    members(api)
    for read in (
        lambda: api(Member.query.get, number=0),
        lambda: api(Member.query.get, number=0, level=0),
        lambda: api(Member.query.get, "Member:0"),
        lambda: api(Member.query.get, Q(level=0), person="Person:ann"),
        lambda: api(Member.query.get_many, ["Member:0", "Member:x"], skip_none=True)[0],
    ):
        with round_trips() as seen:
            member = read()
        assert seen.sends == (2 if api.is_async else 1)
        with round_trips() as seen:
            assert member.person.name == "ann"
            assert member.person.name == "ann"
        assert seen.sends == (0 if api.is_async else 1)


@pytest.mark.parametrize(
    ("model", "name", "relationships"),
    [(City, "name", "none"), (Member, "level", "person, second"), (Member, "us", "person, second")],
)
def test_what_is_no_relationship_is_told_with_those_there_are(
    api: Api, model: type[Model], name: str, relationships: str
) -> None:
    people(api)
    api(Member.create, number=1)
    with pytest.raises(QueryException) as caught:
        api(model.query.filter().select_related(name).all)
    assert str(caught.value) == (
        f"{model.__name__} has no Relationship {name!r}; its relationships are: {relationships}"
    )


def test_what_is_no_relationship_is_told_also_where_nothing_is_found(api: Api) -> None:
    for name in ("level", "us", "level__home"):
        with pytest.raises(QueryException, match="Member has no Relationship"):
            api(Member.query.filter(number=7).select_related(name).all)
    assert api(Member.query.filter(number=7).select_related("person__home").all) == []


@pytest.mark.parametrize(
    "condition",
    [
        Q(person__tag="red"),
        ~Q(person__tag="red"),
        ~Q(number=1) & Q(person__tag="red"),
        Q(number=1) | ~(Q(number=2) & Q(person__tag="red")),
    ],
    ids=repr,
)
def test_a_wrong_key_of_the_related_model_is_named_however_deep_it_is_asked_for(
    api: Api, redis_client: redis.Redis, condition: Q
) -> None:
    redis_client.set("$IndexF:Person:tag:red", "foreign")
    with pytest.raises(QueryException) as caught:
        api(Member.query.filter(condition).all)
    assert str(caught.value).startswith(
        "Member.person: Person cannot be queried: '$IndexF:Person:tag:red' is a string"
    )


def test_a_refreshed_reference_is_the_stored_one(api: Api) -> None:
    people(api)
    api(Member.create, number=1, person="Person:ann")
    member = Member(number=1, person="Person:bob", level=5)
    api(member.save, update_fields=["level"])
    assert member.to_dict()["person"] == "Person:bob"
    api(member.refresh)
    assert member.to_dict()["person"] == "Person:ann"
    api(member.save)
    assert api(Member.query.count, person="Person:ann", level=5) == 1


def test_a_key_that_was_assigned_is_saved_also_where_its_record_is_missing(
    api: Api, redis_client: redis.Redis
) -> None:
    member = Member(number=1, person="Person:nobody")
    assert api(member.related, "person") is None
    assert member.person is None
    api(member.save)
    assert redis_client.hget("Member:1", "person") == b"\xadPerson:nobody"
    assert api(Member.query.count, person="Person:nobody") == 1


def test_a_related_record_that_is_missing_stays_a_key(api: Api) -> None:
    people(api)
    for number, name in enumerate(("ann", "nobody", "bob")):
        api(Member.create, number=number, person=f"Person:{name}")
    found = api(Member.query.filter().select_related("person__home").all)
    assert [member.to_dict()["person"] for member in found] == [
        "Person:ann",
        "Person:nobody",
        "Person:bob",
    ]
    assert [getattr(member.person, "name", None) for member in found] == ["ann", None, "bob"]
    found = api(Member.query.filter(number=1).select_related("person__home").all)
    assert [member.person for member in found] == [None]
    api(found[0].save)
    assert api(Member.query.count, person="Person:nobody") == 1


def test_what_was_read_by_an_access_is_the_record_from_then_on(
    api: Api, round_trips: Counter
) -> None:
    members(api)
    (member,) = api(Member.query.filter(number=0).all)
    assert member.person.name == "ann"
    with round_trips() as seen:
        person = api(member.related, "person")
    assert seen.sends == 0
    assert type(person) is Person
    assert type(member.person) is Person


def test_a_reference_is_not_read_to_be_formatted(api: Api, round_trips: Counter) -> None:
    formatted: list[object] = []

    class Noted(Relationship):
        def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
            formatted.append(field_value)
            return field_value

    class Pass(Model):
        number = KeyField(type=int)
        person = Noted(Person)

    api(Pass.create, number=0)
    formatted.clear()
    with round_trips() as seen:
        api(Pass.create, number=1, person="Person:ann")
    assert (seen.sends, formatted) == (1, [])
    assert api(Pass.query.count, person="Person:ann") == 1


def test_a_saved_reference_gives_way_to_another_writer_s(api: Api) -> None:
    """What a save learns of the stored record it shows, unless it was changed here as well."""
    ann = api(Person.create, name="ann", town="x", age=1, home="City:rome")
    other = api(Person.query.filter(name="ann").all)[0]
    other.home, other.tag = "City:oslo", "theirs"
    api(other.save)
    ann.tag = "mine"
    api(ann.save)
    assert ann.to_dict()["home"] == "City:oslo"
    assert api(Person.query.filter(home="City:oslo", tag="mine").count) == 1
