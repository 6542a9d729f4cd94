"""What rankings find: rows with scores, and results that bear them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from popoto.engine.request import Plan
from popoto.fields.keeping.shards import all_asked
from popoto.models.reading.calls import Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import in_each_shard

__all__ = [
    "Accepts",
    "Found",
    "Scored",
    "best_of_parts",
    "best_of_shards",
    "finished",
    "keys_of",
    "merged",
]

#: Whether a record, of which key and score are told, is to be among the results.
Accepts: TypeAlias = Callable[[str, float], Any]

Scored: TypeAlias = tuple[float, Row]

#: Rows with their scores, best first, and what has fetched them.
Found: TypeAlias = tuple[Fetch, list[Scored]]


def best_of_parts(
    keys: Sequence[bytes],
    size: int,
    rank: Callable[[Sequence[bytes]], Plan[list[Scored]]],
    count: int,
) -> Plan[list[Scored]]:
    """The best of many records, which are ranked so many at a time; equal ones by their keys."""
    best: list[list[Scored]] = []
    for first in range(0, len(keys), size):
        best.append((yield from rank(keys[first : first + size])))  # noqa: PERF401 - a plan
    return merged(best)[:count]


def merged(parts: Iterable[Sequence[Scored]], *, backwards: bool = False) -> list[Scored]:
    """Rankings of several parts as one; equal ones in the order of their keys, or `backwards`."""
    rows = [row for part in parts for row in part]
    if backwards:
        return sorted(rows, key=lambda each: (each[0], each[1].key.encode("utf-8")), reverse=True)
    return sorted(rows, key=lambda each: (-each[0], each[1].key.encode("utf-8")))


def best_of_shards(
    spec: QuerySpec,
    rank: Callable[[QuerySpec], Plan[Found | None]],
    count: int,
    *,
    backwards: bool = False,
) -> Plan[Found | None]:
    """The best of all shards that a query concerns: the `count` best of each, merged by score.

    Equal ones in the order of their keys, or `backwards`. One round trip to each node where the
    ranking of a shard takes one.
    """
    specs = yield from in_each_shard(spec)
    if len(specs) == 1:
        return (yield from rank(specs[0]))
    found = [each for each in (yield from all_asked(specs, rank)) if each is not None]
    if not found:
        return None
    return found[0][0], merged((rows for _, rows in found), backwards=backwards)[:count]


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
