"""The indexed model of the benchmarks, and its layout on the server, written by hand.

`store`, `unpack` and `take_away` are what a careful user of redis-py would write for the same keys:
the hash, the set of all records, the key index, one indexed field and one sorted field.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypedDict

import msgpack
import redis

from popoto import (
    DatetimeField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    SortedField,
    StringField,
)


class Restaurant(Model):
    name = KeyField(type=str)
    city = IndexedField(type=str)
    rating = SortedField(type=float)
    seats = IntField(default=0)
    note = StringField(default="")
    tags = ListField()
    opened = DatetimeField()


class Record(TypedDict):
    name: str
    city: str
    rating: float
    seats: int
    note: str
    tags: list[str]
    opened: datetime


CITIES = ("London", "Berlin", "Paris", "Rome")
ALL = "$Class:Restaurant"
BY_RATING = "$SortF:Restaurant:rating"
DATETIME_TEXT = "%Y%m%dT%H:%M:%S.%f"


def sample(count: int) -> list[Record]:
    """Records as an application has them; the same ones for every side and every round."""
    return [
        Record(
            name=f"Trattoria {number}",
            city=CITIES[number % len(CITIES)],
            rating=number % 50 / 10,
            seats=20 + number % 80,
            note="A long room, a short menu, and bread that is worth the journey. " * 2,
            tags=["pasta", "wine", "garden"],
            opened=datetime(1999, 1, 1, 12, 30) + timedelta(days=number),
        )
        for number in range(count)
    ]


def key_of(name: str) -> str:
    return f"Restaurant:{name}"


def key_index(name: str) -> str:
    return f"$KeyF:Restaurant:name:{name}"


def city_index(city: str) -> str:
    return f"$IndexF:Restaurant:city:{city}"


def pack(value: object) -> bytes:
    if isinstance(value, datetime):
        value = {"__datetime__": True, "as_encodable": value.strftime(DATETIME_TEXT)}
    return msgpack.packb(value)


def store(pipeline: redis.client.Pipeline, record: Record) -> None:
    """Queues everything that makes `record` a stored restaurant."""
    key = key_of(record["name"])
    pipeline.hset(key, mapping={name: pack(value) for name, value in record.items()})
    pipeline.sadd(ALL, key)
    pipeline.sadd(key_index(record["name"]), key)
    pipeline.sadd(city_index(record["city"]), key)
    pipeline.zadd(BY_RATING, {key: record["rating"]})


def take_away(pipeline: redis.client.Pipeline, record: Record) -> None:
    """Queues everything that makes a stored restaurant disappear."""
    key = key_of(record["name"])
    pipeline.delete(key)
    pipeline.srem(ALL, key)
    pipeline.srem(key_index(record["name"]), key)
    pipeline.srem(city_index(record["city"]), key)
    pipeline.zrem(BY_RATING, key)


def unpack(stored: dict[bytes, bytes]) -> dict[str, object]:
    values = {name.decode(): msgpack.unpackb(value) for name, value in stored.items()}
    # Much faster than strptime, which a careful user finds out.
    values["opened"] = datetime.fromisoformat(values["opened"]["as_encodable"])
    return values


def in_cities(records: list[Record], size: int) -> list[Record]:
    """The records with another city for each `size` of them, in order."""
    return [record | {"city": f"City {number // size}"} for number, record in enumerate(records)]


def fill(client: redis.Redis, records: Iterable[Record]) -> None:
    """Stores the records that an operation finds when it begins; never timed."""
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            store(pipeline, record)
        pipeline.execute()


def saved(records: list[Record]) -> list[Restaurant]:
    """Loaded records, written by popoto with all that it keeps beside them; never timed."""
    Restaurant.bulk_create([Restaurant(**record) for record in records])
    return [Restaurant.query.get(name=record["name"]) for record in records]


def touched(restaurant: Restaurant) -> Restaurant:
    """The same, with every field read: a field that nobody reads need not be decoded."""
    _ = (
        restaurant.name,
        restaurant.city,
        restaurant.rating,
        restaurant.seats,
        restaurant.note,
        restaurant.tags,
        restaurant.opened,
    )
    return restaurant
