"""What rankings find: rows with scores, and results that bear them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.fields.keeping.shards import TOGETHER
from popoto.models.reading.calls import Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import in_each_shard

__all__ = ["Accepts", "Found", "Scored", "best_of_parts", "best_of_shards", "finished", "keys_of"]

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
    best: list[Scored] = []
    for first in range(0, len(keys), size):
        best += yield from rank(keys[first : first + size])
    best.sort(key=lambda each: (-each[0], each[1].key.encode("utf-8")))
    return best[:count]


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
    told: list[Found | None] = []
    for first in range(0, len(specs), TOGETHER):
        told += yield from together(*map(rank, specs[first : first + TOGETHER]))
    found = [each for each in told if each is not None]
    if not found:
        return None
    scored = [one for _, of_shard in found for one in of_shard]
    scored.sort(key=lambda each: each[1].key.encode("utf-8"), reverse=backwards)
    scored.sort(key=lambda each: -each[0])
    return found[0][0], scored[:count]


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
