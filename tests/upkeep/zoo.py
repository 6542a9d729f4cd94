"""A model with every kind of index, and what the server holds, as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from popoto import (
    AutoKeyField,
    DatetimeField,
    EmbeddingField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
    SortedKeyField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from tests.vectors.provider import Known

SOUNDS = Known()


class Keeper(Model):
    name = KeyField()


class Animal(Model):
    kind = KeyField()
    tag = UniqueKeyField()
    born = SortedKeyField(type=int)
    chip = UniqueField()
    mood = IndexedField()
    legs = IndexedField(type=int)
    price = SortedField(type=float, partition_by="kind")
    price_usd = SortedField(type=float, default=1.0)
    speed = SortedField(type=int, null=True, partition_by="kind")
    home = GeoField()
    keeper = Relationship(model=Keeper)
    meals = ListField(max_length=2)
    note = IntField(default=0)
    seen = DatetimeField()

    class Meta:
        indexes = ((("mood", "chip"), True), (("mood", "note"), False))


class Parrot(Model):
    """Has vectors in both places, where there is something to make them of."""

    name = KeyField()
    says = StringField(null=True)
    sound = EmbeddingField(source="says", provider=SOUNDS, store="server")
    sight = EmbeddingField(source="says", provider=SOUNDS)

    __embedding_garbage_collect__ = True


class Visit(Model):
    uid = AutoKeyField()
    place = IndexedField(default="gate")


MOODS = ("happy", "None", None, "y:z*", "")


def animal(number: int, **values: Any) -> Animal:
    return Animal(
        **{
            "kind": f"cat:{number % 3}",
            "tag": f"t{number}",
            "born": number,
            "chip": f"c-{number}",
            "mood": MOODS[number % len(MOODS)],
            "legs": number % 5 or None,
            "price": number / 2,
            "speed": number if number % 3 else None,
            "home": (number / 10, -number / 10) if number % 4 else None,
            "keeper": f"Keeper:k{number % 2}" if number % 3 else None,
            "meals": [number, "fish"],
            "note": number,
            **values,
        }
    )


WORDS = ("hello", None, "a:b*", "", "{}")


def parrot(number: int, **values: Any) -> Parrot:
    return Parrot(**{"name": f"p:{number}", "says": WORDS[number % len(WORDS)], **values})


def state(client: redis.Redis) -> dict[str, Any]:
    """Every key and what it holds; the order of sets and hashes does not count."""
    readers = {
        b"set": lambda key: frozenset(client.smembers(key)),
        b"zset": lambda key: frozenset(client.zrange(key, 0, -1, withscores=True)),
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"string": client.get,
    }
    return {
        key.decode("utf-8", "replace"): readers[client.type(key)](key)
        for key in client.scan_iter(count=10_000)
    }


def drop_indexes(client: redis.Redis, model: type[Model]) -> None:
    for key in client.scan_iter(f"$*:{model.__name__}*", count=10_000):
        client.delete(key)


@contextmanager
def meanwhile(work: Callable[[int], None], threads: int) -> Iterator[list[Exception]]:
    """Does `work(thread number)` again and again in threads, until the block is left."""
    over = threading.Event()
    failures: list[Exception] = []

    def repeat(number: int) -> None:
        while not over.is_set():
            try:
                work(number)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                failures.append(error)
                return

    running = [threading.Thread(target=repeat, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield failures
    finally:
        over.set()
        for thread in running:
            thread.join()
