# pyright: strict
"""TypedModel: the annotated fields are the keyword arguments of the constructor."""

from typing import assert_type

from popoto import Field, IntField, KeyField, ListField, Relationship, SortedField
from popoto.models.base import Model, TypedModel


class Person(TypedModel):
    name: str = KeyField()


class Place(TypedModel):
    city: str = KeyField()

    class Meta:
        abstract = True


class Restaurant(Place):
    name: str = KeyField()
    rating: float = SortedField()
    tags: list[str] = ListField()
    note: str | None = Field(null=True)
    owner: Person | None = Relationship(model=Person)
    price: SortedField[float] = SortedField()


class HalfAnnotated(TypedModel):
    name: str = KeyField()
    seats = IntField()


class Visit(TypedModel):
    guest: str
    seats: int = 2
    note: str | None = None


def an_annotation_alone_is_an_argument(visit: Visit) -> None:
    Visit(guest="Ann", seats=3)
    Visit(seats=3)  # error
    Visit(guest="Ann", seats="three")  # error
    assert_type(visit.guest, str)
    assert_type(visit.note, str | None)
    assert_type(Visit.query.filter(seats=2)[0].seats, int)


def names_and_types_are_checked_and_nothing_is_demanded(person: Person) -> None:
    Restaurant()
    record = Restaurant(
        city="Rome", name="Luigi", rating=4, tags=["pizza"], note=None, owner=person, price=9.5
    )
    assert_type(record, Restaurant)
    assert_type(record.city, str)
    assert_type(record.price, float)
    Restaurant(name=4)  # error
    Restaurant(city=4)  # error
    Restaurant(price="x")  # error
    Restaurant(nam="Luigi")  # error
    Restaurant("Luigi")  # error


def a_field_without_annotation_is_no_argument() -> None:
    HalfAnnotated(seats=4)  # error
    assert_type(HalfAnnotated().seats, int)


def a_typed_model_is_a_model(record: Restaurant) -> None:
    model: Model = record
    assert_type(Restaurant.query.filter(Restaurant.rating > 4)[0].name, str)
    assert_type(Restaurant.create(name="Luigi"), Restaurant)
    assert_type({record}, set[Restaurant])
    assert_type(record == model, bool)
