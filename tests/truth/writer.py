"""A process that forks writers, for tests that kill them.

    python -m tests.truth.writer SOCKET [JOURNAL]

reads seeds, one a line. For each it forks a writer, says its process id, waits for its end
and says how that was: the number of the signal, or 0. Without a journal a writer carries out
operations of every kind; with one it counts up a few records and writes each number into the
journal after it was acknowledged.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from popoto import IndexedField, IntField, KeyField, Model, ModelException, SortedField, redis_db
from popoto.models.transactions import transaction
from tests.truth.models import CHOICES, Shelf, Thing

KEY_NAMES = ("part", "number")


class Counter(Model):
    name = KeyField()
    total = IntField(default=0)
    parity = IndexedField(type=int, default=0)
    rank = SortedField(default=0.0, partition_by="parity")


def some_values() -> dict[str, Any]:
    return {name: random.choice(choices) for name, choices in CHOICES.items()}


def some_thing() -> Thing:
    """A stored record, by any path, or one that was only constructed."""
    path = random.randrange(4)
    if path == 0:
        found = Thing.query.all(limit=5)
        return random.choice(found) if found else Thing(**some_values())
    if path == 1:
        found = list(Thing.query.filter(mood=random.choice(CHOICES["mood"])))
        return random.choice(found) if found else Thing(**some_values())
    values = some_values()
    if path == 2:
        found = Thing.query.get(**{name: values[name] for name in KEY_NAMES})
        return found or Thing(**values)
    return Thing(**values)


def changed(thing: Thing) -> list[str]:
    values = some_values()
    names = random.sample([name for name in values if name not in KEY_NAMES], 3)
    for name in names:
        setattr(thing, name, values[name])
    return names


def create() -> None:
    Thing.create(**some_values())


def save() -> None:
    thing = some_thing()
    changed(thing)
    thing.save()


def save_partly() -> None:
    thing = some_thing()
    thing.save(update_fields=changed(thing))


def move() -> None:
    thing = some_thing()
    changed(thing)
    thing.part, thing.number = random.choice(CHOICES["part"]), random.choice(CHOICES["number"])
    thing.save(migrate_key=True)


def delete() -> None:
    some_thing().delete()


def expire() -> None:
    thing = some_thing()
    changed(thing)
    thing._ttl = random.choice([0, datetime.timedelta(milliseconds=3), 100])
    thing.save()


def push() -> None:
    some_thing().recent.push(random.randrange(9))


def increment() -> None:
    thing = some_thing()
    if thing._is_persisted and thing.level is not None:
        thing.atomic_increment(random.choice(["level", "born"]), random.choice([-1, 1]))


def bulk_create() -> None:
    Thing.bulk_create([Thing(**some_values()) for _ in range(4)])


def bulk_update() -> None:
    Thing.bulk_update(Thing.query.all(limit=4), level=random.choice(CHOICES["level"]))


def bulk_delete() -> None:
    Thing.bulk_delete(Thing.query.all(limit=3))


def together() -> None:
    with transaction() as joined:
        for _ in range(3):
            thing = some_thing()
            if random.randrange(3):
                changed(thing)
                joined.save(thing)
            else:
                joined.delete(thing)


def pipeline() -> None:
    queue = redis_db.POPOTO_REDIS_DB.pipeline(transaction=random.random() < 0.5)
    for _ in range(3):
        thing = some_thing()
        if random.randrange(3):
            changed(thing)
            thing.save(pipeline=queue)
        else:
            thing.delete(pipeline=queue)
    queue.execute(raise_on_error=False)


def shelves() -> None:
    Shelf(name=random.choice(["s1", "s-2"])).save()


OPERATIONS = (
    *(create, save, save, save_partly, save_partly, move, move, delete, expire, push),
    *(increment, bulk_create, bulk_update, bulk_delete, together, together, pipeline, shelves),
)


def write_anything() -> None:
    while True:
        try:
            random.choice(OPERATIONS)()
        except ModelException:
            continue


def count_up(journal: int) -> None:
    while True:
        name = f"n{random.randrange(5)}"
        counter, _ = Counter.get_or_create(name=name)
        counter.total += 1
        counter.parity, counter.rank = counter.total % 2, float(counter.total)
        counter.save()
        os.write(journal, f"{name} {counter.total}\n".encode())


def be_a_writer(
    journal: Path | None, writes: Callable[[], None], counts: Callable[[int], None]
) -> None:
    try:
        if journal is None:
            writes()
        else:
            counts(os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except redis.ConnectionError:
        # The server was killed.
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, the test shall show it
        traceback.print_exc()
    os._exit(1)


def serve(writes: Callable[[], None], counts: Callable[[int], None]) -> None:
    """Fork a writer for each line that is read; without a journal one that `writes`."""
    redis_db.set_REDIS_DB_settings(unix_socket_path=sys.argv[1])
    journal = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            random.seed(int(line))
            be_a_writer(journal, writes, counts)
        os.write(1, f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        outcome = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
        os.write(1, f"{outcome}\n".encode())


if __name__ == "__main__":
    serve(write_anything, count_up)
