"""What child processes do until they are killed."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from popoto import KeyField, Model, SortedField, redis_db


class Ticket(Model):
    number = KeyField()
    price = SortedField(type=int)


def write(url: str) -> None:
    """Records without an end."""
    redis_db.set_REDIS_DB_settings(url=url)
    for number in itertools.count():
        Ticket.create(overwrite=True, number=str(number % 50), price=number)


def note(path: str, seconds: float) -> None:
    """One line at the start and one at the end of some work."""
    with Path(path).open("a") as file:
        file.write("began\n")
        file.flush()
        time.sleep(seconds)
        file.write("done\n")


def fail() -> None:
    print("what it prints")
    raise LookupError("there is nothing to do")
