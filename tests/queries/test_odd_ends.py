"""The ends of what queries do: very large, unordered, infinite, and what explain() calls them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    DecimalField,
    FloatField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Q,
    QueryException,
    Relationship,
    SortedField,
)
from tests.driver import Api


class Maker(Model):
    name = KeyField()


class Item(Model):
    name = KeyField()
    kind = IndexedField()
    serial = SortedField(type=int, default=0)
    size = SortedField(type=float, default=0.0)
    weight = FloatField()
    cost = DecimalField()
    place = GeoField()
    maker = Relationship(Maker)
    tags = ListField()
    rank = IntField(default=0)


# Numbers that floats do not tell apart ----------------------------------------------------------

BIG = 2**53


@pytest.fixture
def close_numbers() -> None:
    for name, number in {"a": BIG + 1, "b": BIG, "c": BIG + 2, "d": BIG + 1}.items():
        Item.create(name=name, serial=number, kind="k")


@pytest.mark.usefixtures("close_numbers")
def test_an_order_that_scores_do_not_tell_is_told_by_the_values(api: Api) -> None:
    """In every way of asking for it: records, keys, the first, the last, a part."""
    query = Item.query.filter(kind="k").order_by("serial")
    assert [item.name for item in api(query.all)] == ["b", "a", "d", "c"]
    assert api(query.keys) == [b"Item:b", b"Item:a", b"Item:d", b"Item:c"]
    assert api(query.limit(2).keys) == [b"Item:b", b"Item:a"]
    assert api(query.offset(1).limit(2).keys) == [b"Item:a", b"Item:d"]
    assert api(query.first).name == "b"
    assert api(query.last).name == "c"
    assert api(Item.query.filter(kind="k").order_by("-serial").last).name == "b"
    assert [item.name for item in api(query.offset(2).all)] == ["d", "c"]


# Sums -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1.0, math.inf], math.inf),
        ([math.inf, -math.inf], math.nan),
        ([0.1] * 10, 1.0),
    ],
)
def test_sums_and_means_of_floats(api: Api, values: list[float], total: float) -> None:
    Item.bulk_create([Item(name=str(n), weight=value) for n, value in enumerate(values)])
    for found, expected in (
        (api(Item.query.filter().sum, "weight"), total),
        (api(Item.query.filter().avg, "weight"), total / len(values)),
    ):
        assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize(
    ("values", "total"),
    [
        (["1E+30", "1E-30"], "1000000000000000000000000000000.000000000000000000000000000001"),
        (["Infinity", "1"], "Infinity"),
        (["1E+999999", "1"], None),
        (["-1.5", "0.5"], "-1.0"),
    ],
)
def test_sums_of_decimals(api: Api, values: list[str], total: str | None) -> None:
    """With every digit, unless the two are so far apart that this would be a number of millions."""
    Item.bulk_create([Item(name=str(n), cost=Decimal(value)) for n, value in enumerate(values)])
    found = api(Item.query.filter().sum, "cost")
    if total is None:
        assert found == Decimal(values[0]) + Decimal(values[1])
    else:
        assert str(found) == total


def test_values_that_cannot_be_grouped_are_refused(api: Api) -> None:
    Item.create(name="a", rank=1, tags=["x"])
    assert api(Item.query.filter().group_count, "rank") == {1: 1}
    with pytest.raises(QueryException, match="not hashable"):
        api(Item.query.filter().group_count, "tags")


# Many places ------------------------------------------------------------------------------------


@pytest.mark.slow(1)
def test_distances_reach_every_page(api: Api) -> None:
    """More records than one call reads; each has the distance by which it was found."""
    count = 2100
    Item.bulk_create(
        [Item(name=f"{n:04}", place=(0.0, n * 0.001)) for n in range(count)], batch_size=3000
    )
    around = {"place": (0.0, 0.0), "place_radius": 500, "place_radius_unit": "km"}
    found = api(Item.query.filter(**around, place_with_distances=True).all)
    assert len(found) == count
    distances = [item._geo_distance for item in found]
    assert None not in distances
    assert distances == sorted(distances)
    assert distances[-1] == pytest.approx(111.2 * 2.099, rel=0.01)


# Explanations -----------------------------------------------------------------------------------


def test_explain_names_every_kind_of_condition_and_order(api: Api) -> None:
    def told(query: Any) -> str:
        return str(api(query.explain))

    by_python = Item.query.filter().computed_sort(lambda item: item.rank)
    assert "ordered by computed_sort" in told(by_python)
    assert "order: computed_sort, in Python" in told(by_python)
    assert "attached: maker" in told(Item.query.filter().select_related("maker"))
    near = told(Item.query.filter(place=(1.0, 2.0), place_radius=5, place_radius_unit="km"))
    assert "within 5 km of (1.0, 2.0) in $GeoF:Item:place" in near
    assert "order: distance, nearest first" in near
    texts = told(Item.query.filter(kind__startswith="ab"))
    assert "prefix 'ab' among the texts of $Values:Item:kind" in texts
    plain = told(Item.query.filter(rank=3))
    assert "records whose stored rank is one of" in plain
    nothing = api(Item.query.filter(kind="k").limit(0).explain)
    assert (nothing.commands, nothing.round_trips) == (0, 0)


# Small ends -------------------------------------------------------------------------------------


def test_existence_with_a_window(api: Api) -> None:
    for name in "ab":
        api(Item.create, name=name)
    assert api(Item.query.filter().limit(0).exists) is False
    assert api(Item.query.filter().offset(1).exists) is True
    assert api(Item.query.filter().offset(2).exists) is False


def test_a_query_without_conditions_is_itself(api: Api) -> None:
    api(Item.create, name="a")
    assert [item.name for item in api(Item.query.filter(kind=None).filter().all)] == ["a"]
    with pytest.raises(QueryException, match="values_list needs"):
        Item.query.filter().values_list()
    with pytest.raises(QueryException):
        api(Item.query.filter().order_by(5).all)


def test_conditions_on_keys_in_q(api: Api, redis_client: redis.Redis) -> None:
    api(Item.create, name="a", kind="k")
    api(Item.create, name="b", kind="l")
    either = Q(kind="k") | Q(name="b")
    assert {item.name for item in api(Item.query.filter(either).all)} == {"a", "b"}
