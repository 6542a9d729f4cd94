"""Q objects and expressions: their algebra, their mixtures, how they are shown."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import pytest

import popoto
from popoto import CombinedExpression, Expression, Q, QueryException
from tests.driver import Api
from tests.queries.shop import Product, codes, stock

A = Q(brand="a")


def test_names_and_places() -> None:
    from popoto.models import expressions, q

    assert popoto.Q is q.Q
    assert popoto.Expression is expressions.Expression
    assert popoto.CombinedExpression is expressions.CombinedExpression


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (Q(), range(9)),
        (~Q(), range(9)),
        (Q() & A, [0, 3, 6]),
        (Q() | A, [0, 3, 6]),
        (A | Q(), [0, 3, 6]),
        (A & ~Q(), [0, 3, 6]),
        (~Q() | A, [0, 3, 6]),
        (~(Q() | A), [1, 2, 4, 5, 7, 8]),
        (Q() | Q(), range(9)),
        (~(Q() & Q()), range(9)),
        ((Q() | A) & (Q() | Q(kind="even")), [0, 6]),
        (A | (Q() | Q(kind="even")), [0, 2, 3, 4, 6, 8]),
        (Q(brand="a", kind="even"), [0, 6]),
        (A & Q(kind="even"), [0, 6]),
        (A | Q(kind="even"), [0, 2, 3, 4, 6, 8]),
        (~A, [1, 2, 4, 5, 7, 8]),
        (~~A, [0, 3, 6]),
        (~(A | Q(kind="even")), [1, 5, 7]),
        (~(A & Q(kind="even")), [1, 2, 3, 4, 5, 7, 8]),
        (A & ~Q(kind="even"), [3]),
        (A | ~Q(kind="even"), [0, 1, 3, 5, 6, 7]),
        ((A | Q(brand="b")) & Q(price__gt=3), [4, 6, 7]),
        (~Q(price__gt=3), [0, 1, 2, 3]),
        (~Q(price__between=(2, 6)) | Q(brand=None), [0, 1, 2, 5, 7, 8]),
        (Q(note="note 1") | Q(brand="b"), [1, 3, 4, 5, 7]),
        (~Q(note="note 1"), [0, 2, 4, 6, 8]),
        (Q(note="note 1") & Q(rank=1), [1, 5]),
        (~(~A | ~Q(note="note 1")), [3]),
        (A | ~(Q(kind="even") | Q(code=5)), [0, 1, 3, 6, 7]),
        (~(A | Q(kind="even")) | Q(code=4), [1, 4, 5, 7]),
        (A | (Q(kind="even") & Q(price__gt=3)) | Q(code=1), [0, 1, 3, 4, 6, 8]),
        (Q(brand__isnull=True) | Q(code__in=[1, 2]), [1, 2, 5, 8]),
        (Q(serial__startswith="s") & ~Q(serial__endswith="1"), [0, 2, 3, 4, 5, 6, 7, 8]),
    ],
    ids=repr,
)
def test_the_algebra(api: Api, q: Q, expected: Any) -> None:
    stock(9)
    builder = Product.query.filter(q)
    assert sorted(codes(api(builder.all))) == list(expected)
    assert api(builder.count) == len(expected)
    assert api(builder.exists) is bool(expected)
    assert api(Product.query.count, q) == len(expected)
    ordered = builder.order_by("-price").limit(2)
    assert codes(api(ordered.all)) == sorted(expected, reverse=True)[:2]
    assert api(ordered.count) == len(expected)
    rows = api(Product.query.filter(q, price__gte=1, values=("code",)).all)
    assert sorted(row["code"] for row in rows) == [code for code in expected if code >= 1]


def by_hand(connector: str, *children: Q, negated: bool = False) -> Q:
    """A tree that no operator has made."""
    made = Q()
    made.connector, made.children, made.negated = connector, list(children), negated
    return made


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (by_hand("OR", Q(), A), [0, 3, 6]),
        (by_hand("AND", A, ~Q()), [0, 3, 6]),
        (by_hand("OR", Q(), Q()), range(9)),
        (by_hand("OR", ~Q(), A, negated=True), [1, 2, 4, 5, 7, 8]),
    ],
    ids=repr,
)
def test_an_empty_q_says_nothing_in_a_tree_made_by_hand(api: Api, q: Q, expected: Any) -> None:
    stock(9)
    assert sorted(codes(api(Product.query.filter(q).all))) == list(expected)


def test_a_q_that_is_built_step_by_step_begins_empty(api: Api) -> None:
    stock(9)
    for found in (
        reduce(or_, [A, Q(kind="even")], Q()),
        Q() | (Product.brand == "a") | (Product.kind == "even"),
        (Product.brand == "a") | Q() | (Product.kind == "even"),
    ):
        assert sorted(codes(api(Product.query.filter(found).all))) == [0, 2, 3, 4, 6, 8]
    q = Q()
    q |= A
    assert q is not A
    assert api(Product.query.filter(q).delete) == 3
    assert api(Product.query.count) == 6


def test_leaving_out_what_an_empty_q_describes_leaves_out_nothing(api: Api) -> None:
    stock(9)
    for builder in (
        Product.query.exclude(),
        Product.query.exclude(Q()),
        Product.query.exclude(~Q()),
        Product.query.filter(~Q()),
        Product.query.filter(Q(), ~Q()),
    ):
        assert api(builder.count) == 9
    assert sorted(codes(api(Product.query.exclude(Q(), brand="a").all))) == [1, 2, 4, 5, 7, 8]
    assert sorted(codes(api(Product.query.exclude(Q() | A).all))) == [1, 2, 4, 5, 7, 8]


def test_attributes_and_texts() -> None:
    leaf = Q(kind="v")
    assert (leaf.filters, leaf.connector, leaf.children, leaf.negated) == (
        {"kind": "v"},
        "AND",
        [],
        False,
    )
    both = leaf | Q(brand="a")
    assert both.connector == "OR"
    assert len(both.children) == 2
    assert repr(leaf) == "Q(kind='v')"
    assert repr(both) == "(Q(kind='v') OR Q(brand='a'))"
    assert repr(leaf & Q(brand="a")) == "(Q(kind='v') AND Q(brand='a'))"
    assert repr(~leaf) == "~Q(kind='v')"
    assert repr(~both) == "~(Q(kind='v') OR Q(brand='a'))"


def test_expressions_are_data() -> None:
    for expression, operator, kwargs in (
        (Product.price == 4, "__eq", {"price": 4}),
        (Product.price != 4, "__ne", {"price__ne": 4}),
        (Product.price > 4, "__gt", {"price__gt": 4}),
        (Product.price >= 4, "__gte", {"price__gte": 4}),
        (Product.price < 4, "__lt", {"price__lt": 4}),
        (Product.price <= 4, "__lte", {"price__lte": 4}),
        (Product.price.between(1, 4), "__between", {"price__between": (1, 4)}),
    ):
        assert isinstance(expression, Expression)
        assert (expression.field_name, expression.operator) == ("price", operator)
        assert expression.to_kwargs() == kwargs
        assert expression.to_q().filters == kwargs
    assert repr(Product.price > 4.0) == "Expression(price__gt=4.0)"
    assert repr(Product.price == 4.0) == "Expression(price__eq=4.0)"
    combined = (Product.price > 1) & (Product.code == 2) | (Product.brand == "a")
    assert isinstance(combined, CombinedExpression)
    assert combined.connector == "OR"
    assert "AND" in repr(combined)
    assert "OR" in repr(combined)
    assert [each.field_name for each in combined.get_all_expressions()] == [
        *("price", "code", "brand")
    ]
    assert isinstance(combined.to_q(), Q)
    assert (Product.price == Product.price) is True
    assert (Product.price == Product.stock) is False
    assert (Product.price != Product.stock) is True
    assert len({Product.price, Product.stock, Product.price}) == 2


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((Product.price > 6,), [7, 8]),
        ((Product.price > 2, Product.brand == "a"), [3, 6]),
        (((Product.price > 6) | (Product.brand == "a"),), [0, 3, 6, 7, 8]),
        (((Product.price > 6) & (Product.kind == "odd"),), [7]),
        ((Product.price.between(2, 4),), [2, 3, 4]),
        ((Product.price != 3, Product.price < 5), [0, 1, 2, 4]),
        ((Product.brand != "a",), [1, 2, 4, 5, 7, 8]),
        ((Product.brand == None,), [2, 5, 8]),  # noqa: E711
        ((~(Product.price > 6),), [0, 1, 2, 3, 4, 5, 6]),
        ((~((Product.price > 6) | (Product.brand == "a")),), [1, 2, 4, 5]),
        (((Product.price > 6) & Q(kind="odd"),), [7]),
        ((Q(kind="odd") & (Product.price > 6),), [7]),
        ((Q(kind="odd") | (Product.price > 6),), [1, 3, 5, 7, 8]),
        (((Product.price > 6) | ~Q(kind="odd"),), [0, 2, 4, 6, 7, 8]),
        ((Product.note == "note 1", Product.rank != 1), [3, 7]),
    ],
    ids=repr,
)
def test_expressions_filter(api: Api, conditions: tuple[Any, ...], expected: list[int]) -> None:
    stock(9)
    found = api(Product.query.filter(*conditions).all)
    assert sorted(codes(found)) == expected
    assert api(Product.query.filter(*conditions).count) == len(expected)
    assert api(Product.query.count, *conditions) == len(expected)
    found = api(Product.query.filter(*conditions, price__lt=8).all)
    assert sorted(codes(found)) == [code for code in expected if code < 8]


def test_get_takes_conditions(api: Api) -> None:
    stock(9)
    assert api(Product.query.get, Product.price == 3).code == 3
    assert api(Product.query.get, Q(price=3) & Q(kind="odd")).code == 3
    assert api(Product.query.get, Product.price > 100) is None
    with pytest.raises(QueryException):
        api(Product.query.get, Product.price > 1)


def test_exclude(api: Api) -> None:
    stock(6)
    assert sorted(codes(api(Product.query.exclude(brand="a").all))) == [1, 2, 4, 5]
    found = api(Product.query.filter(kind="even").exclude(brand="a", price__lt=1).all)
    assert sorted(codes(found)) == [2, 4]
    assert sorted(codes(api(Product.query.exclude(Product.price > 2, kind="odd").all))) == [
        *(0, 1, 2, 4)
    ]


def test_connectors_have_the_names_of_1_6() -> None:
    assert (Q.AND, Q.OR) == ("AND", "OR")
    assert (Q(a=1) | Q(b=2)).connector == Q.OR
    either = CombinedExpression(Expression("a", "__eq", 1), Expression("b", "__eq", 2))
    assert either.connector == Q.AND
