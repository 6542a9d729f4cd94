"""The sides of a benchmark do the same work: they leave the same keys behind."""

from __future__ import annotations

import pytest
import redis

from benchmarks.measure import OPERATIONS
from benchmarks.worker import run_round
from tests.interop.layout import dump


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_sides_leave_the_same_records_and_entries(
    operation: str, redis_client: redis.Redis
) -> None:
    run_round(operation, "by_hand", redis_client)
    by_hand = dump(redis_client)
    run_round(operation, "by_popoto", redis_client)
    assert dump(redis_client) == by_hand
