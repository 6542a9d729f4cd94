"""Models of the command line's tests: between them every kind of field."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from popoto import (
    AutoKeyField,
    BooleanField,
    BytesField,
    DataFrameField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Field,
    FloatField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SetField,
    SortedField,
    SortedKeyField,
    StringField,
    TimeField,
    TupleField,
    UniqueField,
    UniqueKeyField,
)


class Keeper(Model):
    badge = UniqueKeyField(type=int)
    name = IndexedField(default="")


class Shade(Enum):
    DARK = "dark"
    PAIR = (1, "a")


class Beast(Model):
    """A field of every type and kind."""

    name = KeyField()
    born = KeyField(type=date)
    whole = IntField()
    real = FloatField()
    exact = DecimalField()
    text = StringField()
    flag = BooleanField()
    raw = BytesField()
    items = ListField()
    mapping = DictField()
    members = SetField()
    pair = TupleField()
    clock = TimeField()
    day = DateField()
    moment = DatetimeField()
    made = DatetimeField(auto_now_add=True)
    changed = DatetimeField(auto_now=True)
    species = IndexedField(type=str)
    chip = UniqueField(type=str)
    weight = SortedField(type=float)
    price = SortedField(type=Decimal, partition_by="species")
    seen = SortedField(type=datetime)
    place = GeoField()
    keeper = Relationship(Keeper)
    meals = ListField(max_length=4)
    ledger = DataFrameField()
    tag = Field(type=str, unique=True)
    shade = IndexedField(type=Shade)
    other_id = Field(type=UUID)
    naps = Field(type=timedelta)
    _secret = StringField()

    class Meta:
        order_by = "text"
        indexes = ((("species", "whole"), True),)


class Ticket(Model):
    """Keys that are made, and an expiry of its own."""

    number = AutoKeyField()
    rank = SortedKeyField(type=int)
    note = StringField(default="")

    class Meta:
        ttl = 1000


class Base(Model):
    name = KeyField()

    class Meta:
        abstract = True
