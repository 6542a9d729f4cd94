"""Places: values, radius queries, distances."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import GeoField, IndexedField, KeyField, Model, ModelException, Q, SortedField
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]

ROME, FLORENCE, PARIS = (41.9, 12.5), (43.77, 11.25), (48.85, 2.35)


class Place(Model):
    name = KeyField()
    where = GeoField()
    kind = IndexedField()
    size = SortedField(type=int, default=1)


def places(api: Api) -> None:
    for number, (name, where) in enumerate(
        {"rome": ROME, "florence": FLORENCE, "paris": PARIS, "nowhere": None}.items()
    ):
        api(Place.create, name=name, where=where, kind="city" if number < 2 else "x", size=number)


def names(found: list[Place]) -> list[str]:
    return [place.name for place in found]


@pytest.mark.parametrize(
    "value",
    [
        (0, 0),
        (0.0, 0.0),
        (0.0, 5.0),
        (5.0, 0.0),
        [10, 20],
        GeoField.Coordinates(1, 2),
        GeoField.Coordinates(latitude=-85.05, longitude=180),
        ("41.9", "12.5"),
        (Decimal("1.5"), 2),
    ],
    ids=repr,
)
def test_positions(api: Api, redis_client: redis.Redis, value: Any) -> None:
    place = api(Place.create, name="a", where=value)
    expected = GeoField.Coordinates(float(value[0]), float(value[1]))
    assert place.where == expected
    assert isinstance(place.where, GeoField.Coordinates)
    for found in (
        api(Place.query.get, name="a"),
        api(Place.query.filter(name="a").all)[0],
        api(Place.query.get_many, ["Place:a"])[0],
    ):
        assert isinstance(found.where, GeoField.Coordinates)
        assert (found.where.latitude, found.where.longitude) == tuple(expected)
    key = Place.where.get_geo_db_key(Place, "where").redis_key
    assert key == "$GeoF:Place:where"
    assert redis_client.zrange(key, 0, -1) == [b"Place:a"]
    assert api(Place.query.count, where=expected, where_radius=1) == 1
    place.where = None
    api(place.save)
    assert place.where == GeoField.Coordinates(None, None)
    assert not redis_client.exists(key)


@pytest.mark.parametrize("value", [None, (None, None)])
def test_no_position(api: Api, redis_client: redis.Redis, value: Any) -> None:
    place = api(Place.create, name="a", where=value)
    assert place.where == GeoField.Coordinates(None, None)
    assert api(Place.query.get, name="a").where == (None, None)
    assert not redis_client.exists("$GeoF:Place:where")
    assert Place(name="b").where == GeoField.Coordinates(None, None)


@pytest.mark.parametrize(
    "value",
    [
        (None, 1.0),
        (1.0, None),
        (1.0,),
        (1.0, 2.0, 3.0),
        (86, 0),
        (0, 181),
        ("x", "y"),
        5,
        "ab",
        (float("nan"), 0),
        (True, False),
    ],
    ids=repr,
)
def test_what_is_no_position(api: Api, redis_client: redis.Redis, value: Any) -> None:
    with pytest.raises(ModelException, match="where"):
        api(Place.create, name="a", where=value)
    assert redis_client.dbsize() == 0


def test_a_position_may_be_required(api: Api) -> None:
    class Fixed(Model):
        name = KeyField()
        where = GeoField(null=False)

    Fixed(name="a")
    for value in (None, (None, None)):
        with pytest.raises(ModelException, match="where"):
            api(Fixed(name="a", where=value).save)


def test_radius_queries(api: Api) -> None:
    places(api)
    query = Place.query
    member = api(query.get, name="rome")
    for arguments in (
        {"where": ROME},
        {"where": list(ROME)},
        {"where": GeoField.Coordinates(*ROME)},
        {"where_latitude": ROME[0], "where_longitude": ROME[1]},
        {"where_member": member},
    ):
        found = api(query.filter(**arguments, where_radius=300, where_radius_unit="km").all)
        assert sorted(names(found)) == ["florence", "rome"]
        assert api(query.count, **arguments, where_radius=300_000) == 2
        assert api(query.count, **arguments) == 1
        assert not hasattr(found[0], "_geo_distance")
    everything = query.filter(where=ROME, where_radius=5000, where_radius_unit="mi")
    assert names(api(everything.limit(2).all)) == ["rome", "florence"]
    assert api(everything.count) == 3
    assert names(api(everything.order_by("-name").limit(1).all)) == ["rome"]
    assert names(api(everything.filter(kind="x").all)) == ["paris"]
    assert names(api(everything.filter(size__lt=2).all)) == ["rome", "florence"]


def test_null_positions(api: Api) -> None:
    places(api)
    assert names(api(Place.query.filter(where__isnull=True).all)) == ["nowhere"]
    assert names(api(Place.query.filter(where__isnull=False).all)) == ["florence", "paris", "rome"]
    assert api(Place.query.count, where__isnull=False) == 3


@pytest.mark.parametrize("unit", ["m", "km", "ft", "mi"])
def test_distances(api: Api, redis_client: redis.Redis, unit: str) -> None:
    places(api)
    query = Place.query
    expected = redis_client.geodist("$GeoF:Place:where", "Place:rome", "Place:florence", unit=unit)
    member = api(query.get, name="rome")
    arguments = {"where_member": member, "where_radius": 10**8, "where_radius_unit": unit}
    found = api(query.filter(**arguments, where_with_distances=True).all)
    assert names(found) == ["rome", "florence", "paris"]
    assert found[0]._geo_distance == 0.0
    assert found[1]._geo_distance == pytest.approx(expected, rel=1e-6)
    assert [place._geo_distance_unit for place in found] == [unit] * 3
    combined = query.filter(**arguments, where_with_distances=True, size__gte=0)
    assert names(api(combined.all)) == ["rome", "florence", "paris"]
    assert names(api(combined.limit(2).all)) == ["rome", "florence"]
    assert names(api(combined.order_by("-size").limit(2).all)) == ["paris", "florence"]
    assert api(combined.order_by("-size").all)[0]._geo_distance > 0
    assert [row["name"] for row in api(combined.values("name").all)] == [
        "rome",
        "florence",
        "paris",
    ]
    assert api(combined.first)._geo_distance == 0.0
    assert api(combined.last).name == "paris"


def test_places_in_trees(api: Api) -> None:
    places(api)
    near = Q(where=ROME, where_radius=300, where_radius_unit="km")
    assert sorted(names(api(Place.query.filter(near | Q(name="paris")).all))) == [
        *("florence", "paris", "rome")
    ]
    assert sorted(names(api(Place.query.filter(~near).all))) == ["nowhere", "paris"]
    assert sorted(names(api(Place.query.filter(near & ~Q(name="rome")).all))) == ["florence"]


@pytest.mark.parametrize(
    "few",
    [Q(kind="few"), Q(size__gte=90), Q(name__in=[str(number) for number in range(90, 100)])],
    ids=repr,
)
def test_the_nearest_come_first_whatever_else_is_asked_for(api: Api, few: Q) -> None:
    """Also where fewer records meet another condition, so that the server begins with those."""
    order = [(number * 37) % 100 for number in range(100)]
    for rank, number in enumerate(order):
        kind = "few" if number >= 90 else "many"
        api(Place.create, name=str(number), where=(50, rank / 100), kind=kind, size=number)
    nearest = [str(number) for number in order if number >= 90]
    around = {"where": (50, 0), "where_radius": 500, "where_radius_unit": "km"}
    query = Place.query.filter(few, **around, where_with_distances=True)
    found = api(query.all)
    assert names(found) == nearest
    assert [place._geo_distance for place in found] == sorted(
        place._geo_distance for place in found
    )
    for limit in (1, 3):
        assert names(api(query.limit(limit).all)) == nearest[:limit]
        assert names(api(query.offset(2).limit(limit).all)) == nearest[2 : 2 + limit]
    assert api(query.first).name == nearest[0]
    assert api(query.last).name == nearest[-1]
    assert [row["name"] for row in api(query.values("name").all)] == nearest
    if "size__gte" not in few.filters:
        # Without distances the order of a sorted condition comes first.
        assert names(api(Place.query.filter(few, **around).limit(3).all)) == nearest[:3]


def test_a_moved_record_is_found_at_its_new_place(api: Api) -> None:
    place = api(Place.create, name="a", where=ROME)
    place.where = PARIS
    api(place.save)
    assert api(Place.query.count, where=ROME, where_radius=1000) == 0
    assert api(Place.query.count, where=PARIS, where_radius=1000) == 1
    api(place.delete)
    assert api(Place.query.count, where=PARIS, where_radius=1000) == 0


def test_a_count_without_matches_is_one_round_trip(api: Api, round_trips: Counter) -> None:
    places(api)
    with round_trips() as seen:
        assert api(Place.query.count, where=(0, 0), where_radius=5) == 0
    assert seen.sends == 1
