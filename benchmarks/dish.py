"""The plain model of the benchmarks, and its layout on the server, written by hand.

Nothing is indexed but the key: a record is its hash, a member of the set of all, and its key entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

import msgpack
import redis

from popoto import FloatField, IntField, KeyField, Model, StringField


class Dish(Model):
    name = KeyField(type=str)
    price = FloatField()
    portions = IntField(default=0)
    note = StringField(default="")


class Record(TypedDict):
    name: str
    price: float
    portions: int
    note: str


ALL = "$Class:Dish"


def sample(count: int) -> list[Record]:
    """Records as an application has them; the same ones for every side and every round."""
    return [
        Record(
            name=f"Gnocchi {number}",
            price=8 + number % 40 / 4,
            portions=number % 30,
            note="With butter and sage.",
        )
        for number in range(count)
    ]


def key_of(name: str) -> str:
    return f"Dish:{name}"


def key_index(name: str) -> str:
    return f"$KeyF:Dish:name:{name}"


def store(pipeline: redis.client.Pipeline, record: Record) -> None:
    """Queues everything that makes `record` a stored dish."""
    key = key_of(record["name"])
    pipeline.hset(key, mapping={name: msgpack.packb(value) for name, value in record.items()})
    pipeline.sadd(ALL, key)
    pipeline.sadd(key_index(record["name"]), key)


def take_away(pipeline: redis.client.Pipeline, record: Record) -> None:
    """Queues everything that makes a stored dish disappear."""
    key = key_of(record["name"])
    pipeline.delete(key)
    pipeline.srem(ALL, key)
    pipeline.srem(key_index(record["name"]), key)


def unpack(stored: dict[bytes, bytes]) -> dict[str, object]:
    return {name.decode(): msgpack.unpackb(value) for name, value in stored.items()}


def fill(client: redis.Redis, records: Iterable[Record]) -> None:
    """Stores the records that an operation finds when it begins; never timed."""
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            store(pipeline, record)
        pipeline.execute()


def saved(records: list[Record]) -> list[Dish]:
    """Loaded records, written by popoto with all that it keeps beside them; never timed."""
    Dish.bulk_create([Dish(**record) for record in records])
    return [Dish.query.get(name=record["name"]) for record in records]


def touched(dish: Dish) -> Dish:
    """The same, with every field read: a field that nobody reads need not be decoded."""
    _ = (dish.name, dish.price, dish.portions, dish.note)
    return dish
