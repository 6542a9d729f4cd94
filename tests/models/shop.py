"""A model with every kind of index, and what tests look at on the server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import redis

from popoto import (
    Field,
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
from tests.truth.oracle import violations


class Town(Model):
    name = KeyField()


class Shop(Model):
    """One field of every kind that keeps something beside the hash."""

    name = KeyField()
    kind = IndexedField()
    code = UniqueField(default=None)
    rank = SortedField(type=int, default=0)
    opened = SortedField(type=datetime, partition_by="kind", default=datetime(2020, 1, 1))
    spot = GeoField()
    town = Relationship(model=Town)
    log = ListField(max_length=3)
    note = StringField()
    size = IntField()
    data = Field(type=dict)
    _secret = StringField()

    class Meta:
        indexes = ((("kind", "size"), True), (("note",), False))


FULL: dict[str, Any] = {
    "name": "a",
    "kind": "books",
    "code": "c1",
    "rank": 5,
    "spot": (52.5, 13.4),
    "town": "Town:berlin",
    "log": ["x", "y"],
    "note": "n",
    "size": 3,
    "data": {"k": [1]},
    "_secret": "s",
}

OTHER: dict[str, Any] = {
    "kind": "wine",
    "code": "c2",
    "rank": 6,
    "spot": (48.1, 11.5),
    "town": "Town:munich",
    "log": ["z"],
    "note": "m",
    "size": 4,
    "data": {"k": [2]},
    "_secret": "t",
}


def assign(record: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(record, name, value)


def plain(record: Any) -> dict[str, Any]:
    """Every field of a Shop as plain values; a reference as its key."""
    found = {name: getattr(record, name) for name in Shop._meta.field_names}
    found["log"] = list(record.log)
    found["town"] = record.to_dict()["town"]
    found["spot"] = tuple(record.spot) if record.spot and record.spot.latitude else None
    return found


def keys_of(client: redis.Redis, name: str = "Shop") -> list[bytes]:
    """The keys that have anything to do with a model."""
    return sorted(client.keys(f"*{name}*"))


def healthy(client: redis.Redis) -> bool:
    """Index entries and records agree (see `tests.truth.oracle`)."""
    found = violations(client, Shop, Town)
    assert found == [], found
    return True
