"""Positions on the edges of the map are found from everywhere, and their entries are in order."""

from __future__ import annotations

import random

import pytest
import redis

from popoto import GeoField, KeyField, Model
from tests.driver import Api

NORTH, EAST = 85.05112878, 180.0


class Beacon(Model):
    name = KeyField()
    place = GeoField()


@pytest.mark.parametrize("latitude", [0.0, 60.0, NORTH, -NORTH, NORTH - 1e-12])
@pytest.mark.parametrize("longitude", [0.0, EAST, -EAST, EAST - 1e-12])
def test_a_position_on_the_edge_is_found_from_beside_it(
    api: Api, latitude: float, longitude: float
) -> None:
    api(Beacon.create, name="a", place=(latitude, longitude))
    assert api(Beacon.query.get, name="a").place == (latitude, longitude)
    beside = (latitude * 0.99999, longitude * 0.99999)
    across = (latitude, -longitude * 0.99999)
    for centre in (beside, (latitude, longitude)):
        assert api(Beacon.query.count, place=centre, place_radius=1, place_radius_unit="km") == 1
    if abs(longitude) > 179:
        assert api(Beacon.query.count, place=across, place_radius=1, place_radius_unit="km") == 1
    assert api(Beacon.check_indexes)["total"] == 0


def near_an_edge(chance: random.Random, edge: float) -> float:
    """A coordinate on an edge, close to one, or anywhere."""
    inwards = chance.choice(
        [0.0, 0.0, chance.random() * 1e-3, chance.random(), chance.random() * edge]
    )
    return chance.choice([1, -1]) * (edge - inwards)


def test_circles_at_the_edges_hold_what_their_radius_says(api: Api) -> None:
    chance = random.Random(5)
    everywhere = [
        Beacon(name=str(number), place=(near_an_edge(chance, NORTH), near_an_edge(chance, EAST)))
        for number in range(300)
    ]
    api(Beacon.bulk_create, everywhere)
    distances = Beacon.query.filter(place=(0, 0), place_radius=30_000, place_radius_unit="km")
    assert api(distances.count) == 300
    for _ in range(60):
        centre = chance.choice(everywhere)
        found = api(
            Beacon.query.filter(
                place=centre.place, place_radius=25_000_000, place_with_distances=True
            ).all
        )
        far = {beacon.name: beacon._geo_distance for beacon in found}
        assert len(far) == 300
        radius = 10 ** chance.uniform(1, 6.3)
        within = {b.name for b in api(Beacon.query.filter, place=centre.place, place_radius=radius)}
        assert {name for name, distance in far.items() if distance < radius - 2} <= within
        assert within <= {name for name, distance in far.items() if distance < radius + 2}


@pytest.mark.parametrize("radius", [560_000, 600_000, 620_000])
@pytest.mark.parametrize("side", [1, -1])
def test_a_circle_across_a_pole_holds_its_far_side(api: Api, radius: float, side: int) -> None:
    for longitude in range(-180, 180, 10):
        api(Beacon.create, name=str(longitude), place=(side * 85.0, longitude))
    centre = (side * 85.05, 175)
    found = api(
        Beacon.query.filter(place=centre, place_radius=radius, place_with_distances=True).all
    )
    assert all(beacon._geo_distance <= radius for beacon in found)
    everything = api(
        Beacon.query.filter(place=centre, place_radius=9_000_000, place_with_distances=True).all
    )
    assert {b.name for b in found} == {b.name for b in everything if b._geo_distance <= radius}


def test_an_entry_that_an_earlier_version_put_beyond_the_map_is_reported_and_put_right(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Beacon.create, name="a", place=(NORTH, EAST))
    redis_client.geoadd("$GeoF:Beacon:place", (EAST, NORTH, "Beacon:a"))
    assert api(Beacon.check_indexes)["geo_fields"]["place"] == 0
    assert api(Beacon.check_indexes)["total"] == 1
    assert api(Beacon.rebuild_indexes) == 1
    assert api(Beacon.check_indexes)["total"] == 0
    assert api(Beacon.query.count, place=(85, 179.9), place_radius=10, place_radius_unit="km") == 1
