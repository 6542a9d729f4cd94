"""Conditions of unusual size: long lists, long chains, deep nesting."""

from __future__ import annotations

from functools import reduce

import pytest

from popoto import IndexedField, IntField, KeyField, Model, Q, QueryException, SortedField
from tests.driver import Api


class Item(Model):
    name = KeyField()
    cat = IndexedField()
    rank = SortedField(type=int)
    note = IntField()


def fill(count: int) -> None:
    Item.bulk_create(
        [Item(name=f"n{i:05d}", cat=f"c{i % 7}", rank=i, note=i % 50) for i in range(count)]
    )


@pytest.mark.timeout(20)
def test_ten_thousand_values_in_a_list(api: Api) -> None:
    fill(5000)
    names = [f"n{i:05d}" for i in range(10_000)]
    assert len(api(Item.query.filter(name__in=names).all)) == 5000
    assert api(Item.query.filter(rank__in=list(range(10_000)), cat="c1").count) == 715
    assert api(Item.query.filter(name__in=names, limit=3).all)[2].name == "n00002"


@pytest.mark.timeout(20)
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


def test_conditions_nested_beyond_reason_are_refused(api: Api) -> None:
    fill(10)
    deep = reduce(lambda inner, i: ~(inner & Q(rank__lt=100 + i)), range(60), Q(cat="c1"))
    assert api(Item.query.filter(deep).count) == 2
    deeper = reduce(lambda inner, i: ~(inner & Q(rank__lt=100 + i)), range(5000), Q(cat="c1"))
    with pytest.raises(QueryException, match="nested"):
        api(Item.query.filter(deeper).count)
