"""`ObservationProtocol` and `RecallProposal`: what each outcome does, and all of it in one step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    Defaults,
    EventStreamMixin,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    clock,
    transaction,
)
from popoto.fields import observation
from tests.driver import Api, RoundTrips
from tests.memory.observed import Both

MADE, NOW = 1000.0, 2000.0


class Memory(AccessTrackerMixin, PredictionLedgerMixin, EventStreamMixin, Model):
    name = KeyField()
    relevance = DecayingSortedField()
    tense = CyclicDecayField(cycles=[(86400, 1.0)], pressure_rate=0.1)
    calm = CyclicDecayField(cycles=[(86400, 2.0)])
    conf = ConfidenceField()
    conf2 = ConfidenceField(initial_confidence=0.8)


class Bare(Model):
    name = KeyField()


def remember(name: str = "x", *, predicts: bool = True) -> Memory:
    with clock.using(MADE):
        memory = Memory.create(name=name)
        for _ in range(2):
            memory.on_read()
        if predicts:
            Memory.record_prediction(memory, {"x": 1})
        ObservationProtocol.on_surfaced([memory])
        ObservationProtocol.on_surfaced([memory], partition="agent")
    return memory


def observe(memory: Memory, outcome: str | None, api: Api | None = None) -> None:
    outcomes = {} if outcome is None else {memory.pk: outcome}
    with clock.using(NOW):
        if api is None:
            ObservationProtocol.on_context_used([memory], outcomes)
        else:
            api(Both().on_context_used, [memory], outcomes)


def state(memory: Memory, redis_client: redis.Redis) -> dict[str, Any]:
    key = memory.pk
    unpacked = lambda name: msgpack.unpackb(redis_client.hget(name, key))  # noqa: E731
    prediction = Memory.get_prediction_data(memory)
    return {
        "touched": redis_client.zscore("$DecayingSortF:Memory:relevance", key) == NOW,
        "amplitudes": [
            unpacked(f"$CyclicDecayF:Memory:{name}:cycles")[0][1] for name in ("tense", "calm")
        ],
        "resolved": unpacked("$CyclicDecayF:Memory:tense:pressure")["last_resolved"] == NOW,
        "confidence": [
            pytest.approx(ConfidenceField.get_confidence(memory, name))
            for name in ("conf", "conf2")
        ],
        "evidence": tuple(ConfidenceField.get_confidence_data(memory, "conf2").values())[1:],
        "reads": (redis_client.llen(memory._at_key("staged")), memory.access_count),
        "prediction": prediction and prediction["prediction_error"],
        "pending": RecallProposal.get_pending(Memory) + RecallProposal.get_pending(Memory, "agent"),
    }


START = {
    "touched": False,
    "amplitudes": [1.0, 2.0],
    "resolved": False,
    "confidence": [0.5, 0.8],
    "evidence": (0, 0, 0),
    "reads": (0, 0),
    "prediction": None,
    "pending": [],
}
END_STATES = {
    "acted": {
        "touched": True,
        "amplitudes": [1.2, 2.4],
        "resolved": True,
        "confidence": [0.9, 0.9],
        "evidence": (1, 1, 0),
        "reads": (0, 2),
        "prediction": 0.1,
    },
    "used": {"reads": (0, 2), "prediction": 0.3},
    "dismissed": {"amplitudes": [0.8, 1.6], "prediction": 0.5},
    "deferred": {},
    # The feedback of the large error (0.2) would raise a confidence of 0.1: it does not count.
    "contradicted": {
        "amplitudes": [0.5, 1.0],
        "confidence": [0.1, 0.1],
        "evidence": (1, 0, 1),
        "prediction": 0.9,
    },
    None: {},
}


@pytest.mark.parametrize("outcome", END_STATES)
def test_the_end_states_of_the_contract(
    api: Api, outcome: str | None, redis_client: redis.Redis
) -> None:
    memory = remember()
    observe(memory, outcome, api)
    assert state(memory, redis_client) == {**START, **END_STATES[outcome]}


def test_pressure_is_resolved_where_confidence_is_low(redis_client: redis.Redis) -> None:
    memory = remember(predicts=False)
    observe(memory, "contradicted")
    # 0.5 - 0.4 is a hair below 0.1 in floating point, and not below 0.1.
    assert not state(memory, redis_client)["resolved"]
    ConfidenceField.update_confidence(memory, "conf", 0.0)
    ConfidenceField.update_confidence(memory, "conf", 0.0)
    observe(memory, "contradicted")
    assert state(memory, redis_client)["resolved"]


@pytest.mark.parametrize(
    ("outcome", "ops"),
    [
        ("acted", ["confidence_update"] * 2 + ["prediction_resolved"]),
        ("used", ["prediction_resolved"]),
        ("dismissed", ["prediction_resolved"]),
        ("deferred", []),
        ("contradicted", ["confidence_update"] * 4 + ["prediction_resolved"]),
    ],
)
def test_what_is_told(outcome: str, ops: list[str], redis_client: redis.Redis) -> None:
    memory = remember()
    observe(memory, outcome)
    events = [fields[b"op"].decode() for _, fields in redis_client.xrange("stream:mutations")]
    assert events == ["create", *ops]


def test_numbers_hold_at_each_call(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Defaults, "ACTED_CYCLE_STRENGTHEN_FACTOR", 3.0)
    assert observation.ACTED_CYCLE_STRENGTHEN_FACTOR == 3.0
    memory = remember()
    monkeypatch.setattr(observation, "ACTED_CONFIDENCE_SIGNAL", 0.6, raising=False)
    observe(memory, "acted")
    assert state(memory, redis_client)["amplitudes"] == [3.0, 6.0]
    assert ConfidenceField.get_confidence(memory, "conf") == pytest.approx(0.6)
    with pytest.raises(AttributeError):
        _ = observation.MISSING


# Many records ----------------------------------------------------------------------------------


def test_ten_records_are_one_round_trip(
    api: Api,
    redis_client: redis.Redis,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    memories = [remember(f"n{number}") for number in range(10)]
    outcomes = {memory.pk: "acted" for memory in memories}
    with round_trips() as seen:
        api(Both().on_context_used, memories, outcomes)
    assert seen.sends == 1
    assert {memory.access_count for memory in memories} == {2}


def test_records_that_are_not_there_are_left_out(api: Api, redis_client: redis.Redis) -> None:
    first, gone, last = (remember(name) for name in ("first", "gone", "last"))
    Memory.query.get(name="gone").delete()
    outcomes = {each.pk: "acted" for each in (first, gone, last)}
    with clock.using(NOW):
        api(Both().on_context_used, [Memory(name="new"), first, gone, last, first], outcomes)
    assert (first.access_count, last.access_count) == (2, 2)
    assert state(first, redis_client)["amplitudes"] == [1.2, 2.4]
    assert redis_client.keys("*Memory:gone*") == []
    assert redis_client.zscore("$DecayingSortF:Memory:relevance", gone.pk) is None
    assert Memory.check_indexes()["total"] == 0


def test_models_may_be_mixed(redis_client: redis.Redis) -> None:
    memory, bare = remember(), Bare.create(name="b")
    ObservationProtocol.on_surfaced([bare, memory])
    assert RecallProposal.get_pending(Bare)[0][0] == "Bare:b"
    ObservationProtocol.on_context_used([bare, memory], {bare.pk: "acted", memory.pk: "used"})
    assert RecallProposal.get_pending(Bare) == []
    assert memory.access_count == 2


def test_wrong_outcomes_change_nothing(api: Api, redis_client: redis.Redis) -> None:
    memory = remember()
    with pytest.raises(
        ValueError, match=r"Invalid outcome 'loved' for 'other'.*\['acted', 'contradicted', 'def"
    ):
        api(Both().on_context_used, [memory], {memory.pk: "acted", "other": "loved"})
    assert memory.access_count == 0
    api(Both().on_context_used, [], {"other": "loved"})
    assert {"acted", "used", "dismissed", "deferred", "contradicted"} == observation.VALID_OUTCOMES


def test_a_pipeline_and_a_transaction(redis_client: redis.Redis) -> None:
    memory = remember()
    pipeline = redis_client.pipeline()
    with clock.using(NOW):
        ObservationProtocol.on_context_used([memory], {memory.pk: "acted"}, pipeline=pipeline)
    assert state(memory, redis_client)["amplitudes"] == [1.0, 2.0]
    pipeline.execute()
    assert state(memory, redis_client) == {**START, **END_STATES["acted"]}
    with transaction() as together:
        ObservationProtocol.on_context_used([memory], {memory.pk: "dismissed"}, pipeline=together)
    assert state(memory, redis_client)["amplitudes"] == pytest.approx([0.96, 1.92])


def test_reads_are_passed_on(redis_client: redis.Redis) -> None:
    memory = Memory.create(name="x")
    ObservationProtocol.on_read(memory)
    ObservationProtocol.on_read(Bare(name="b"))
    assert redis_client.llen("$AT:Memory:staged:Memory:x") == 1


# Proposals -------------------------------------------------------------------------------------


def test_proposals(api: Api, redis_client: redis.Redis) -> None:
    x, y = Memory.create(name="x"), Memory.create(name="y")
    for moment, record in ((100.0, x), (200.0, y), (300.0, x)):
        with clock.using(moment):
            api(RecallProposal.create_batch, [record])
    assert api(RecallProposal.get_pending, Memory) == [("Memory:y", 200.0), ("Memory:x", 300.0)]
    assert redis_client.zcard(RecallProposal._pending_key(Memory)) == 2
    assert RecallProposal._pending_key(x, "p") == "$RP:Memory:pending:p"
    assert RecallProposal._pending_key(x, "") == "$RP:Memory:pending:default"
    assert api(RecallProposal.resolve, x, "whatever") == 1
    assert api(RecallProposal.resolve, x, "whatever") == 0
    with clock.using(200.0 + RecallProposal.DEFAULT_TTL):
        assert api(RecallProposal.expire_stale, Memory) == ["Memory:y"]
        assert api(RecallProposal.expire_stale, Memory) == []
    api(RecallProposal.create_batch, [])
    api(RecallProposal.create_batch, [x])
    assert api(RecallProposal.expire_stale, Memory, ttl=0) == ["Memory:x"]


def test_proposals_in_a_pipeline(redis_client: redis.Redis) -> None:
    x = Memory.create(name="x")
    pipeline = redis_client.pipeline()
    RecallProposal.create_batch([x], partition="p", pipeline=pipeline)
    assert RecallProposal.get_pending(Memory, "p") == []
    pipeline.execute()
    assert [key for key, _ in RecallProposal.get_pending(Memory, "p")] == ["Memory:x"]
    pipeline = redis_client.pipeline()
    assert RecallProposal.expire_stale(Memory, "p", ttl=-10, pipeline=pipeline) == ["Memory:x"]
    assert RecallProposal.resolve(x, "acted", "p", pipeline=pipeline) is pipeline
    assert len(RecallProposal.get_pending(Memory, "p")) == 1
    assert pipeline.execute() == [1, 0]


@pytest.mark.parametrize("partition", ["default", "agent"])
def test_proposals_of_one_partition_are_resolved(partition: str) -> None:
    memory = remember()
    ObservationProtocol.on_context_used([memory], {}, partition=partition)
    other = "agent" if partition == "default" else "default"
    assert RecallProposal.get_pending(Memory, partition) == []
    assert len(RecallProposal.get_pending(Memory, other)) == 1


def test_proposals_follow_their_record(api: Api, redis_client: redis.Redis) -> None:
    memory = remember()
    memory.name = "y"
    api(memory.save, migrate_key=True)
    for partition in (None, "agent"):
        assert RecallProposal.get_pending(Memory, partition) == [("Memory:y", MADE)]
    api(memory.delete)
    assert redis_client.keys("$RP:*") == []
    memory = remember()
    redis_client.delete(memory.pk)
    assert Memory.check_indexes()["companions"]["proposals"] == 2
    Memory.clean_indexes()
    assert redis_client.keys("$RP:*pending*") == []


class Partitioned(Model):
    name = KeyField()
    agent = StringField(default="a")
    relevance = DecayingSortedField(partition_by="agent")
    tense = CyclicDecayField(cycles=[(10, 1.0)], pressure_rate=1, partition_by="agent")
    conf = ConfidenceField(partition_by="agent")


def test_effects_go_to_the_stored_partition(redis_client: redis.Redis) -> None:
    record, late = Partitioned.create(name="x"), Partitioned.query.get(name="x")
    record.agent = "b"
    record.save()
    ObservationProtocol.on_context_used([late], {late.pk: "acted"})
    assert redis_client.keys("*:a") == []
    assert ConfidenceField.get_confidence(Partitioned.query.get(name="x"), "conf") == 0.9
    assert Partitioned.check_indexes()["total"] == 0
