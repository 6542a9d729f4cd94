"""Sorted fields that may be null: no entry, lookups of its own, and the last place in any order."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, Q, QueryException, SortedField, StringField
from popoto.fields.field import Field
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Guest(Model):
    name = KeyField()
    age = SortedField(type=int, null=True)
    team = IndexedField()
    points = SortedField(null=True, partition_by="team")
    note = StringField()


AGES = {"a": 3, "b": None, "c": 1, "d": 2, "e": None, "f": 5, "g": 0}


@pytest.fixture
def guests(api: Api) -> None:
    for name, age in AGES.items():
        team = "x" if age else None
        api(Guest.create, name=name, age=age, team=team, points=age, note="odd" if age else None)


def names(found: Iterable[Guest]) -> str:
    return "".join(guest.name for guest in found)


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (Q(age__isnull=True), "be"),
        (Q(age__isnull=False), "gcdaf"),
        (~Q(age__isnull=True), "acdfg"),
        (~Q(age__isnull=False), "be"),
        (Q(age=None), "be"),
        (Guest.age == None, "be"),  # noqa: E711 - an expression
        (Guest.age != None, "gcdaf"),  # noqa: E711
        (Q(age__ne=None), "gcdaf"),
        (Q(age__ne=3), "gcdfbe"),
        (Q(age__ne=3, age__gt=0), "cdf"),
        (Q(age__in=[3, None]), "abe"),
        (Q(age__in=[None]), "be"),
        (Q(age__gte=0), "gcdaf"),
        (Q(age__lt=2), "gc"),
        (Q(age__between=(-5, 2)), "gcd"),
        (Q(age__isnull=False, age__gt=2), "af"),
        (Q(age__isnull=True, age__gt=2), ""),
        (Q(age__isnull=True) | Q(age=5), "bef"),
        (Q(age__isnull=True, name="b"), "b"),
        (Q(age__isnull=False, note="odd"), "cdaf"),
        (~Q(age__gt=2), "bcdeg"),
        (Q(team=None, points__isnull=True), "be"),
        (Q(team=None, points__isnull=False), "g"),
        (Q(team="x", points__isnull=True), ""),
        (Q(team="x", points__ne=1), "daf"),
        (Q(team__in=["x", None], points__isnull=True), "be"),
        (Q(team__in=["x", None], points=None), "be"),
        (Q(team=None) & (Q(points__isnull=True) | Q(points=0)), "beg"),
        (Q(team=None) & ~Q(points__isnull=True), "g"),
        (Q(team__in=[], points__isnull=True), ""),
    ],
    ids=repr,
)
def test_conditions_on_null(api: Api, round_trips: Counter, conditions: Any, expected: str) -> None:
    builder = Guest.query.filter(conditions)
    assert names(api(builder.all)) == expected
    with round_trips() as seen:
        assert api(builder.count) == len(expected)
        assert api(builder.exists) is bool(expected)
        assert names(api(builder.limit(2).all)) == expected[:2]
        assert len(api(builder.offset(1).keys)) == max(len(expected) - 1, 0)
    assert seen.sends <= 4


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("order", "nulls", "expected"),
    [
        ("age", None, "gcdafbe"),
        ("age", "last", "gcdafbe"),
        ("age", "first", "begcdaf"),
        ("-age", None, "fadcgbe"),
        ("-age", "last", "fadcgbe"),
        ("-age", "first", "befadcg"),
        # Of a field that is not sorted they come first, and last descending.
        ("note", None, "begacdf"),
        ("-note", None, "acdfbeg"),
        ("note", "last", "acdfbeg"),
        ("-note", "first", "begacdf"),
        # In Python, since the partition is left open.
        ("points", None, "gcdafbe"),
        ("-points", "first", "befadcg"),
    ],
)
def test_null_has_its_place_in_every_order(
    api: Api, round_trips: Counter, order: str, nulls: Any, expected: str
) -> None:
    query = Guest.query.order_by(order, nulls=nulls)
    with round_trips() as seen:
        assert names(api(query.all)) == expected
        assert (api(query.first).name, api(query.last).name) == (expected[0], expected[-1])
    assert seen.sends <= (3 if order.endswith("age") else 6)
    for number in range(len(expected) + 1):
        assert names(api(query.limit(number).all)) == expected[:number]
        assert names(api(query.offset(number).limit(3).all)) == expected[number : number + 3]
        assert names(query[number : number + 2]) == expected[number : number + 2]
    assert [key.decode()[-1] for key in api(query.keys)] == list(expected)
    assert names(query.iterator(chunk_size=2)) == expected
    assert "".join(row["name"] for row in api(query.values("name").all)) == expected
    some = Guest.query.filter(name__in=list("abcg")).order_by(order, nulls=nulls)
    assert names(api(some.all)) == "".join(name for name in expected if name in "abcg")
    assert names(api(some.limit(3).all)) == names(api(some.all))[:3]


def test_an_explanation_says_where_nulls_were_asked_to_be(api: Api) -> None:
    for nulls, text in (("first", "-age with nulls first, along"), (None, "-age, along")):
        assert api(Guest.query.order_by("-age", nulls=nulls).explain).order.startswith(text)
    explained = api(Guest.query.order_by("note", "age", nulls="last").explain)
    assert explained.order == "note, age with nulls last, in Python"


@pytest.mark.usefixtures("guests")
def test_several_fields_put_their_nulls_where_each_has_them_or_all_where_they_are_asked_to(
    api: Api,
) -> None:
    assert names(api(Guest.query.order_by("note", "-age").all)) == "gbefadc"
    assert names(api(Guest.query.order_by("note", "-age", nulls="first").all)) == "begfadc"
    assert names(api(Guest.query.order_by("-note", "age", nulls="last").all)) == "cdafgbe"


@pytest.mark.usefixtures("guests")
def test_another_order_forgets_where_nulls_were_asked_to_be(api: Api) -> None:
    query = Guest.query.order_by("age", nulls="first")
    assert names(api(query.order_by("age").all)) == "gcdafbe"
    assert names(api(query.filter(order_by="age").all)) == "gcdafbe"
    assert names(api(query.filter(name__ne="a").all)) == "begcdf"


@pytest.mark.parametrize(
    ("arguments", "nulls", "hint"),
    [
        (("age",), "end", "nulls come 'first' or 'last', not 'end'"),
        (("age",), True, "nulls come 'first' or 'last', not True"),
        ((), "last", "order_by takes a field name"),
    ],
)
def test_nulls_come_first_or_last_of_a_field(
    api: Api, arguments: tuple[str, ...], nulls: Any, hint: str
) -> None:
    for method in (Guest.query.order_by(*arguments, nulls=nulls).all, Guest.query.order_by):
        with pytest.raises(QueryException, match=hint):
            api(method) if method != Guest.query.order_by else api(
                method(*arguments, nulls=nulls).count
            )


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("lookups", "hints"),
    [
        ({"age__isnull": 1}, ["age__isnull", "True or False"]),
        ({"age__gt": None}, ["age__gt=None", "no place in the order", "int"]),
        ({"age__between": (None, 3)}, ["no place in the order"]),
        ({"points__isnull": True}, ["points", "team"]),
        ({"points": None}, ["points", "team"]),
    ],
    ids=repr,
)
def test_what_null_cannot_be_asked(
    api: Api, round_trips: Counter, lookups: dict[str, Any], hints: list[str]
) -> None:
    with round_trips() as seen, pytest.raises(QueryException) as caught:
        api(Guest.query.filter(**lookups).all)
    assert all(hint in str(caught.value) for hint in hints), caught.value
    assert seen.sends == 0


class Task(Model):
    name = KeyField()
    due = SortedField(type=datetime.date, null=True)
    cost = SortedField(type=Decimal, null=True)
    size = SortedField(type=int, null=True)

    class Meta:
        order_by = "-due"


@pytest.fixture
def tasks(api: Api) -> None:
    days = [datetime.date(2026, 1, 1), None, datetime.date(2027, 1, 1), None]
    for name, day in zip("dcba", days, strict=True):
        api(Task.create, name=name, due=day, cost=day and day.year, size=day and 2**60 + day.year)


@pytest.mark.usefixtures("tasks")
def test_the_order_of_a_model_has_nulls_last_too(api: Api) -> None:
    assert [task.name for task in api(Task.query.all)] == ["b", "d", "a", "c"]


@pytest.mark.usefixtures("tasks")
def test_what_is_null_leaves_the_order_to_the_model(api: Api) -> None:
    api(Task.create, name="e", due=datetime.date(2028, 1, 1))
    api(Task.create, name="f", due=datetime.date(2025, 1, 1))
    assert [task.name for task in api(Task.query.filter(cost=None).all)] == ["e", "f", "a", "c"]
    assert [task.name for task in api(Task.query.filter(cost__ne=None).all)] == ["d", "b"]


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize("name", ["cost", "size"])
def test_values_that_doubles_cannot_tell_apart_have_nulls_last(api: Api, name: str) -> None:
    def found(order: str, nulls: Any = None) -> str:
        return "".join(task.name for task in api(Task.query.order_by(order, nulls=nulls).all))

    assert found(name) == "dbac"
    assert found(f"-{name}") == "bdac"
    assert found(f"-{name}", "first") == "acbd"
    assert api(Task.query.count, **{f"{name}__isnull": True}) == 2


@pytest.mark.usefixtures("guests")
def test_the_least_and_the_greatest_are_no_nulls(api: Api, round_trips: Counter) -> None:
    with round_trips() as seen:
        assert (api(Guest.query.min, "age"), api(Guest.query.max, "age")) == (0, 5)
    assert (seen.sends, seen.commands["hmget"]) == (2, 2)
    assert api(Guest.query.order_by("age", nulls="first").min, "age") == 0
    assert api(Guest.query.filter(age=None).min, "age") is None
    assert api(Guest.query.filter(team="x").max, "points") == 5
    assert (api(Guest.query.sum, "age"), api(Guest.query.avg, "age")) == (11, 2.2)
    assert api(Guest.query.group_count, "age") == {None: 2, 0: 1, 1: 1, 2: 1, 3: 1, 5: 1}


def test_the_first_of_many_are_found_along_the_index(api: Api, round_trips: Counter) -> None:
    many = [Guest(name=str(number), age=number % 50 or None) for number in range(1500)]
    api(Guest.bulk_create, many)
    ages = sorted(guest.age for guest in many if guest.age is not None)
    for order, expected in (("age", ages[:40]), ("-age", ages[:-41:-1])):
        with round_trips() as seen:
            found = api(Guest.query.order_by(order).limit(40).all)
        assert [guest.age for guest in found] == expected
        # Neither the class set nor the scores of all are read.
        assert seen.commands["smembers"] == seen.commands["zmscore"] == 0
    wanted = [*ages, *[None] * 30]
    assert [guest.age for guest in api(Guest.query.order_by("age").all)] == wanted
    found = api(Guest.query.order_by("age").offset(1465).all)
    assert [guest.age for guest in found] == wanted[1465:]
    null = sorted(guest.name for guest in many if guest.age is None)
    with round_trips() as seen:
        assert [guest.name for guest in api(Guest.query.filter(age=None).all)] == null
        first = api(Guest.query.order_by("age", nulls="first").limit(3).all)
        assert [guest.name for guest in first] == null[:3]
    assert seen.sends == 2


@pytest.mark.usefixtures("guests")
def test_records_that_are_gone_are_neither_null_nor_counted(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.delete("Guest:b", "Guest:a")
    assert names(api(Guest.query.order_by("age", nulls="first").limit(2).all)) == "eg"
    assert api(Guest.query.count, age__isnull=True) == 1
    assert names(api(Guest.query.order_by("age").all)) == "gcdfe"
    assert names(api(Guest.query.order_by("age", nulls="first").all)) == "egcdf"
    assert names(api(Guest.query.filter(age__isnull=True).all)) == "e"


class Aged(Model):
    name = KeyField()
    age = SortedField(type=int, null=True, default=7)


def test_a_record_from_before_the_field_has_its_default(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Aged.create, name="a", age=None)
    api(Aged.create, name="b", age=3)
    api(Aged.create, name="c")
    redis_client.hdel("Aged:c", "age")
    redis_client.zrem("$SortF:Aged:age", "Aged:c")
    query = Aged.query
    assert [each.name for each in api(query.filter(age__isnull=True).all)] == ["a"]
    assert [each.name for each in api(query.filter(age__isnull=False).all)] == ["b", "c"]
    assert (api(query.count, age=None), api(query.count, age__ne=None)) == (1, 2)


class Both(SortedFieldMixin[Any], IndexedFieldMixin[Any], Field[Any]):
    """Has an order, and sets of equal values."""


class Ranked(Model):
    name = KeyField()
    rank = Both(type=int, null=True)
    place = SortedField(type=int, null=True, unique=True)


def test_null_is_in_no_set_of_values_either(api: Api, redis_client: redis.Redis) -> None:
    for number, rank in enumerate([None, 5, None]):
        api(Ranked.create, name=str(number), rank=rank, place=rank)
    query = Ranked.query
    assert api(query.count, rank__isnull=True) == api(query.count, rank=None) == 2
    assert api(query.count, rank__isnull=False) == api(query.count, rank__startswith="5") == 1
    assert redis_client.keys("*None*") == []
    with pytest.raises(Exception, match="already exists"):
        api(Ranked.create, name="9", place=5)
    assert api(Ranked.query.count, place=None) == 2
