"""A record as the body of a request: what is taken, and what is wrong told by field."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from popoto import (
    AutoKeyField,
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    GeoField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SetField,
    SortedField,
)


class Shop(Model):
    name = KeyField()


class Item(Model):
    sku = KeyField()
    price = DecimalField(null=False)
    stock = SortedField(type=int, default=0)
    kind: Literal["tea", "cup"] = "tea"
    due = DateField()
    made = DatetimeField(auto_now_add=True)
    tags = SetField()
    recent = ListField(max_length=2)
    picture = BytesField()
    place = GeoField()
    shop = Relationship(Shop)


class Note(Model):
    key = AutoKeyField()
    text: str | None = None


BODY: dict[str, Any] = {
    "sku": "a",
    "price": "1.50",
    "stock": 3,
    "kind": "cup",
    "due": "2026-03-01",
    "tags": ["x", "y"],
    "recent": ["r"],
    "picture": "AAE=",
    "place": [52.5, 13.4],
    "shop": "Shop:corner",
}


def problems(model: Any, body: Any) -> dict[Any, str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(body)
    return {error["loc"]: error["type"] for error in caught.value.errors()}


def test_an_object_becomes_a_record_that_is_not_stored() -> None:
    Shop.create(name="corner")
    item = TypeAdapter(Item).validate_python(BODY)
    assert isinstance(item, Item)
    assert Item.query.count() == 0
    item.save()
    stored = Item.query.get(sku="a")
    assert stored is not None
    assert (stored.price, stored.stock, stored.kind) == (Decimal("1.50"), 3, "cup")
    assert (stored.due, stored.tags, stored.recent) == (date(2026, 3, 1), {"x", "y"}, ["r"])
    assert (stored.picture, stored.place) == (b"\x00\x01", (52.5, 13.4))
    assert isinstance(stored.made, datetime)
    assert stored.shop == Shop(name="corner")


def test_what_a_record_shows_is_taken_again() -> None:
    item = Item.create(sku="a", price=1, due=date(2026, 3, 1), picture=b"\xff", tags={"x"})
    shown = item.to_dict(json=True)
    again = TypeAdapter(Item).validate_python(shown)
    assert again.to_dict(json=True) == shown
    assert TypeAdapter(Item).validate_python(item) is item


def test_all_that_is_wrong_is_told_by_field() -> None:
    body = {"sku": "a", "stock": "many", "kind": "pot", "titel": 1, "picture": 5}
    assert problems(Item, body) == {
        ("price",): "missing",
        ("stock",): "record_value",
        ("kind",): "record_value",
        ("picture",): "record_value",
        ("titel",): "record_unknown",
    }
    assert problems(Item, {"price": 1}) == {("sku",): "missing"}
    assert problems(Item, {"sku": None, "price": None}) == {
        ("sku",): "record_value",
        ("price",): "record_value",
    }
    assert problems(Item, "a") == {(): "record_type"}
    assert problems(Item, {"sku": "a", "price": 1, "shop": "corner"}) == {("shop",): "record_value"}


def test_a_key_that_makes_itself_need_not_be_given() -> None:
    assert TypeAdapter(Note).validate_python({"text": "x"}).key


def test_records_are_parts_of_other_models() -> None:
    class Order(BaseModel):
        items: list[Item]

    order = Order.model_validate({"items": [BODY]})
    assert order.items[0].sku == "a"
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"items": [{"sku": "a"}]})
    assert caught.value.errors()[0]["loc"] == ("items", 0, "price")


# FastAPI ---------------------------------------------------------------------------------------


def service() -> httpx.AsyncClient:
    app = FastAPI()

    @app.post("/items", status_code=201)
    async def create(item: Annotated[Item, Body()]) -> Item:
        await item.async_save()
        return item

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop")


async def test_a_request_has_a_record_as_its_body() -> None:
    answer = await service().post("/items", json=BODY)
    assert answer.status_code == 201
    assert answer.json()["price"] == "1.50"
    assert (await Item.query.async_get(sku="a")) is not None


async def test_a_wrong_body_is_answered_by_field() -> None:
    answer = await service().post("/items", json={"sku": "a", "price": "much"})
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", "price"]
    assert "Decimal" in error["msg"]
    assert await Item.query.async_count() == 0


async def test_the_description_says_what_a_body_needs() -> None:
    told = (await service().get("/openapi.json")).json()
    path = told["paths"]["/items"]["post"]
    body = path["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["sku", "price"]
    answer = path["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer["required"] == list(answer["properties"])


@pytest.mark.parametrize("option", ["auto_now", "auto_now_add"])
@pytest.mark.parametrize("kind", [DatetimeField, SortedField])
def test_what_a_save_fills_in_need_not_be_given(kind: Any, option: str) -> None:
    class Visit(Model):
        name = KeyField()
        at = kind(type=datetime, null=False, **{option: True})

    body = TypeAdapter(Visit).json_schema(mode="validation")
    assert "at" not in body.get("required", [])
    visit = TypeAdapter(Visit).validate_python({"name": "a"})
    visit.save()
    assert isinstance(visit.at, datetime)
