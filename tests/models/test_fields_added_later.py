"""`Model._meta.add_field`: fields that a class gets after it was made."""

from __future__ import annotations

import pytest

from popoto import Field, KeyField, ListField, Model, ModelException, Relationship, SortedField
from tests.driver import Api


def test_circular_relationships_are_declared_afterwards(api: Api) -> None:
    class Left(Model):
        name = KeyField()

    class Right(Model):
        name = KeyField()
        left = Relationship(model=Left)

    Left.right = Relationship(model=Right)
    assert Left._meta.add_field("right", Left.right) is None
    left = api(Left.create, name="l")
    right = api(Right.create, name="r", left=left)
    left.right = right
    api(left.save)
    assert [each.pk for each in api(Left.query.filter(right=right).all)] == ["Left:l"]


def test_add_field_alone_gives_a_working_field(api: Api) -> None:
    class Left(Model):
        name = KeyField()

    Left._meta.add_field("rank", SortedField(type=int))
    assert isinstance(Left.rank, SortedField)
    api(Left.create, name="a", rank=5)
    assert [each.rank for each in api(Left.query.filter(rank__gt=4).all)] == [5]


def test_a_capped_list_can_be_added_later(api: Api) -> None:
    class Left(Model):
        name = KeyField()

    Left._meta.add_field("log", ListField(max_length=2))
    api(Left.create, name="a", log=[1, 2, 3])
    assert api(Left.query.get, name="a").log == [1, 2]


@pytest.mark.parametrize("name", ["size", "_size"])
def test_a_second_field_of_the_same_name_is_refused(name: str) -> None:
    shelf = type("Shelf", (Model,), {"key": KeyField(), name: Field()})
    with pytest.raises(ModelException, match="already a Field"):
        shelf._meta.add_field(name, Field())


@pytest.mark.parametrize("name", ["limit", "a__b", "Size", "save"])
def test_names_are_checked_of_a_field_that_is_added_later_as_well(name: str) -> None:
    shelf = type("Shelf", (Model,), {"key": KeyField()})
    with pytest.raises(ModelException, match=f"Shelf.{name}"):
        shelf._meta.add_field(name, Field())
    assert list(shelf._meta.by_name) == ["key"]
