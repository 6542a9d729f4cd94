# pyright: strict
"""Fields without annotation: the field's own class and `type=` say what an attribute is."""

import datetime
import decimal
from typing import Any, assert_type

from popoto import (
    AutoKeyField,
    BooleanField,
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Expression,
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
from popoto.fields.shortcuts import CappedListProxy


class Person(Model):
    name = KeyField()


class Restaurant(Model):
    id = AutoKeyField()
    name = KeyField()
    branch = KeyField(type=int)
    licence = UniqueKeyField()
    opened = SortedKeyField(type=datetime.date)
    rating = SortedField(type=float)
    price = SortedField()
    visitors = SortedField(type=int, partition_by="name")
    peak = SortedField(type=int, null=True)
    score = SortedField(null=True, partition_by="name")
    held = SortedField(type=int, null=False)
    status = IndexedField()
    chip = UniqueField(type=int)
    note = Field()
    photo = Field(type=bytes, null=True)
    seats = IntField()
    tax = FloatField()
    revenue = DecimalField()
    motto = StringField(max_length=80)
    vegan = BooleanField(default=False)
    logo = BytesField()
    tags = ListField()
    recent = ListField(max_length=3)
    menu = DictField()
    cuisines = SetField()
    size = TupleField()
    closes = TimeField()
    founded = DateField()
    created = DatetimeField(auto_now_add=True)
    place = GeoField()
    owner = Relationship(model=Person)
    rival = Relationship(model="self")


def every_constructor_argument_is_optional() -> None:
    Restaurant()
    Restaurant(name="Luigi", rating=4.5, tags=["pizza"])
    Restaurant("Luigi")  # error


def attributes_of_a_record_have_the_type_of_their_field(record: Restaurant) -> None:
    assert_type(record.id, str)
    assert_type(record.name, str)
    assert_type(record.branch, int)
    assert_type(record.licence, str)
    assert_type(record.opened, datetime.date)
    assert_type(record.rating, float)
    assert_type(record.price, float)
    assert_type(record.visitors, int)
    assert_type(record.peak, int | None)
    assert_type(record.score, float | None)
    assert_type(record.held, int)
    assert_type(record.status, str)
    assert_type(record.chip, int)
    assert_type(record.note, str)
    assert_type(record.photo, bytes)
    assert_type(record.seats, int)
    assert_type(record.tax, float)
    assert_type(record.revenue, decimal.Decimal)
    assert_type(record.motto, str)
    assert_type(record.vegan, bool)
    assert_type(record.logo, bytes)
    assert_type(record.tags, list[Any])
    assert_type(record.recent, CappedListProxy[Any])
    assert_type(record.menu, dict[Any, Any])
    assert_type(record.cuisines, set[Any])
    assert_type(record.size, tuple[Any, ...])
    assert_type(record.closes, datetime.time)
    assert_type(record.founded, datetime.date)
    assert_type(record.created, datetime.datetime)
    assert_type(record.place, GeoField.Coordinates)
    assert_type(record.owner, Person | str | None)
    assert_type(record.rival, Any | str | None)
    record.naem  # error


def assignments_are_checked(record: Restaurant, person: Person) -> None:
    record.rating = 4.5
    record.rating = 4
    record.rating = None
    record.rating = "x"  # error
    record.peak = None
    record.peak = "x"  # error
    record.name = 5  # error
    record.seats = 4.5  # error
    record.tags = ["pizza"]
    record.recent = ["pizza"]
    record.place = (52.5, 13.4)
    record.place = "Berlin"  # error
    record.owner = person
    record.owner = "Person:Ann"
    record.owner = record  # error


def a_capped_list_can_be_pushed(record: Restaurant) -> None:
    record.recent.push("pizza")
    record.tags.push("pizza")  # error


def a_class_attribute_is_the_field() -> None:
    assert_type(Restaurant.name, KeyField[str])
    assert_type(Restaurant.branch, KeyField[int])
    assert_type(Restaurant.rating, SortedField[float])
    assert_type(Restaurant.peak, SortedField[int | None])
    assert_type(Restaurant.seats, IntField)


def comparisons_with_a_field_are_expressions() -> None:
    assert_type(Restaurant.rating == 4, Expression)
    assert_type(Restaurant.rating != 4, Expression)
    assert_type(Restaurant.rating < 4, Expression)
    assert_type(Restaurant.rating <= 4, Expression)
    assert_type(Restaurant.rating > 4, Expression)
    assert_type(Restaurant.rating >= 4, Expression)
    assert_type(Restaurant.rating.between(1, 5), Expression)
    assert_type(Restaurant.peak > 4, Expression)
    assert_type(Restaurant.peak == None, Expression)  # noqa: E711
    Restaurant.rating.between(1)  # error
    Restaurant.rating.between("a", "b")  # error


def limits_of_a_field_that_fits_every_annotation() -> None:
    # Listed in README.md: a checker that learns to refuse one of these fails here.
    assert_type(Restaurant.rating > "x", bool)
    Restaurant.query.filter(Restaurant.rating)
