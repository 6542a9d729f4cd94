"""`to_dict`: records as plain dicts."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import IntField, KeyField, ListField, Model, Relationship, StringField
from tests.driver import Api


class Place(Model):
    name = KeyField()
    near = Relationship(model="self")


class Visit(Model):
    name = KeyField()
    rank = IntField(default=3)
    place = Relationship(model=Place)
    log = ListField(max_length=2)
    _secret = StringField()


def test_explicit_fields_in_order_of_declaration() -> None:
    visit = Visit(name="a", _secret="s", log=[1])
    shown = visit.to_dict()
    assert list(shown) == ["name", "rank", "place", "log"]
    assert shown == {"name": "a", "rank": 3, "place": None, "log": [1]}
    assert type(shown["log"]) is list


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
def test_include_and_exclude(kind: Any) -> None:
    visit = Visit(name="a")
    assert visit.to_dict(include=kind(["rank", "missing"])) == {"rank": 3}
    assert visit.to_dict(include=[]) == {}
    assert list(visit.to_dict(exclude=kind(["rank", "missing"]))) == ["name", "place", "log"]
    assert visit.to_dict(include=["name", "rank"], exclude=["rank"]) == {"name": "a"}


def test_a_reference_is_a_key_by_default(api: Api, round_trips: Any) -> None:
    place = api(Place.create, name="p")
    api(Visit.create, name="a", place=place)
    for visit in (api(Visit.query.get, name="a"), api(Visit.query.all)[0], Visit(place=place)):
        with round_trips() as seen:
            assert visit.to_dict()["place"] == "Place:p"
        assert seen.sends == 0


def test_references_can_be_shown_in_full(api: Api) -> None:
    api(Place.create, name="far")
    api(Place.create, name="p", near="Place:far")
    api(Visit.create, name="a", place="Place:p")
    for visit in (api(Visit.query.get, name="a"), api(Visit.query.all)[0]):
        place = {"name": "p", "near": {"name": "far", "near": None}}
        assert visit.to_dict(relationships=True)["place"] == place
        assert visit.to_dict(relationships=True, max_depth=0)["place"] == "Place:p"
        assert visit.to_dict(relationships=True, max_depth=1)["place"] == {
            "name": "p",
            "near": "Place:far",
        }


def test_a_circle_ends_in_a_key(api: Api) -> None:
    api(Place(name="a", near="Place:b").save)
    api(Place(name="b", near="Place:a").save)
    shown = api(Place.query.get, name="a").to_dict(relationships=True)
    assert shown == {"name": "a", "near": {"name": "b", "near": "Place:a"}}


def test_a_missing_target_is_a_key(api: Api) -> None:
    api(Place.create, name="a", near="Place:gone")
    assert api(Place.query.get, name="a").to_dict(relationships=True)["near"] == "Place:gone"


def test_the_instance_is_not_changed(api: Api) -> None:
    api(Place.create, name="b")
    api(Place.create, name="a", near="Place:b")
    (place,) = api(Place.query.filter(name="a").all)
    place.to_dict(relationships=True)
    assert place.near == "Place:b"
    unsaved = Visit(name="x", place=Place(name="y"))
    assert unsaved.to_dict(relationships=True)["place"] == {"name": "y", "near": None}
