"""`refresh`: what is stored now, in the instance that is there already."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

import popoto
from popoto.exceptions import ModelException, NotStoredError, UnsavedError
from tests.driver import Api, RoundTrips


class Person(popoto.Model):
    name = popoto.KeyField()
    age = popoto.IntField()
    city = popoto.IndexedField()
    recent = popoto.ListField(max_length=3)
    friend = popoto.Relationship("Person")


def test_all_stored_values_replace_those_in_memory(api: Api) -> None:
    ann = Person.create(name="ann", age=1, city="Rome", recent=["a"])
    bob = Person.create(name="bob")
    other = Person.query.get(name="ann")
    other.age, other.city, other.recent, other.friend = 2, "Oslo", ["b", "c"], bob
    other.save()
    ann.age = 100
    assert api(ann.refresh) is ann
    assert (ann.age, ann.city, list(ann.recent), ann.friend) == (2, "Oslo", ["b", "c"], bob)
    assert ann.save() == 0
    assert Person.query.filter(city="Oslo").count() == 1


def test_some_fields(api: Api) -> None:
    ann = Person.create(name="ann", age=1, city="Rome")
    other = Person.query.get(name="ann")
    other.age, other.city = 2, "Oslo"
    other.save()
    ann.city = "mine"
    api(ann.refresh, ["age"])
    assert (ann.age, ann.city) == (2, "mine")
    ann.save()
    assert Person.query.filter(city="mine").count() == 1
    assert not Person.query.filter(city="Oslo").count()


def test_a_reference_that_led_nowhere_is_followed_again(api: Api) -> None:
    Person.create(name="ann", friend="Person:bob")
    (ann,) = api(Person.query.filter(name="ann").select_related("friend").all)
    assert ann.friend is None
    bob = Person.create(name="bob")
    api(ann.refresh)
    assert ann.friend == bob


def test_it_costs_one_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    ann = Person.create(name="ann")
    with round_trips() as seen:
        api(ann.refresh)
    assert seen.sends == 1


def test_refusals(api: Api) -> None:
    with pytest.raises(UnsavedError):
        api(Person(name="ann").refresh)
    ann = Person.create(name="ann", age=1)
    with pytest.raises(ModelException, match="Unknown field"):
        api(ann.refresh, ["nothing"])
    Person.query.get(name="ann").delete()
    with pytest.raises(NotStoredError):
        api(ann.refresh)
    assert ann.age == 1
