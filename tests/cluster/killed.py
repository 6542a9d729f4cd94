"""What processes do to many shards until they are killed."""

from __future__ import annotations

import itertools

from popoto import redis_db
from popoto.cli import main

from .models import Memory, Note

AGENTS = ("ann", "bob", "cleo", "dan", "eve", "fay")
#: So many notes of each agent are stored by one call.
EACH = 5


def rows_of(batch: str) -> list[Note]:
    """Notes of all agents by turns, so that every shard has some of each."""
    return [
        Note(agent=agent, number=number_of(batch, number), topic=batch, code=f"{batch}-{number}")
        for number in range(EACH)
        for agent in AGENTS
    ]


def number_of(batch: str, number: int) -> int:
    """A number that no other batch has."""
    return int.from_bytes(batch.encode(), "big") * EACH + number


def write_batches(url: str, name: str) -> None:
    """Batch after batch, each in one call."""
    redis_db.set_REDIS_DB_settings(url=url)
    for number in itertools.count():
        Note.bulk_create(rows_of(f"{name}{number % 1000}"))


def change_all(url: str) -> None:
    """Every record of every shard, by turns."""
    redis_db.set_REDIS_DB_settings(url=url)
    for number in itertools.count():
        Note.query.filter().update(topic=f"t{number % 7}", rank=number % 7)


def delete_some(url: str) -> None:
    """Records of every shard, which are written anew in between."""
    redis_db.set_REDIS_DB_settings(url=url)
    for number in itertools.count():
        Note.bulk_create(rows_of(f"d{number % 5}"))
        Note.query.filter(topic=f"d{number % 5}").delete()


def bring_in(url: str, place: str) -> None:
    """What was exported, again and again."""
    redis_db.set_REDIS_DB_settings(url=url)
    command = ["import", "tests.cluster.models:Memory", place, "--url", url, "--quiet"]
    while True:
        assert main([*command, "--existing", "replace"]) == 0
        Memory.delete_all()
