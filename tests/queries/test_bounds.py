"""How far queries go at once: each bound is met exactly, and one more is still right."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import AutoKeyField, DecimalField, FloatField, IndexedField, KeyField, Model, Q
from popoto.exceptions import QueryException
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Leaf(Model):
    number = AutoKeyField()
    tree = KeyField()
    kind = IndexedField()
    size = DecimalField()
    width = FloatField()


# Records by their keys --------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "is_direct"), [(1, True), (1000, True), (1001, False)])
def test_up_to_a_thousand_records_are_looked_up_by_key(
    api: Api, count: int, *, is_direct: bool
) -> None:
    numbers = [f"{number:032}" for number in range(count)]
    plan = str(api(Leaf.query.filter(number__in=numbers, tree="t").explain))
    assert (f"{count} record(s) by key" in plan) is is_direct
    assert ("record(s) by key" in plan) is is_direct


def test_a_single_key_field_without_an_index_is_looked_up_by_key(api: Api) -> None:
    class Alone(Model):
        number = AutoKeyField()

    plan = api(Alone.query.filter(number="1" * 32).explain)
    assert plan.operands[-1] == "  1 record(s) by key"
    found = api(Alone.create)
    assert api(Alone.query.filter(number=found.number).all) == [found]


def test_combinations_of_keys_are_counted_together(api: Api) -> None:
    def plan(first: int, second: int) -> str:
        numbers = [f"{number:032}" for number in range(first)]
        trees = [str(number) for number in range(second)]
        return str(api(Leaf.query.filter(number__in=numbers, tree__in=trees).explain))

    assert "1000 record(s) by key" in plan(40, 25)
    assert "record(s) by key" not in plan(41, 25)


@pytest.mark.parametrize("count", [999, 1000, 1001, 2001])
def test_get_many_reads_a_thousand_records_at_a_time(
    api: Api, round_trips: Counter, count: int
) -> None:
    ends = [Leaf.create(tree=tree, width=1.0) for tree in "ab"]
    keys = [f"Leaf:{number:032}:t" for number in range(count - 2)]
    keys = [ends[0].db_key.redis_key, *keys, ends[1].db_key.redis_key]
    with round_trips() as seen:
        found = api(Leaf.query.get_many, keys)
    assert (found[0], found[-1], len(found)) == (ends[0], ends[1], count)
    assert found.count(None) == count - 2
    assert seen.sends == -(-count // 1000)


# Pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "sends"), [(2000, 1), (2001, 2), (4000, 2), (4001, 3)])
def test_two_thousand_records_make_a_page(
    api: Api, redis_client: redis.Redis, round_trips: Counter, count: int, sends: int
) -> None:
    keys = [f"Leaf:{number:05}:t" for number in range(count)]
    with redis_client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hset(key, mapping={"number": b"\xa1" + key[5:6].encode(), "tree": b"\xa1t"})
        pipeline.sadd("$Class:Leaf", *keys)
        pipeline.execute()
    with round_trips() as seen:
        rows = api(Leaf.query.filter().values("number", "tree").all)
    assert (len(rows), seen.sends) == (count, sends)
    with round_trips() as seen:
        assert api(Leaf.query.filter(width=None).count) == count
    assert seen.sends == 1
    with round_trips() as seen:
        assert api(Leaf.query.filter(size__ne=1).count) == count
    assert seen.sends == sends


# Conditions in each other -----------------------------------------------------------------------


def nested(levels: int, innermost: Q) -> Q:
    for _ in range(levels):
        innermost = ~(Q(kind="a") & innermost)
    return innermost


def test_a_thousand_conditions_in_each_other_are_refused_and_one_less_is_not(api: Api) -> None:
    api(Leaf.query.filter(nested(999, Q(kind="b"))).explain)
    with pytest.raises(QueryException, match=r"^Leaf: conditions are nested too deeply"):
        api(Leaf.query.filter(nested(1000, Q(kind="b"))).explain)


def test_what_python_has_to_check_may_not_be_nested_as_deeply(api: Api) -> None:
    api(Leaf.create, tree="t", size=1, kind="a")
    with pytest.raises(QueryException, match=r"^Leaf: conditions that Python has to check are"):
        api(Leaf.query.filter(nested(900, Q(size=2))).all)


# Sums -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([], "0"),
        (["0", "-0"], "0"),
        (["0.5", "-0.50"], "0.00"),
        (["-1", "-2"], "-3"),
        (["1E+10000", "1"], "1" + "0" * 9999 + "1"),
        (["1E+10001", "1"], "1.000000000000000000000000000E+10001"),
        (["-Infinity", "3", "-Infinity"], "-Infinity"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_decimals_are_added_exactly_up_to_ten_thousand_digits(
    api: Api, values: list[str], total: str
) -> None:
    for number, value in enumerate(values):
        api(Leaf.create, tree=str(number), size=Decimal(value))
    assert str(api(Leaf.query.sum, "size")) == total


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.0, 2.0], 1.5),
        ([0.1] * 3, 0.1),
        ([1e308, 1e308], 1e308),
        ([1.0, math.inf], math.inf),
        ([None, 3.0], 3.0),
    ],
    ids=str,
)
def test_means_of_floats_are_those_of_the_exact_sum(
    api: Api, values: list[float], mean: float
) -> None:
    for number, value in enumerate(values):
        api(Leaf.create, tree=str(number), width=value)
    assert api(Leaf.query.avg, "width") == mean


def extremes(api: Api, query: Any) -> tuple[Any, Any]:
    return api(query.min, "width"), api(query.max, "width")


def test_extremes_take_no_notice_of_nulls(api: Api) -> None:
    for number, width in enumerate([None, 2.0, -3.0, None]):
        api(Leaf.create, tree=str(number), width=width)
    assert extremes(api, Leaf.query) == (-3.0, 2.0)
    assert extremes(api, Leaf.query.filter().offset(9)) == (None, None)
