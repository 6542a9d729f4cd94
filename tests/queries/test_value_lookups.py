"""Lookups of key and indexed fields, by value and by text."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    BooleanField,
    Field,
    IndexedField,
    IntField,
    KeyField,
    Model,
    SortedField,
    UniqueField,
)
from popoto.fields.shortcuts import AutoKeyField
from tests.driver import Api
from tests.queries.shop import Product, Token, codes, stock


class Person(Model):
    name = KeyField()
    year = KeyField(type=int)
    nick = IndexedField()


class Odd(Model):
    """Keys and indexes of every scalar type."""

    number = KeyField(type=int)
    ratio = KeyField(type=float)
    exact = KeyField(type=Decimal)
    flag = KeyField(type=bool)
    day = IndexedField(type=datetime.date)
    moment = IndexedField(type=datetime.datetime)
    hour = IndexedField(type=datetime.time)
    level = IndexedField(type=int)
    amount = IndexedField(type=Decimal)


@pytest.fixture
def odd() -> Odd:
    return Odd.create(
        number=5,
        ratio=1.0,
        exact=Decimal("1.50"),
        flag=True,
        day=datetime.date(2020, 1, 2),
        moment=datetime.datetime(2020, 1, 2, 3, 4, 5),
        hour=datetime.time(3, 4, 5, 6),
        level=7,
        amount=Decimal(1),
    )


@pytest.mark.parametrize(
    "lookup",
    [
        {"number": 5},
        {"number": 5.0},
        {"number": "5"},
        {"number": Decimal(5)},
        {"ratio": 1},
        {"ratio": "1"},
        {"exact": Decimal("1.5")},
        {"exact": "1.5"},
        {"exact": 1.5},
        {"flag": 1},
        {"flag": "true"},
        {"day": datetime.date(2020, 1, 2)},
        {"day": datetime.datetime(2020, 1, 2)},
        {"moment": datetime.datetime(2020, 1, 2, 3, 4, 5)},
        {"hour": datetime.time(3, 4, 5, 6)},
        {"level": "7"},
        {"level": 7.0},
        {"amount": "1.0"},
        {"amount": Decimal("1.000")},
        {"amount": 1},
        {"number__in": ["4", 5.0]},
        {"amount__in": (Decimal("1.0"), None)},
        {"level__ne": 8},
        {"flag__ne": False},
    ],
    ids=repr,
)
def test_operands_are_compared_as_values_of_the_fields_type(
    api: Api, odd: Odd, lookup: dict[str, Any]
) -> None:
    assert api(Odd.query.filter(**lookup).all) == [odd]
    assert api(Odd.query.count, **lookup) == 1
    assert api(Odd.query.get, **lookup) == odd


@pytest.mark.parametrize(
    "lookup",
    [
        {"number": 6},
        {"flag": False},
        {"exact": "1.51"},
        {"level__ne": 7.0},
        {"amount__in": ["1.01"]},
    ],
    ids=repr,
)
def test_other_values_do_not_match(api: Api, odd: Odd, lookup: dict[str, Any]) -> None:
    assert api(Odd.query.filter(**lookup).all) == []
    assert api(Odd.query.count, **lookup) == 0


@pytest.mark.parametrize("name", ["name", "nick"])
def test_null_and_the_text_none_are_two_values(api: Api, name: str) -> None:
    other = "nick" if name == "name" else "name"
    for year, value in enumerate((None, "None", "x", "{&#58;}", ":")):
        api(Person.create, **{name: value, other: "same", "year": year})
    query = Person.query

    def years(**lookups: Any) -> list[int]:
        builder = query.filter(**lookups).order_by("year")
        found = api(builder.all)
        assert api(builder.count) == len(found)
        return [person.year for person in found]

    assert years(**{name: None}) == [0]
    assert years(**{f"{name}__isnull": True}) == [0]
    assert years(**{f"{name}__isnull": False}) == [1, 2, 3, 4]
    assert years(**{name: "None"}) == [1]
    assert years(**{name: "{&#58;}"}) == [3]
    assert years(**{name: ":"}) == [4]
    assert years(**{f"{name}__in": [None, "x"]}) == [0, 2]
    assert years(**{f"{name}__in": iter(["None", ":"])}) == [1, 4]
    assert years(**{f"{name}__in": []}) == []
    assert years(**{f"{name}__startswith": ""}) == [1, 2, 3, 4]
    assert years(**{f"{name}__ne": "x"}) == [0, 1, 3, 4]
    assert years(**{f"{name}__ne": None}) == [1, 2, 3, 4]


HOSTILE = [
    "a*",
    "a-b",
    "a/b",
    "a//b",
    "?",
    "[ab]",
    "b",
    "a",
    "ab",
    "",
    ":",
    "a:b",
    "^",
    "é",
    "A",
    "'",
]


@pytest.mark.parametrize("name", ["name", "nick"])
def test_text_lookups_take_the_operand_literally(api: Api, name: str) -> None:
    other = "nick" if name == "name" else "name"
    for number, text in enumerate(HOSTILE):
        api(Person.create, **{name: text, other: "x", "year": number})
    for operand in (*HOSTILE, "*", "zz", "{", "/", "\\"):
        for lookup, test in (
            ("startswith", str.startswith),
            ("endswith", str.endswith),
            ("contains", str.__contains__),
        ):
            expected = {text for text in HOSTILE if test(text, operand)}
            parameter = {f"{name}__{lookup}": operand}
            found = {getattr(person, name) for person in api(Person.query.filter(**parameter).all)}
            assert (lookup, operand, found) == (lookup, operand, expected)
            assert api(Person.query.count, **parameter) == len(expected)


def test_text_lookups_never_meet_keys_of_others(api: Api, redis_client: redis.Redis) -> None:
    class Per(Model):
        name = KeyField()

    stock(4)
    api(Per.create, name="son")
    api(Person.create, name="x", year=1, nick="son")
    for number in range(50):
        redis_client.set(f"Per:foreign{number}", "x")
        redis_client.sadd(f"$KeyF:Per:name:foreign{number}", "x")
    api(
        Product.create,
        code=99,
        kind="even",
        serial="s99",
        price=1.0,
        stock=1,
        made=datetime.date(2026, 1, 1),
        brand="a",
        recent=[1, 2],
    )
    assert [each.name for each in api(Per.query.filter(name__contains="").all)] == ["son"]
    assert api(Per.query.count, name__startswith="foreign") == 0
    assert codes(api(Product.query.filter(kind__startswith="ev").all)) == [0, 2, 99]
    assert codes(api(Product.query.filter(serial__endswith="9").all)) == [99]


def test_several_lookups_of_one_field_must_all_hold(api: Api) -> None:
    for number, nick in enumerate(["abc", "abd", "xbc"]):
        api(Person.create, name="p", year=number, nick=nick)
    found = api(Person.query.filter(nick__startswith="ab", nick__endswith="c").all)
    assert [person.year for person in found] == [0]
    found = api(Person.query.filter(nick="abc").filter(nick="abd").all)
    assert found == []
    found = api(Person.query.filter(nick__in=["abc", "abd"]).filter(nick__in=["abd", "x"]).all)
    assert [person.year for person in found] == [1]


def test_changed_values_are_found_under_the_new_value_only(api: Api) -> None:
    person = api(Person.create, name="p", year=1, nick=None)
    loaded = api(Person.query.filter(nick=None).all)[0]
    loaded.nick = "new"
    api(loaded.save)
    assert api(Person.query.count, nick=None) == 0
    assert api(Person.query.count, nick="new") == 1
    assert api(Person.query.count, nick__startswith="n") == 1
    person.nick = "other"
    api(person.save)
    assert api(Person.query.count, nick="new") == 0
    assert api(Person.query.count, nick__contains="e") == 1
    api(person.delete)
    assert api(Person.query.count, nick__contains="") == 0


def test_auto_keys_have_every_lookup(api: Api) -> None:
    tokens = [api(Token.create, label=str(number)) for number in range(3)]
    first = tokens[0].token
    for lookups, expected in (
        ({"token": first}, 1),
        ({"token__startswith": first[:31]}, 1),
        ({"token__endswith": first[1:]}, 1),
        ({"token__contains": first[5:20]}, 1),
        ({"token__in": [first, tokens[1].token]}, 2),
        ({"token__isnull": False}, 3),
        ({"token__isnull": True}, 0),
        ({"token": "*"}, 0),
        ({"token__startswith": "*"}, 0),
        ({"token__startswith": ""}, 3),
        ({"token__ne": first}, 2),
    ):
        assert (lookups, api(Token.query.count, **lookups)) == (lookups, expected)
        assert len(api(Token.query.filter(**lookups).all)) == expected


def test_an_auto_key_beside_another_key(api: Api) -> None:
    class Pair(Model):
        auto = AutoKeyField()
        name = KeyField()

    pair = api(Pair.create, name="n")
    assert api(Pair.query.get, auto=pair.auto) == pair
    assert api(Pair.query.get, auto="other") is None


def test_declared_lookups() -> None:
    five = {"f", "f__isnull", "f__in", "f__startswith", "f__endswith"}

    class Declared(Model):
        key = KeyField()
        f = IndexedField()
        u = UniqueField()
        s = SortedField()

    declared = Declared._meta.filter_query_params_by_field
    assert declared["f"] >= five
    assert declared["s"] >= {"s", "s__gt", "s__gte", "s__lt", "s__lte", "s__between"}
    assert declared["key"] >= {"key", "key__in", "key__startswith", "key__endswith"}
    assert Declared._meta.indexed_field_names == {"f", "u"}


def test_a_plain_field_with_indexed_or_unique(api: Api) -> None:
    class Plain(Model):
        key = KeyField()
        indexed = Field(type=str, indexed=True)
        unique = Field(type=str, unique=True)
        flag = BooleanField()
        number = IntField(indexed=True)

    api(Plain.create, key="a", indexed="x", unique="u", flag=True, number=3)
    api(Plain.create, key="b", indexed="y", unique=None, flag=False, number=4)
    assert [each.key for each in api(Plain.query.filter(indexed__in=["x"]).all)] == ["a"]
    assert [each.key for each in api(Plain.query.filter(unique__isnull=True).all)] == ["b"]
    assert [each.key for each in api(Plain.query.filter(number__in=[4]).all)] == ["b"]
    assert Plain._meta.indexed_field_names >= {"indexed", "unique"}


@pytest.mark.parametrize("kind", [int, float, Decimal, bool, datetime.date])
def test_text_lookups_of_other_types_compare_the_values_text(api: Api, kind: type) -> None:
    values: dict[type, Any] = {
        int: 123,
        float: 12.5,
        Decimal: Decimal("12.50"),
        bool: True,
        datetime.date: datetime.date(2020, 1, 2),
    }

    class Texts(Model):
        key = KeyField()
        value = IndexedField(type=kind)

    api(Texts.create, key="a", value=values[kind])
    api(Texts.create, key="b", value=None)
    text = str(values[kind])
    assert api(Texts.query.count, value__startswith=text[:2]) == 1
    assert api(Texts.query.count, value__endswith=text[-2:]) == 1
    assert api(Texts.query.count, value__contains=text[1:3]) == 1
    assert api(Texts.query.count, value__contains="zz") == 0
    assert len(api(Texts.query.filter(value__contains="").all)) == 1


def test_the_text_none_goes_although_null_stays_in_its_set(
    api: Api, redis_client: redis.Redis
) -> None:
    class Tagged(Model):
        name = KeyField()
        tag = IndexedField(null=True)

    api(Tagged.create, name="null", tag=None)
    texts = [api(Tagged.create, name=name, tag="None") for name in "ab"]
    for text, left in zip(texts, ([b"None"], []), strict=True):
        text.tag = "other"
        api(text.save)
        found = redis_client.zrange("$Values:Tagged:tag", 0, -1)
        assert [each for each in found if each != b"other"] == left
    assert api(Tagged.query.count, tag__isnull=True) == 1
