"""Operands: what they were when a query was written, and numbers of other types than a field's."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Q,
    SortedField,
)
from popoto.exceptions import QueryException
from tests.driver import Api


class Lot(Model):
    number = KeyField(type=int)
    kind = IndexedField()
    place = SortedField(type=int, partition_by="kind")
    rank = SortedField(type=int, default=0)
    size = IntField()
    tags = ListField()


@pytest.fixture(autouse=True)
def lots() -> None:
    for number in range(6):
        Lot.create(number=number, kind="abc"[number % 3], place=number, rank=number, tags=[number])


def numbers(api: Api, builder: Any) -> list[int]:
    return [lot.number for lot in api(builder.order_by("number").all)]


def as_view(values: str) -> Iterable[str]:
    return dict.fromkeys(values).keys()


@pytest.mark.parametrize(
    "several", [list, tuple, set, frozenset, deque, iter, as_view], ids=lambda each: each.__name__
)
def test_several_values_are_several_in_whatever_they_come(
    api: Api, several: Callable[[str], Iterable[str]]
) -> None:
    """Partitions too are told by them, and a query may run twice."""
    builder = Lot.query.filter(kind__in=several("ab"), place__gte=1)
    assert numbers(api, builder) == numbers(api, builder) == [1, 3, 4]
    assert api(builder.count) == 3


def test_a_range_is_several_values(api: Api) -> None:
    assert numbers(api, Lot.query.filter(rank__in=range(1, 3))) == [1, 2]


@pytest.mark.parametrize("make", [Lot.query.filter, lambda **kw: Lot.query.filter(Q(**kw))])
def test_what_is_changed_later_does_not_change_a_query(api: Api, make: Callable[..., Any]) -> None:
    kinds, tags, names = ["a"], [1], {"a": 1}
    queries = [make(kind__in=kinds), make(tags=tags), make(kind__in=names.keys())]
    before = [numbers(api, query) for query in queries]
    kinds.append("b")
    tags.append(2)
    names["b"] = 2
    assert [numbers(api, query) for query in queries] == before == [[0, 3], [1], [0, 3]]


@pytest.mark.parametrize("equal", [3, 3.0, "3", Decimal(3), Decimal("3.00"), Decimal("3E+0")])
def test_integers_in_order_equal_whole_numbers_of_any_type(api: Api, equal: Any) -> None:
    assert numbers(api, Lot.query.filter(rank=equal)) == [3]
    assert numbers(api, Lot.query.filter(rank__ne=equal)) == [0, 1, 2, 4, 5]
    assert numbers(api, Lot.query.filter(rank__in=[equal, Decimal("4.5")])) == [3]
    assert numbers(api, Lot.query.filter(rank__between=(equal, equal))) == [3]


@pytest.mark.parametrize("fraction", [3.5, Decimal("3.5"), Decimal("3.00000000000000000000000001")])
def test_fractions_bound_integers_and_equal_none(api: Api, fraction: Any) -> None:
    assert numbers(api, Lot.query.filter(rank=fraction)) == []
    assert numbers(api, Lot.query.filter(rank__ne=fraction)) == [0, 1, 2, 3, 4, 5]
    assert numbers(api, Lot.query.filter(rank__gt=fraction)) == [4, 5]
    assert numbers(api, Lot.query.filter(rank__lte=fraction)) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["short", "long" * 20])
def test_both_zeros_are_one_place_in_the_order(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    """Servers keep the sign of zero, unless all keys of a sorted set are short."""

    class Level(Model):
        name = KeyField()
        value = SortedField()

    for number, value in enumerate((0.0, -0.0, 0.0, -0.0, 1.0, -1.0)):
        api(Level.create, name=f"{number}{name}", value=value)
    if name != "short":
        assert "-0.0" in str(redis_client.zrange("$SortF:Level:value", 0, -1, withscores=True))
    for limit in range(1, 7):
        found = api(Level.query.order_by("-value").limit(limit).all)
        assert [int(level.name[0]) for level in found] == [4, 0, 1, 2, 3, 5][:limit]
        found = api(Level.query.order_by("value").limit(limit).all)
        assert [int(level.name[0]) for level in found] == [5, 0, 1, 2, 3, 4][:limit]


class Ticket(Model):
    code = AutoKeyField()
    seat = IntField()


class Strip(Model):
    code = AutoKeyField(auto_uuid_length=8)
    name = KeyField()


class Named(Model):
    code = KeyField()
    name = KeyField(default="a")


OF_NO_RECORD = [5, True, 1.5, Decimal("1.5"), date(2024, 1, 2), uuid.UUID(int=4)]


@pytest.mark.parametrize("model", [Ticket, Strip, Named])
@pytest.mark.parametrize("operand", OF_NO_RECORD)
def test_what_is_no_text_is_no_key_of_text_made_or_given(
    api: Api, model: type[Model], operand: Any
) -> None:
    api(
        model.create,
        **({"code": "a"} if model is Named else {} if model is Ticket else {"name": "a"}),
    )
    query = model.query
    for lookups in ({"code": operand}, {"code__in": [operand]}):
        assert api(query.count, **lookups) == 0
        assert api(query.filter(**lookups).all) == []
        assert api(query.get, **lookups) is None
        assert api(query.count, ~Q(**lookups)) == 1
    assert api(query.count, code__ne=operand) == 1


@pytest.mark.parametrize("model", [Ticket, Strip, Named])
@pytest.mark.parametrize("operand", [[1], {}, b"x", object()])
def test_what_has_no_text_is_refused_by_name(api: Api, model: type[Model], operand: Any) -> None:
    for lookups in ({"code": operand}, {"code__in": [operand]}, {"code__ne": operand}):
        with pytest.raises(QueryException, match=rf"{model.__name__}\.code"):
            api(model.query.filter(**lookups).all)
