"""The sides of a benchmark do the same work: they find the same, and leave the same keys behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest
import redis

from benchmarks.measure import AIMS, OPERATIONS
from benchmarks.worker import run_round
from tests.interop.layout import dump

# Half of the records that are found together in `filter_10`, and quick.
COUNT = 20

Values = dict[str, object]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_sides_find_and_leave_the_same(operation: str, redis_client: redis.Redis) -> None:
    by_hand = run_round(operation, "by_hand", redis_client, COUNT).found
    left_by_hand = dump(redis_client)
    by_popoto = run_round(operation, "by_popoto", redis_client, COUNT).found
    assert dump(redis_client) == left_by_hand
    if isinstance(by_hand, list):
        by_popoto = plain(by_popoto, names=list(by_hand[0]))
        by_hand = plain(by_hand, names=list(by_hand[0]))
    assert by_popoto == by_hand


def plain(found: object, names: list[str]) -> list[Values]:
    """Records, or rows of values, in one form and in the order of their names."""
    rows = [
        record if isinstance(record, dict) else {name: getattr(record, name) for name in names}
        for record in cast("Iterable[object]", found)
    ]
    return sorted(cast("list[Values]", rows), key=lambda row: str(row["name"]))


def test_every_aim_is_that_of_an_operation() -> None:
    assert set(AIMS) <= set(OPERATIONS)
