# pyright: strict
"""Annotated fields: the annotation says what an attribute is, for every class of field."""

import datetime
from typing import assert_type

from popoto import (
    DatetimeField,
    Expression,
    Field,
    GeoField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
)
from popoto.fields.shortcuts import CappedListProxy


class Person(Model):
    name: str = KeyField()


class Restaurant(Model):
    name: str = KeyField()
    branch: int = KeyField(type=int)
    rating: float = SortedField()
    peak: int | None = SortedField()
    low: SortedField[int | None] = SortedField(type=int, null=True)
    tags: list[str] = ListField()
    recent: CappedListProxy[str] = ListField(max_length=3)
    note: str | None = Field(null=True)
    created: datetime.datetime | None = DatetimeField(auto_now_add=True)
    place: GeoField.Coordinates = GeoField()
    owner: Person | None = Relationship(model=Person)
    # The field as annotation: a value on records and a field on the class.
    price: SortedField[float] = SortedField()


def attributes_of_a_record_have_their_annotated_type(record: Restaurant) -> None:
    assert_type(record.name, str)
    assert_type(record.branch, int)
    assert_type(record.rating, float)
    assert_type(record.peak, int | None)
    assert_type(record.low, int | None)
    assert_type(record.tags, list[str])
    assert_type(record.note, str | None)
    assert_type(record.created, datetime.datetime | None)
    assert_type(record.place, GeoField.Coordinates)
    assert_type(record.owner, Person | None)
    assert_type(record.price, float)
    record.recent.push("pizza")
    record.recent.push(5)  # error


def assignments_are_checked(record: Restaurant) -> None:
    record.rating = 4
    record.rating = "x"  # error
    record.rating = None  # error
    record.note = None
    record.peak = None
    record.peak = "x"  # error
    record.tags = ["pizza"]
    record.tags = [1]  # error
    record.price = 4
    record.price = "x"  # error


def a_plain_model_takes_any_keyword() -> None:
    Restaurant()
    Restaurant(name="Luigi", rating=4.5)
    Restaurant("Luigi")  # error


def comparisons_are_accepted_as_conditions() -> None:
    # To a checker these are comparisons of values. At run time they are expressions.
    assert_type(Restaurant.rating > 4, bool)
    assert_type(Restaurant.price > 4, Expression)
    assert_type(Restaurant.price.between(1, 5), Expression)
    found = Restaurant.query.filter(
        Restaurant.rating > 4,
        Restaurant.name == "Luigi",
        (Restaurant.rating > 4) | (Restaurant.price < 9),
        rating__between=(1, 5),
    )
    assert_type(found[0].name, str)
    Restaurant.rating > "x"  # error
    Restaurant.rating.between(1, 5)  # error
