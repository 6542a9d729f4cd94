"""A model with `Meta.shard_by` on three nodes answers as the same model on one server.

Random programs of what can be done with popoto are done on both, step by step. They are new ones on
every run. A failing one is shrunk and printed as a script; ``POPOTO_TRUTH_EXAMPLES=300`` tries more
of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.cluster_nodes import cluster_url
from tests.driver import Api
from tests.truth.test_state_machine import PATIENCE, try_histories

from .twins.programs import Servers, Step, Twins
from .twins.table import DEEDS, WRITING

pytestmark = [pytest.mark.cluster, pytest.mark.slow(10), pytest.mark.traced(0)]

EXAMPLES = int(os.environ.get("POPOTO_TRUTH_EXAMPLES", "4"))
STEPS = 40

seeds = st.integers(0, 10**6)
beginnings = st.lists(st.builds(Step, st.sampled_from(WRITING), seeds), max_size=20)
steps = st.builds(
    Step, st.sampled_from([name for name in DEEDS for _ in range(DEEDS[name].weight)]), seeds
)


class Programs(RuleBasedStateMachine):
    """Draws one program after another."""

    def __init__(self, twins: Twins) -> None:
        super().__init__()
        self.twins = twins

    @initialize(beginning=beginnings)
    def begin(self, beginning: list[Step]) -> None:
        for step in beginning:
            self.twins.do(step)

    @rule(step=steps)
    def do(self, step: Step) -> None:
        self.twins.do(step)

    def teardown(self) -> None:
        self.twins.look()


@pytest.fixture
def servers(
    ports: list[int], server_url: str, nodes: list[redis.Redis], redis_client: redis.Redis
) -> Iterator[Servers]:
    servers = Servers(cluster_url(ports), server_url, [*nodes, redis_client])
    yield servers
    servers.flush()


@pytest.mark.timeout(PATIENCE)
def test_shards_answer_as_the_whole(servers: Servers, api: Api, tmp_path: Path) -> None:
    try_histories(lambda: Programs(Twins(servers, api, tmp_path)), EXAMPLES, STEPS)
