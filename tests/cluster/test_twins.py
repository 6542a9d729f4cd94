"""A model with `Meta.shard_by` on three nodes answers as the same model on one server.

Random programs of what can be done with popoto are done on both, step by step. They are new ones on
every run. A failing one is shrunk and printed as a script; ``POPOTO_TRUTH_EXAMPLES=300`` tries more
of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from popoto.engine.request import Plan
from popoto.fields.keeping import shards
from popoto.models.reading import spreading
from popoto.models.reading.ranking.recalling import late, searching
from tests.cluster_nodes import cluster_url
from tests.driver import Api
from tests.truth.test_state_machine import PATIENCE, try_histories

from .twins import again
from .twins.programs import Servers, Step, Twins
from .twins.table import DEEDS, WRITING

pytestmark = [pytest.mark.cluster, pytest.mark.slow(10), pytest.mark.traced(0)]

EXAMPLES = int(os.environ.get("POPOTO_TRUTH_EXAMPLES", "3"))
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


@pytest.fixture
def in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on from portion to portion, or ends somewhere, does so with a few records."""
    monkeypatch.setattr(shards, "_TOGETHER", 3)
    monkeypatch.setattr(spreading, "PAGE", 3)
    monkeypatch.setattr(searching, "_REACH", 4)
    monkeypatch.setattr(searching, "_FEW", 2)
    monkeypatch.setattr(late, "_MOST_COMPARED", 3)


@pytest.mark.usefixtures("in_small_portions")
@pytest.mark.timeout(PATIENCE)
def test_shards_answer_as_the_whole(servers: Servers, api: Api, tmp_path: Path) -> None:
    try_histories(lambda: Programs(Twins(servers, api, tmp_path)), EXAMPLES, STEPS)


def test_a_failure_prints_a_script_that_does_it_again(
    servers: Servers, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = [Step("bulk_create", 1), Step("whole_model", 2)]
    twins = Twins(servers, api, tmp_path)
    twins.do(program[0])
    monkeypatch.setattr(spreading.Spread, "count", _one_too_many(spreading.Spread.count))
    with pytest.raises(AssertionError) as told:
        twins.do(program[1])
    twins.look()
    story = str(told.value)
    assert "in shards: 3\n  as a whole: 2\n" in story
    assert "# ApartNote.query.count(topic='red')" in story
    done: list[Any] = []
    monkeypatch.setattr(again, "again", lambda **options: done.append(options))
    exec(story[story.index("from tests") :], {})  # the script that is printed
    assert done == [{"is_async": api.is_async, "steps": program}]


def _one_too_many(count: Callable[[Any], Plan[int]]) -> Callable[[Any], Plan[int]]:
    def counted(spread: Any) -> Plan[int]:
        return 1 + (yield from count(spread))

    return counted
