"""Random work by several clients leaves what a plain dict says, and entries that agree with it.

Without ``POPOTO_TRUTH_EXAMPLES`` the histories are the same on every run, so that a change is
judged by itself; with it (``POPOTO_TRUTH_EXAMPLES=300``) they are new ones each time.
"""

from __future__ import annotations

import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.truth.machine import Machine

#: How many random histories are tried; a number beside it makes a long run of it.
EXAMPLES = int(os.environ.get("POPOTO_TRUTH_EXAMPLES", "60"))


@pytest.mark.slow
@pytest.mark.timeout(max(60, EXAMPLES * 2))
def test_entries_and_records_agree_after_every_step(redis_client: redis.Redis) -> None:
    run_state_machine_as_test(
        lambda: Machine(redis_client),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            derandomize="POPOTO_TRUTH_EXAMPLES" not in os.environ,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )
