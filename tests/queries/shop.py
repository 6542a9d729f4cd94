"""The models that most query tests ask about."""

from __future__ import annotations

import datetime

from popoto import (
    AutoKeyField,
    DatetimeField,
    FloatField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
    SortedKeyField,
    StringField,
    UniqueField,
)


class Owner(Model):
    name = KeyField()
    city = IndexedField()
    age = SortedField(type=int)


class Shop(Model):
    name = KeyField()
    owner = Relationship(model=Owner)


class Product(Model):
    """Two key fields, indexes of every kind, and plain fields."""

    code = KeyField(type=int)
    kind = KeyField()
    brand = IndexedField()
    serial = UniqueField()
    price = SortedField(type=float)
    stock = SortedField(type=int, partition_by=("kind", "brand"))
    made = SortedField(type=datetime.date)
    place = GeoField()
    shop = Relationship(model=Shop)
    note = StringField()
    weight = FloatField()
    rank = IntField()
    seen = DatetimeField()
    tags = ListField()
    recent = ListField(max_length=3)


class Reading(Model):
    sensor = KeyField()
    moment = SortedKeyField(type=float)
    value = FloatField()


class Token(Model):
    token = AutoKeyField()
    label = StringField()


def stock(count: int = 10) -> list[Product]:
    """Products 0 to count-1: kind ``even``/``odd``, brand ``a``/``b``/None in turn."""
    return [
        Product.create(
            code=number,
            kind="odd" if number % 2 else "even",
            brand=("a", "b", None)[number % 3],
            serial=f"s{number}",
            price=float(number),
            stock=100 - number,
            made=datetime.date(2026, 1, 1) + datetime.timedelta(days=number),
            note=f"note {number % 2}",
            weight=number / 2,
            rank=number % 4,
        )
        for number in range(count)
    ]


def codes(products: list[Product]) -> list[int]:
    return [product.code for product in products]


__all__ = [
    "Owner",
    "Product",
    "Reading",
    "Shop",
    "Token",
    "codes",
    "stock",
]
