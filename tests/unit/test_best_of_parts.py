"""Rankings of very many records, so many at a time."""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine.request import Plan, Request
from popoto.engine.run import run
from popoto.models.reading.calls import Row
from popoto.models.reading.ranking.scored import Scored, best_of_parts


def rank(some: Sequence[bytes]) -> Plan[list[Scored]]:
    """Records by their first letter."""
    yield Request((), "none", repeatable=True)
    return [(float(key[0]), Row(key.decode(), {})) for key in some]


def test_the_best_of_all_parts_are_found_and_equal_ones_come_by_their_keys() -> None:
    keys = [b"b2", b"a1", b"b1", b"c1", b"a2"]
    for size in (1, 2, 5, 9):
        plan = best_of_parts(keys, size, rank, 4)
        assert [row.key for _, row in run(plan)] == ["c1", "b1", "b2", "a1"]
