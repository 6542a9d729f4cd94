"""A model that keeps a key of every kind, and every operation that writes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

import popoto
from popoto import (
    EventStreamMixin,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api


class Port(Model):
    name = KeyField()


class Ship(EventStreamMixin, Model):
    """Has an entry of every kind, an end, a list of its own and a stream of events."""

    name = KeyField()
    flag = IndexedField()
    call_sign = UniqueField()
    tonnes = SortedField(type=int, default=0)
    crew = IndexedField(type=int)
    place = GeoField()
    port = Relationship(Port)
    log = ListField(max_length=3)
    note = StringField()
    trips = IntField(default=0)

    _stream_name = "ships"

    class Meta:
        ttl = 1000
        indexes = ((("flag", "note"), True), (("crew", "note"), False))


def ship(name: str, **values: Any) -> Ship:
    return Ship(
        **{
            "name": name,
            "flag": "red",
            "call_sign": f"sign-{name}",
            "tonnes": 7,
            "crew": 3,
            "place": (1.0, 2.0),
            "port": "Port:p",
            "log": ["built"],
            "note": f"of {name}",
            **values,
        }
    )


def fill() -> dict[str, Ship]:
    """Two ships, and where a third one was that nobody deleted."""
    return {each.name: each for each in Ship.bulk_create([ship("a"), ship("b")])}


CHANGED: dict[str, Any] = {
    "flag": "blue",
    "call_sign": "sign-new",
    "tonnes": 8,
    "crew": 4,
    "place": (3.0, 4.0),
    "port": "Port:q",
    "log": ["sold"],
    "note": "new",
}


def _save(api: Api, ships: dict[str, Ship]) -> None:
    for name, value in CHANGED.items():
        setattr(ships["a"], name, value)
    api(ships["a"].save)


def _move(api: Api, ships: dict[str, Ship]) -> None:
    ships["a"].name = "moved"
    api(ships["a"].save, migrate_key=True)


def _partial(api: Api, ships: dict[str, Ship]) -> None:
    ships["a"].flag, ships["a"].trips = "blue", 1
    api(ships["a"].save, update_fields=["flag", "trips"])


def _transaction(api: Api, ships: dict[str, Ship]) -> None:
    together = popoto.transaction()
    together.create(Ship, name="new", flag="blue", call_sign="s", note="x", log=["built"])
    ships["b"].flag = "blue"
    together.save(ships["b"])
    together.delete(ships["a"])
    api(together.commit)


def _pipeline(_: Api, ships: dict[str, Ship]) -> None:
    pipeline = POPOTO_REDIS_DB.pipeline()
    ships["a"].flag = "blue"
    ships["a"].save(pipeline=pipeline)
    pipeline.execute()


def _exchange(api: Api, ships: dict[str, Ship]) -> None:
    ships["a"].call_sign, ships["b"].call_sign = ships["b"].call_sign, ships["a"].call_sign
    api(Ship.bulk_create, list(ships.values()))


_WHITE: dict[str, Any] = {"name": "new", "call_sign": "s", "log": ["built"]}

Operation = Callable[[Api, dict[str, Ship]], object]

#: Each is one call of a script.
OPERATIONS: dict[str, Operation] = {
    "create": lambda api, _: api(
        Ship.create, **{**CHANGED, "name": "new", "note": "n", "call_sign": "s"}
    ),
    "save": _save,
    "partial save": _partial,
    "key change": _move,
    "delete": lambda api, ships: api(ships["a"].delete),
    "bulk_create": lambda api, _: api(Ship.bulk_create, [ship("c"), ship("d", flag="green")]),
    "bulk_update": lambda api, ships: api(
        Ship.bulk_update, list(ships.values()), crew=9, log=["sold"]
    ),
    "bulk_delete": lambda api, ships: api(Ship.bulk_delete, list(ships.values())),
    "increment": lambda api, ships: api(ships["a"].atomic_increment, "tonnes", 1),
    "increment of an indexed field": lambda api, ships: api(ships["a"].atomic_increment, "crew", 1),
    "increment of a plain field": lambda api, ships: api(ships["a"].atomic_increment, "trips", 1),
    "raw_update": lambda api, _: api(Ship.raw_update, ["Ship:a", "Ship:b"], trips=5),
    "push": lambda api, ships: api(ships["a"].log.push, "painted"),
    "transaction": _transaction,
    "pipeline": _pipeline,
}
#: Those that take several.
IN_STEPS: dict[str, Operation] = {
    "exchange": _exchange,
    "get_or_create": lambda api, _: api(Ship.get_or_create, flag="white", defaults=_WHITE),
    "upsert": lambda api, _: api(ship("a", **CHANGED).save),
    "clean": lambda api, _: api(Ship.clean_indexes),
    "rebuild": lambda api, _: api(Ship.rebuild_indexes),
    "delete_all": lambda api, _: api(Ship.delete_all),
}


def state(client: redis.Redis) -> dict[bytes, object]:
    """What every key holds, as the server would dump it; how many entries a stream has."""
    found: dict[bytes, object] = {}
    for key in client.scan_iter(count=10_000):
        if key.startswith(b"test:"):
            continue
        kind = client.type(key)
        if kind == b"set":
            found[key] = frozenset(client.smembers(key))
        elif kind == b"hash":
            found[key] = client.hgetall(key)
        elif kind == b"zset":
            # The moment of an end is another one each time.
            scores = key != b"$Expiry:Ship"
            found[key] = frozenset(client.zrange(key, 0, -1, withscores=scores))
        elif kind == b"list":
            found[key] = client.lrange(key, 0, -1)
        elif kind == b"stream":
            found[key] = client.xlen(key)
        else:
            found[key] = client.get(key)
    return found
