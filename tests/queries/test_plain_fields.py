"""Equality on fields without an index, alone and with everything else."""

from __future__ import annotations

import datetime
import logging
from decimal import Decimal
from typing import Any

import pytest

from popoto import (
    BooleanField,
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    FloatField,
    IntField,
    KeyField,
    ListField,
    Model,
    Q,
    SetField,
    StringField,
    TimeField,
    TupleField,
)
from tests.driver import Api
from tests.queries.shop import Product, codes, stock

UTC = datetime.UTC


class Every(Model):
    name = KeyField()
    i = IntField()
    f = FloatField()
    d = DecimalField()
    s = StringField()
    b = BooleanField()
    y = BytesField()
    l = ListField()  # noqa: E741
    m = DictField()
    e = SetField()
    t = TupleField()
    day = DateField()
    hour = TimeField()
    moment = DatetimeField()


VALUES: list[tuple[str, Any, list[Any]]] = [
    ("i", 3, [3, 3.0, "3", Decimal(3)]),
    ("i", -(2**63), [-(2**63)]),
    ("f", 0.5, [0.5, "0.5", Decimal("0.5")]),
    ("f", 0.0, [0, -0.0, False]),
    ("f", float("inf"), [float("inf"), "inf"]),
    ("d", Decimal("1.50"), [Decimal("1.5"), "1.500", 1.5]),
    ("d", Decimal(10), [10, Decimal("1E+1"), "10.0"]),
    ("s", "None", ["None"]),
    ("s", "", [""]),
    ("s", "é\n\x00:", ["é\n\x00:"]),
    ("b", False, [False, 0, "false", "0"]),
    ("y", b"\x00\xff", [b"\x00\xff"]),
    ("l", [1, [2, "x"]], [[1, [2, "x"]], (1, [2, "x"]), [1.0, [2, "x"]]]),
    ("m", {"a": 1, "b": [True]}, [{"b": [True], "a": 1}]),
    ("e", {1, "x"}, [{"x", 1}]),
    ("t", (1, (2, 3)), [(1, (2, 3))]),
    (
        "day",
        datetime.date(1, 2, 3),
        [datetime.date(1, 2, 3), datetime.datetime(1, 2, 3), "0001-02-03"],
    ),
    ("hour", datetime.time(1, 2, 3, 4), [datetime.time(1, 2, 3, 4)]),
    ("moment", datetime.datetime(1950, 2, 3), [datetime.datetime(1950, 2, 3)]),
    (
        "moment",
        datetime.datetime(2020, 1, 1, 12, tzinfo=UTC),
        [datetime.datetime(2020, 1, 1, 14, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))],
    ),
]


@pytest.mark.parametrize(("name", "value", "operands"), VALUES)
def test_equal_values_are_found(api: Api, name: str, value: Any, operands: list[Any]) -> None:
    api(Every.create, name="it", **{name: value})
    api(Every.create, name="null")
    for operand in operands:
        found = api(Every.query.filter(**{name: operand}).all)
        assert [each.name for each in found] == ["it"]
        assert getattr(found[0], name) == value
        assert api(Every.query.count, **{name: operand}) == 1
    assert [each.name for each in api(Every.query.filter(**{name: None}).all)] == ["null"]
    assert api(Every.query.filter(**{f"{name}__ne": operands[0]}).count) == 1


def test_nothing_equals_nan(api: Api) -> None:
    api(Every.create, name="a", f=float("nan"))
    assert api(Every.query.count, f=float("nan")) == 0
    assert api(Every.query.count, f__ne=float("nan")) == 1


def test_with_indexed_conditions_orders_limits_and_projections(api: Api) -> None:
    stock(12)
    query = Product.query
    assert codes(api(query.filter(note="note 1").all)) == [11, 1, 3, 5, 7, 9]
    assert codes(api(query.filter(rank=3, kind="odd").all)) == [11, 3, 7]
    assert codes(api(query.filter(rank=3, order_by="code", limit=1).all)) == [3]
    assert codes(api(query.filter(rank=3, order_by="-code", limit=1).all)) == [11]
    assert codes(api(query.filter(rank=3, price__gt=4).all)) == [7, 11]
    assert codes(api(query.filter(weight=2.5).all)) == [5]
    assert api(query.filter(rank=3, limit=2).values("code").all) == [{"code": 11}, {"code": 3}]
    assert api(query.filter(note="note 1", rank=1).count) == 3
    assert api(query.count, rank=None) == 0
    assert api(query.count, seen=None) == 12


def test_in_every_boolean_position(api: Api) -> None:
    stock(12)
    query = Product.query
    assert api(query.filter(Q(note="note 1") | Q(brand="a")).count) == 8
    assert api(query.filter(~Q(note="note 1")).count) == 6
    assert api(query.filter(Q(note="note 1") & Q(rank=1)).count) == 3
    assert api(query.filter(~(Q(note="note 1") & Q(rank=1))).count) == 9
    assert codes(api(query.filter(~Q(note="note 1") & ~Q(rank=0)).all)) == [10, 2, 6]


def test_filtering_on_a_plain_field_is_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    stock(2)
    with caplog.at_level(logging.DEBUG, logger="POPOTO.Query"):
        api(Product.query.filter(note="note 1").all)
    messages = [
        record.getMessage()
        for record in caplog.records
        if record.name == "POPOTO.Query" and record.levelno == logging.DEBUG
    ]
    assert any("Client-side filter" in message and "note" in message for message in messages)


def test_a_field_that_the_stored_record_lacks_counts_as_its_default(
    api: Api, redis_client: Any
) -> None:
    class Old(Model):
        name = KeyField()
        level = IntField(default=3)
        label = StringField()

    api(Old.create, name="a")
    redis_client.hdel("Old:a", "level", "label")
    assert api(Old.query.count, level=3) == 1
    assert api(Old.query.count, level=None) == 0
    assert api(Old.query.count, label=None) == 1
    assert api(Old.query.filter(level=3).all)[0].level == 3


def test_what_python_compares_is_read_also_where_it_is_not_asked_for(api: Api) -> None:
    """Equal Decimals can be stored in many forms, so that each record's value is looked at."""
    for name, value in {"a": "1.50", "b": "1.5", "c": "2", "d": "1.500"}.items():
        api(Every.create, name=name, d=Decimal(value), l=[name])
    query = Every.query.filter(d=Decimal("1.5"))
    assert api(query.values("name").all) == [{"name": "a"}, {"name": "b"}, {"name": "d"}]
    assert api(query.values("l").all) == [{"l": ["a"]}, {"l": ["b"]}, {"l": ["d"]}]
    assert api(query.keys) == [b"Every:a", b"Every:b", b"Every:d"]
    assert api(query.order_by("-name").limit(2).keys) == [b"Every:d", b"Every:b"]
    assert (api(query.count), api(query.exists), api(query.last).name) == (3, True, "d")
    assert api(query.offset(1).limit(1).values("name").all) == [{"name": "b"}]
    assert api(Every.query.filter(d=9).exists) is False
