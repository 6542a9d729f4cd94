"""No script of recipes and vectors stops half-way either (see `test_every_command`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    ContextAssembler,
    CyclicDecayField,
    EmbeddingField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
    clock,
)
from popoto.recipes import PolicyEntry
from popoto.recipes.policy_cache import (
    crystallization_handler,
    initialize_q_value,
    update_q_value,
)
from tests.truth.everything import state
from tests.truth.traced import calls, is_write, traced, unproven, walk_errors
from tests.vectors.provider import TABLE, Known

NOW = 1_700_000_000.0


class Memory(AccessTrackerMixin, Model):
    name = KeyField()
    text = StringField()
    rank = SortedField(type=float, default=0.0)
    urgent = CyclicDecayField()
    sure = ConfidenceField()
    vector = EmbeddingField(source="text", provider=Known(TABLE), store="server")


class Filled(NamedTuple):
    policy: PolicyEntry
    memories: list[Memory]


def fill() -> Filled:
    with clock.using(NOW):
        policy = PolicyEntry.create(
            entry_id="1" * 32, agent_id="a", state_fingerprint="f", action_type="act"
        )
        initialize_q_value(policy, 0.5)
        _learn(1)
        made = [Memory.create(name=each, text=each, rank=ord(each)) for each in "abc"]
    return Filled(policy, made)


def _learn(count: int) -> None:
    told = {"state_fingerprint": "g", "action_type": "act", "outcome": "success"}
    asyncio.run(crystallization_handler([(f"{place}-0", told) for place in range(count)]))


def _assemble() -> None:
    with clock.using(NOW):
        ContextAssembler(Memory, {"rank": 1}, max_items=2, proactive_items=1).assemble(
            {"q": "x"}, assess_quality=True
        )


OPERATIONS: dict[str, Callable[[Filled], Any]] = {
    "REWARD": lambda filled: update_q_value(filled.policy, 1.0),
    "VALUE": lambda filled: initialize_q_value(filled.policy, 0.25),
    "evidence": lambda _: _learn(1),
    "assemble": lambda _: _assemble(),
    "begun anew": lambda _: Memory.reembed(anew=True),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@pytest.mark.single_server("notes what scripts do under a key of one server")
@each_operation
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis, operation: Callable[[Filled], Any]
) -> None:
    filled = fill()
    with traced():
        operation(filled)
    asked = calls(redis_client)
    assert any(is_write(each) for call in asked for each in call)
    assert [str(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
@each_operation
def test_an_error_at_any_command_before_the_first_write_leaves_everything_as_it_was(
    redis_client: redis.Redis, operation: Callable[[Filled], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popoto.fields.vectors.on_server._new_epoch", lambda: "an epoch")
    walk_errors(redis_client, fill, operation)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("REWARD", "$DecayingSortF:PolicyEntry:expected_value:a"),
        ("VALUE", "$DecayingSortF:PolicyEntry:expected_value:a"),
        ("evidence", "$Policy:PolicyEntry:evidence"),
        ("assemble", "$ConfidencF:Memory:sure:data"),
        ("begun anew", "$EmbeddingF:Memory:vector:note"),
    ],
)
def test_a_key_that_another_program_uses_is_named_and_nothing_is_written(
    redis_client: redis.Redis, name: str, key: str
) -> None:
    filled = fill()
    redis_client.delete(key)
    redis_client.set(key, "another program's")
    planted = state(redis_client)
    with pytest.raises(ModelException, match=rf"{key.replace('$', '.')}.*holds a string where"):
        OPERATIONS[name](filled)
    assert state(redis_client) == planted
