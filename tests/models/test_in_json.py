"""A record is JSON: by `to_dict(json=True)`, from FastAPI, and through Pydantic."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from popoto import (
    BytesField,
    DataFrameField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Field,
    FloatField,
    GeoField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    Relationship,
    SetField,
    StringField,
    TimeField,
    TupleField,
)
from tests.driver import Api


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Shop(Model):
    name = KeyField()
    founded = DateField()


class Order(Model):
    number = KeyField()
    placed = DatetimeField()
    due = DateField()
    at = TimeField()
    total = DecimalField()
    weight = FloatField()
    count = IntField()
    tags = SetField()
    sizes = TupleField()
    seal = BytesField()
    notes = DictField()
    recent = ListField(max_length=2)
    token = Field(type=uuid.UUID)
    takes = Field(type=timedelta)
    color = Field(type=Color)
    place = GeoField()
    shop = Relationship(model=Shop)
    _secret = StringField(default="hidden")

    @property
    def computed(self) -> str:
        return "not a field"


VALUES: dict[str, Any] = {
    "number": "7",
    "placed": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "due": date(2026, 3, 2),
    "at": time(12, 30),
    "total": Decimal("9.90"),
    "weight": 0.5,
    "count": 2**62,
    "tags": {"b", "a"},
    "sizes": (1, Decimal("2.50")),
    "seal": b"\x00\xff",
    "notes": {"paid": Decimal(1), 2: [date(2026, 3, 1), {"x"}], (1, 2): None},
    "recent": ["b", date(2026, 3, 1)],
    "token": uuid.UUID(int=7),
    "takes": timedelta(hours=1),
    "color": Color.RED,
    "place": (52.5, 13.4),
}

SHOWN: dict[str, Any] = {
    "number": "7",
    "placed": "2026-03-01T12:00:00+00:00",
    "due": "2026-03-02",
    "at": "12:30:00",
    "total": "9.90",
    "weight": 0.5,
    "count": 2**62,
    "tags": ["a", "b"],
    "sizes": [1, "2.50"],
    "seal": "AP8=",
    "notes": {"paid": "1", "2": ["2026-03-01", ["x"]], "[1, 2]": None},
    "recent": ["b", "2026-03-01"],
    "token": "00000000-0000-0000-0000-000000000007",
    "takes": "1:00:00",
    "color": "red",
    "place": [52.5, 13.4],
    "shop": "Shop:s",
}


@pytest.fixture
def order() -> Order:
    return Order.create(**VALUES, shop=Shop.create(name="s", founded=date(2000, 1, 1)))


def test_every_type_has_a_form(api: Api, order: Order) -> None:
    for each in (order, api(Order.query.get, number="7")):
        shown = each.to_dict(json=True)
        assert shown == SHOWN
        assert json.loads(json.dumps(shown)) == shown
        assert dict(each) == shown
    assert order.to_dict()["total"] == Decimal("9.90")


def test_nothing_is_null_and_so_is_no_position() -> None:
    shown = Order(number="8").to_dict(json=True)
    assert shown["place"] is None
    assert (shown["due"], shown["tags"], shown["recent"]) == (None, None, [])


def test_what_is_shown_makes_the_record_again(order: Order) -> None:
    shown = order.to_dict(json=True, exclude=["seal", "notes", "recent", "sizes"])
    again = Order(**shown)
    again.save(recreate=True)
    plain = again.to_dict(exclude=["seal", "notes", "recent", "sizes"])
    assert plain == order.to_dict(exclude=["seal", "notes", "recent", "sizes"])


def test_include_exclude_and_relationships_hold(order: Order) -> None:
    assert order.to_dict(include=["total"], json=True) == {"total": "9.90"}
    nested = order.to_dict(include=["shop"], relationships=True, json=True)
    assert nested == {"shop": {"name": "s", "founded": "2000-01-01"}}


class Loose(Model):
    name = KeyField()
    parts = DictField()
    frame = DataFrameField()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (Size.SMALL, 1),
        (frozenset({2, 10}), [2, 10]),
        ({1, "a"}, ["a", 1]),
        (np.int64(7), 7),
        (np.float64(0.5), 0.5),
        (np.array([1.5, 2]), [1.5, 2.0]),
        (datetime(2026, 1, 1), "2026-01-01T00:00:00"),
    ],
)
def test_values_inside_others_have_the_same_forms(value: object, shown: object) -> None:
    loose = Loose(name="a", parts={"x": [value]})
    assert loose.to_dict(json=True)["parts"] == {"x": [shown]}


def test_a_frame_is_its_columns_and_rows() -> None:
    loose = Loose(name="a", frame=pd.DataFrame({"n": [1, 2]}))
    shown = {"columns": ["n"], "index": [0, 1], "data": [[1], [2]]}
    assert loose.to_dict(json=True)["frame"] == shown


@pytest.mark.parametrize("value", [object(), {1: "a", "1": "b"}])
def test_what_has_no_form_is_refused_by_name(value: object) -> None:
    with pytest.raises(ModelException, match=r"Loose\.parts: .*exclude="):
        Loose(name="a", parts={"x": value}).to_dict(json=True)


# ── FastAPI and Pydantic ─────────────────────────────────────────────────────


class OrderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    number: str
    total: Decimal
    recent: list[str | date]


class Page(BaseModel):
    orders: list[Order]


def service() -> httpx.AsyncClient:
    app = FastAPI()

    @app.get("/bare")
    def bare():  # type: ignore[no-untyped-def]
        return Order.query.get(number="7")

    @app.get("/list")
    async def several():  # type: ignore[no-untyped-def]
        return {"orders": await Order.query.async_all()}

    @app.get("/annotated")
    def annotated() -> Order:
        return Order.query.get(number="7")

    @app.get("/annotated-list", response_model=list[Order])
    def annotated_list() -> Any:
        return Order.query.all()

    @app.get("/page")
    def page() -> Page:
        return Page(orders=list(Order.query.all()))

    @app.get("/out", response_model=OrderOut)
    def out() -> Any:
        return Order.query.get(number="7")

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop")


async def test_fastapi_returns_records_however_it_is_told(order: Order) -> None:
    client = service()
    for path, expected in {
        "/bare": SHOWN,
        "/list": {"orders": [SHOWN]},
        "/annotated": SHOWN,
        "/annotated-list": [SHOWN],
        "/page": {"orders": [SHOWN]},
        "/out": {"number": "7", "total": "9.90", "recent": ["b", "2026-03-01"]},
    }.items():
        answer = await client.get(path)
        assert (path, answer.status_code, answer.json()) == (path, 200, expected)


async def test_fastapi_describes_records(order: Order) -> None:
    answer = await service().get("/openapi.json")
    told = answer.json()["paths"]["/annotated-list"]["get"]["responses"]["200"]["content"]
    described = told["application/json"]["schema"]["items"]
    assert described["title"] == "Order"
    assert list(described["properties"]) == list(SHOWN)
    assert described["properties"]["number"] == {"type": "string"}
    due = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    assert described["properties"]["due"] == due


def test_pydantic_reads_attributes_and_keeps_records(order: Order) -> None:
    assert OrderOut.model_validate(order).recent == ["b", date(2026, 3, 1)]
    page = Page(orders=[order])
    assert page.orders[0] is order
    assert page.model_dump()["orders"][0] is order
    assert json.loads(page.model_dump_json()) == {"orders": [SHOWN]}
    with pytest.raises(ValueError, match=r"a record \(Order\) or an object"):
        Page(orders=["7"])  # type: ignore[list-item]
