"""Questions that are asked again once records that were gone are out of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from popoto import redis_db
from popoto.engine.request import Plan
from popoto.fields.keeping.shards import all_asked

__all__ = ["MOST_ASKED", "all_settled", "settled"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: How often such a question is asked.
MOST_ASKED = 20


def settled(ask: Callable[[bool], Plan[Answer | None]]) -> Plan[Answer]:
    """What is answered once nobody is met who is gone, or after so many tries.

    Records that are gone would count among the documents of an index of words. So `ask(True)` lets
    them go first, and answers None where it met any; `ask(False)` answers in any case. Where
    replicas are read, nobody goes.
    """
    for _ in range(0 if redis_db.reads_replicas() else MOST_ASKED):
        found = yield from ask(True)
        if found is not None:
            return found
    found = yield from ask(False)
    if found is None:
        raise AssertionError("a question was not answered")
    return found


def all_settled(
    asked: Sequence[Item], ask: Callable[[Item], Plan[Answer | None]]
) -> Plan[list[Answer] | None]:
    """The answers of several shards, as `settled` has them; None where one has none."""
    told = yield from all_asked(asked, ask)
    answers = [each for each in told if each is not None]
    return answers if len(answers) == len(told) else None
