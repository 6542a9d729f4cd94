"""Random work by several clients leaves what a plain dict says, and entries that agree with it.

The histories are new ones on every run. A failing one is shrunk and printed as the steps that
lead there; ``POPOTO_TRUTH_EXAMPLES=300`` tries more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from popoto.testing.faults import FaultProxy
from tests.truth.definitions import DefinitionsMachine
from tests.truth.faulty import FaultyMachine
from tests.truth.machine import Machine

#: How many random histories are tried; a number beside it makes a long run of it.
EXAMPLES = int(os.environ.get("POPOTO_TRUTH_EXAMPLES", "60"))
#: Seconds that a run may take. Shrinking a history that fails takes up to five minutes.
PATIENCE = 600 + 10 * EXAMPLES


def try_histories(
    machine: Callable[[], RuleBasedStateMachine], examples: int = EXAMPLES, steps: int = 30
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(examples, 1),
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )


@pytest.mark.traced(0)
@pytest.mark.slow(60)
@pytest.mark.timeout(PATIENCE)
def test_entries_and_records_agree_after_every_step(redis_client: redis.Redis) -> None:
    try_histories(lambda: Machine(redis_client))


@pytest.mark.traced(0)
@pytest.mark.slow(30)
@pytest.mark.timeout(PATIENCE)
def test_steps_are_whole_or_not_at_all_when_replies_are_lost_or_late(
    redis_client: redis.Redis, server_url: str
) -> None:
    with FaultProxy(server_url) as proxy:
        try_histories(lambda: FaultyMachine(redis_client, proxy), EXAMPLES // 3, 20)


@pytest.mark.traced(0)
@pytest.mark.slow(30)
@pytest.mark.timeout(PATIENCE)
def test_processes_whose_classes_differ_find_nothing_wrong(redis_client: redis.Redis) -> None:
    try_histories(lambda: DefinitionsMachine(redis_client), EXAMPLES // 2, 20)
