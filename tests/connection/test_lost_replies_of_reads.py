"""Everything that only reads is asked again when its reply is lost, also on the way to a write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    UniqueField,
)
from popoto.cli.exporting import Export
from popoto.exceptions import QueryException
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from popoto.testing.faults import FaultProxy
from tests.driver import Api


class Dock(Model):
    name = KeyField()


class Ship(Model):
    name = KeyField()
    kind = IndexedField()
    number = UniqueField(default="0")
    crew = IntField(default=0)
    dock = Relationship(Dock)
    log = ListField(max_length=3)


@pytest.fixture(autouse=True)
def ships(proxy: FaultProxy) -> None:
    """Popoto has done each of these things before, so that no script is unknown to the server."""
    Ship.create(name="a", kind="sail", log=["x"], dock=Dock.create(name="d"))
    Ship.query.filter(kind="sail").count()


def pipeline(api: Api) -> Any:
    if not api.is_async:
        return POPOTO_REDIS_DB.pipeline()

    async def make() -> Any:
        return (await get_async_redis_db()).pipeline()

    return api.run(make())


def listed(api: Api) -> list[str]:
    """All ships, of which the later ones are read one by one."""
    Ship.create(name="b", kind="oar", number="1")
    builder = Ship.query.filter()
    if not api.is_async:
        return [ship.name for ship in builder.iterator(chunk_size=1)]

    async def collect() -> list[str]:
        return [ship.name async for ship in builder.async_iterator(1)]

    return api.run(collect())


def move_of_the_dock(api: Api) -> Any:
    dock = Dock.query.get(name="d")
    dock.name = "e"
    api(dock.save, migrate_key=True)
    return dock._redis_key


def addition_in_a_pipeline(api: Api) -> Any:
    ship = Ship.query.filter(name="a")[0]
    api(ship.atomic_increment, "crew", 2, pipeline=pipeline(api))
    return ship.crew


def save_after_a_dropped_pipeline(api: Api) -> Any:
    ship = Ship.query.get(name="a")
    ship.crew = 5
    api(ship.save, pipeline=pipeline(api))
    api(ship.save)
    return Ship.query.get(name="a").crew


READS: list[tuple[Callable[[Api], Any], bytes, Any]] = [
    (lambda api: api(Ship.query.filter(kind="sail").all)[0].name, b"EVALSHA", "a"),
    (lambda api: api(Ship.query.filter(kind="sail").count), b"EVALSHA", 1),
    (lambda api: api(Ship.query.keys), b"EVALSHA", [b"Ship:a"]),
    (listed, b"HMGET", ["a", "b"]),
    (lambda api: api(Ship.query.get, "Ship:a").kind, b"HMGET", "sail"),
    (lambda api: api(Ship.query.get, name="a", kind="sail").kind, b"HMGET", "sail"),
    (lambda api: api(Ship.query.get_many, ["Ship:a"])[0].kind, b"HMGET", "sail"),
    (lambda api: api(Ship.query.filter(name="a")[0].refresh).kind, b"HMGET", "sail"),
    (
        lambda api: api(Ship.query.filter().select_related("dock").all)[0].dock.name,
        b"Dock:d",
        "d",
    ),
    (move_of_the_dock, b"SCARD", "Dock:e"),
    (
        lambda api: api(Ship(name="a", crew=3).save, update_fields=["crew"]),
        b"HMGET",
        0,
    ),
    (lambda api: api(Ship(name="a").delete), b"HMGET", True),
    (lambda api: api(Ship(name="z").delete), b"EXISTS", False),
    (lambda api: len(api(Ship(name="b", number="7").save, pipeline=pipeline(api))), b"HMGET", 1),
    (lambda api: len(api(Ship(name="b", number="7").save, pipeline=pipeline(api))), b"EVALSHA", 1),
    (addition_in_a_pipeline, b"HMGET", 2),
    (save_after_a_dropped_pipeline, b"HGET", 5),
]


@pytest.mark.parametrize(
    ("read", "marker", "expected"), READS, ids=[f"{n}-{each[1]!r}" for n, each in enumerate(READS)]
)
def test_it_is_asked_again(
    api: Api, proxy: FaultProxy, read: Callable[[Api], Any], marker: bytes, expected: Any
) -> None:
    lost = proxy.lose_reply(marker)
    assert read(api) == expected
    assert lost.happened == 1


class Buoy(AccessTrackerMixin, Model):
    name = KeyField()


@pytest.mark.parametrize("marker", [b"TYPE", b"EVALSHA", b"LRANGE"])
def test_also_when_what_is_beside_records_is_exported(proxy: FaultProxy, marker: bytes) -> None:
    buoy = Buoy.create(name="a")
    buoy.on_read()
    before = [*Export(Buoy, batch_size=10).lines()]
    lost = proxy.lose_reply(marker)
    assert [*Export(Buoy, batch_size=10).lines()] == before
    assert lost.happened == 1


def test_also_when_a_wrong_key_is_looked_for(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    redis_client.delete("$IndexF:Ship:kind:sail")
    redis_client.set("$IndexF:Ship:kind:sail", "foreign")
    proxy.lose_reply(b"TYPE")
    with pytest.raises(QueryException, match="is a string instead of a set"):
        api(Ship.query.filter(kind="sail").all)
