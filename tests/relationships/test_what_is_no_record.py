"""What is no record is refused by a relationship, by name, however it comes there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from popoto import KeyField, Model, Relationship
from popoto.exceptions import ModelException
from tests.driver import Api


class Harbour(Model):
    name = KeyField()


class Boat(Model):
    name = KeyField()
    home = Relationship(Harbour)


class Listed:
    """Has no truth of its own, as an array of numpy has none."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


def assigned(api: Api, boat: Boat, value: Any) -> None:
    boat.home = value
    api(boat.save)


def assigned_alone(api: Api, boat: Boat, value: Any) -> None:
    boat.home = value
    api(boat.save, update_fields=["home"])


def moved(api: Api, boat: Boat, value: Any) -> None:
    boat.home, boat.name = value, "b"
    api(boat.save, migrate_key=True)


WAYS: list[Callable[[Api, Boat, Any], Any]] = [
    assigned,
    assigned_alone,
    moved,
    lambda api, boat, value: api(Boat.bulk_update, [boat], home=value),
    lambda api, boat, value: api(Boat.query.filter(name="a").update, home=value),
    lambda api, boat, value: api(Boat.update_or_create, name="a", defaults={"home": value}),
    lambda api, boat, value: api(Boat.raw_update, ["Boat:a"], home=value),
    lambda api, boat, value: api(Boat.create, name="c", home=value),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", [5, True, 1.5, b"Harbour:a", ["Harbour:a"], Listed(), "Harbour"])
def test_it_is_refused_by_name_and_nothing_is_written(
    api: Api, way: Callable[[Api, Boat, Any], Any], wrong: Any
) -> None:
    api(Harbour.create, name="a")
    api(Boat.create, name="a", home="Harbour:a")
    boat = api(Boat.query.get, name="a")
    with pytest.raises(ModelException, match=r"Boat\.home"):
        way(api, boat, wrong)
    assert [(each.name, str(each.home)) for each in api(Boat.query.all)] == [("a", "Harbour:a")]


def test_a_raw_update_takes_what_a_save_takes(api: Api) -> None:
    api(Boat.create, name="a")
    with pytest.raises(ModelException, match=r"Boat\.home.* an instance of Harbour is expected"):
        api(Boat.raw_update, ["Boat:a"], home=Boat(name="a"))
    for target, key in ((Harbour(name="x"), "Harbour:x"), ("Harbour:y", "Harbour:y")):
        api(Boat.raw_update, ["Boat:a"], home=target)
        assert api(Boat.query.filter(name="a").values("home").all) == [{"home": key}]
    api(Boat.raw_update, ["Boat:a"], home=None)
    assert api(Boat.query.get, name="a").home is None
