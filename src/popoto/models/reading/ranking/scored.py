"""What rankings find: rows with scores, and results that bear them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from popoto.engine.request import Plan
from popoto.models.reading.calls import Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch

__all__ = ["Accepts", "Scored", "best_of_parts", "finished", "keys_of"]

#: Whether a record, of which key and score are told, is to be among the results.
Accepts: TypeAlias = Callable[[str, float], Any]

Scored: TypeAlias = tuple[float, Row]


def best_of_parts(
    keys: Sequence[bytes],
    size: int,
    rank: Callable[[Sequence[bytes]], Plan[list[Scored]]],
    count: int,
) -> Plan[list[Scored]]:
    """The best of many records, which are ranked so many at a time; equal ones by their keys."""
    best: list[Scored] = []
    for first in range(0, len(keys), size):
        best += yield from rank(keys[first : first + size])
    best.sort(key=lambda each: (-each[0], each[1].key.encode("utf-8")))
    return best[:count]


def keys_of(found: Sequence[Scored]) -> list[tuple[str, float]]:
    """Keys and scores, for those who need no more of the records."""
    return [(row.key, score) for score, row in found]


def finished(
    execution: Execution, fetch: Fetch, found: Sequence[Scored], attribute: str
) -> Plan[list[Any]]:
    """The results in their shape. Records bear their score as an attribute."""
    shaped = execution.shaped(fetch, [row for _, row in found])
    if execution.spec.values is None:
        for (score, _), record in zip(found, shaped, strict=True):
            vars(record)[attribute] = score
    return (yield from execution.finished(shaped))
