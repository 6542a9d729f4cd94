"""Conditions of unusual size: long lists, long chains, deep nesting."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import reduce

import pytest

from popoto import IndexedField, IntField, KeyField, Model, Q, QueryException, SortedField
from tests.driver import Api, RoundTrips


class Item(Model):
    name = KeyField()
    cat = IndexedField()
    rank = SortedField(type=int)
    note = IntField()


def fill(count: int) -> None:
    Item.bulk_create(
        [Item(name=f"n{i:05d}", cat=f"c{i % 7}", rank=i, note=i % 50) for i in range(count)]
    )


@pytest.mark.slow(4)
def test_ten_thousand_values_in_a_list(api: Api) -> None:
    fill(5000)
    names = [f"n{i:05d}" for i in range(10_000)]
    assert len(api(Item.query.filter(name__in=names).all)) == 5000
    assert api(Item.query.filter(rank__in=list(range(10_000)), cat="c1").count) == 715
    assert api(Item.query.filter(name__in=names, limit=3).all)[2].name == "n00002"


@pytest.mark.slow(4)
def test_a_chain_of_a_thousand_alternatives(api: Api) -> None:
    fill(2000)
    plain = reduce(lambda left, right: left | right, [Q(note=i) for i in range(1000)])
    indexed = reduce(lambda left, right: left | right, [Q(name=f"n{i:05d}") for i in range(1000)])
    assert api(Item.query.filter(plain).count) == 2000
    assert api(Item.query.filter(indexed).count) == 1000
    assert len(api(Item.query.filter(indexed, cat="c1").all)) == 143


def test_a_chain_of_a_thousand_conditions(api: Api) -> None:
    fill(10)
    chain = reduce(lambda left, right: left & right, [Q(rank__lt=1000 + i) for i in range(1000)])
    assert api(Item.query.filter(chain).count) == 10


@pytest.mark.slow
def test_conditions_nested_beyond_reason_are_refused(api: Api) -> None:
    fill(10)
    deep = reduce(lambda inner, i: ~(inner & Q(rank__lt=100 + i)), range(500), Q(cat="c1"))
    assert api(Item.query.filter(deep).count) == 2
    deeper = reduce(lambda inner, i: ~(inner & Q(rank__lt=100 + i)), range(5000), Q(cat="c1"))
    with pytest.raises(QueryException, match="nested"):
        api(Item.query.filter(deeper).count)


class Pair(Model):
    left = KeyField(type=int)
    right = KeyField()
    cat = IndexedField()


def test_an_order_of_key_fields_reads_only_the_winners(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    Pair.bulk_create([Pair(left=i - 20, right=f"a-{i}", cat="x") for i in range(200)])
    ask = Pair.query.filter(cat="x", order_by="left", limit=3)
    api(ask.all)
    with round_trips() as seen:
        found = api(ask.all)
    assert [pair.left for pair in found] == [-20, -19, -18]
    assert seen.sends <= 2
    assert seen.commands["hmget"] + seen.commands["hget"] == 3
    backwards = Pair.query.filter(order_by=("-right", "left"), limit=2, cat="x")
    assert [pair.right for pair in api(backwards.all)] == ["a-99", "a-98"]


def test_keys_that_stand_for_several_values_are_ordered_by_what_is_stored(api: Api) -> None:
    for right in (None, "a:b", "A", "Z"):
        Pair.create(left=1, right=right, cat="x")
    Pair.create(left=2, right="None", cat="x")
    found = api(Pair.query.filter(cat="x", order_by="right", limit=4).all)
    assert [pair.right for pair in found] == [None, "A", "None", "Z"]
    Pair.create(left=None, right="q", cat="x")
    assert api(Pair.query.filter(order_by="left", limit=1).all)[0].left is None
