"""A confidence that the server will compute, and what else is done to its record in one go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    get_redis,
    transaction,
)


class Idea(Model):
    name = KeyField()
    place = IndexedField(default="here")
    count = IntField(default=0)
    sure = ConfidenceField(partition_by="place")
    rank = DecayingSortedField(base_score_field="sure", partition_by="place")


class Plain(Model):
    name = KeyField()
    place = IndexedField(default="here")
    sure = ConfidenceField(partition_by="place")


def learn(record: Any, pipeline: Any) -> None:
    ConfidenceField.update_confidence(record, "sure", 0.9, pipeline=pipeline)


def observe(record: Any, pipeline: Any) -> None:
    ObservationProtocol.on_context_used([record], {record.pk: "contradicted"}, pipeline=pipeline)


def delete(record: Any, pipeline: Any) -> None:
    record.delete(pipeline=pipeline)


def move(record: Any, pipeline: Any) -> None:
    record.place = "there"
    record.save(pipeline=pipeline)


def change(record: Any, pipeline: Any) -> None:
    record.count += 1
    record.save(pipeline=pipeline)


@pytest.mark.parametrize("adjust", [learn, observe])
@pytest.mark.parametrize("write", [delete, move, change])
@pytest.mark.parametrize("is_another", [False, True])
def test_a_pipeline_refuses_at_once_what_its_guards_would(
    adjust: Callable[..., None], write: Callable[..., None], is_another: bool
) -> None:
    idea = Idea.create(name="a")
    other: Any = Idea.query.get(name="a") if is_another else idea
    pipeline = get_redis().pipeline()
    adjust(idea, pipeline)
    waiting = len(pipeline)
    with pytest.raises(ModelException, match=r"cannot wait in this pipeline behind .*'sure'"):
        write(other, pipeline)
    assert len(pipeline) == waiting
    pipeline.execute()
    assert ConfidenceField.get_confidence(idea, "sure") != 0.5
    assert Idea.check_indexes()["total"] == 0
    write(other, None)
    assert Idea.check_indexes()["total"] == 0


@pytest.mark.parametrize("write", [move, change])
def test_the_other_way_round_both_are_done(write: Callable[..., None]) -> None:
    idea = Idea.create(name="a")
    pipeline = get_redis().pipeline()
    write(idea, pipeline)
    learn(idea, pipeline)
    pipeline.execute()
    loaded: Any = Idea.query.get(name="a")
    assert ConfidenceField.get_confidence(loaded, "sure") == 0.9
    assert Idea.check_indexes()["total"] == 0


def test_where_nothing_follows_from_a_confidence_both_are_done() -> None:
    for write in (delete, move):
        record = Plain.create(name="a", place="here")
        pipeline = get_redis().pipeline()
        learn(record, pipeline)
        write(record, pipeline)
        pipeline.execute()
        assert Plain.check_indexes()["total"] == 0
        Plain.delete_all()


@pytest.mark.parametrize("model", [Idea, Plain])
@pytest.mark.parametrize("learns_first", [True, False])
def test_a_transaction_moves_no_record_while_it_learns(model: Any, learns_first: bool) -> None:
    record = model.create(name="a")
    together = transaction()
    record.place = "there"
    if learns_first:
        learn(record, together)
    together.save(record)
    if not learns_first:
        learn(record, together)
    with pytest.raises(ModelException, match="cannot be in one transaction"):
        together.commit()
    loaded = model.query.get(name="a")
    assert (loaded.place, ConfidenceField.get_confidence(loaded, "sure")) == ("here", 0.5)
    assert model.check_indexes()["total"] == 0


def test_a_transaction_changes_or_deletes_it_and_learns() -> None:
    idea = Idea.create(name="a")
    with transaction() as together:
        learn(idea, together)
        idea.count = 3
        together.save(idea)
    loaded: Any = Idea.query.get(name="a")
    assert (loaded.count, ConfidenceField.get_confidence(loaded, "sure")) == (3, 0.9)
    with transaction() as together:
        learn(loaded, together)
        together.delete(loaded)
    assert Idea.query.count() == 0
    assert Idea.check_indexes()["total"] == 0


class Whole(AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    cycle = CyclicDecayField(cycles=[(86_400, 1.0)], pressure_rate=0.1)
    sure = ConfidenceField()


def adjust_all(record: Any, together: Any) -> None:
    learn(record, together)
    record.strengthen_cycle("cycle", 2.0, pipeline=together)
    record.resolve_pressure("cycle", pipeline=together)
    record.on_read(pipeline=together)
    record.confirm_access(pipeline=together)
    Whole.record_prediction(record, {"x": 1}, pipeline=together)
    record.renew_ttl(1_000, pipeline=together)


@pytest.mark.parametrize("adjusts_first", [True, False])
def test_what_a_transaction_adjusts_goes_with_a_record_that_it_deletes(
    adjusts_first: bool, redis_client: redis.Redis
) -> None:
    record = Whole.create(name="a")
    with transaction() as together:
        if adjusts_first:
            adjust_all(record, together)
        together.delete(record)
        if not adjusts_first:
            adjust_all(record, together)
    assert redis_client.keys("*") == []
    assert together.results[-1 if adjusts_first else 0] is True


@pytest.mark.parametrize("adjusts_first", [True, False])
def test_what_a_transaction_adjusts_follows_a_record_that_it_moves(
    adjusts_first: bool, redis_client: redis.Redis
) -> None:
    record = Whole.create(name="old")
    record.name = "new"
    with transaction() as together:
        if adjusts_first:
            adjust_all(record, together)
        together.save(record, migrate_key=True)
        if not adjusts_first:
            adjust_all(record, together)
    assert redis_client.keys("*Whole:old*") == []
    assert Whole.check_indexes()["total"] == 0
    assert ConfidenceField.get_confidence(record, "sure") == 0.9
    assert record.strengthen_cycle("cycle", 1.0) == [[86_400, 2.0, 0]]
    assert (record.access_count, redis_client.ttl("Whole:new") > 900) == (1, True)
    assert Whole.get_prediction_data(record) is not None


def is_read(record: Any, together: Any) -> None:
    record.on_read(pipeline=together)


def reads_are_forgotten(record: Any, together: Any) -> None:
    record.discard_staged_access(pipeline=together)


def proposal_is_resolved(record: Any, together: Any) -> None:
    RecallProposal.resolve(record, "acted", pipeline=together)


@pytest.mark.parametrize(
    ("happens", "staged", "pending"),
    [(is_read, 2, 1), (reads_are_forgotten, 0, 1), (proposal_is_resolved, 1, 0)],
)
@pytest.mark.parametrize("moves_first", [True, False])
def test_what_needs_no_record_follows_one_that_moves_too(
    happens: Any, staged: int, pending: int, moves_first: bool, redis_client: redis.Redis
) -> None:
    record = Whole.create(name="old")
    record.on_read()
    RecallProposal.create_batch([record])
    record.name = "new"
    with transaction() as together:
        if moves_first:
            together.save(record, migrate_key=True)
        happens(record, together)
        if not moves_first:
            together.save(record, migrate_key=True)
    assert redis_client.keys("*Whole:old*") == []
    assert redis_client.llen("$AT:Whole:staged:Whole:new") == staged
    assert len(RecallProposal.get_pending(Whole)) == pending


class Ranked(PredictionLedgerMixin, Model):
    name = KeyField()
    count = IntField(default=0)
    sure = ConfidenceField(initial_confidence=0.8)
    rank = DecayingSortedField(base_score_field="sure")


def is_disproved(record: Any, together: Any) -> None:
    Ranked.resolve_prediction(record, {"x": 9}, pipeline=together)


def keeps_its_key(record: Any, together: Any) -> None:
    record.count += 1
    together.save(record)


def moves_away(record: Any, together: Any) -> None:
    record.name = "new"
    together.save(record, migrate_key=True)


def is_ranked_anew(record: Any, together: Any) -> None:
    together.save(record, update_fields=["rank"])


def is_set(record: Any, together: Any) -> None:
    record.sure = 0.3
    together.save(record, update_fields=["sure", "rank"])


@pytest.fixture
def ranked() -> Any:
    record = Ranked.create(name="a")
    Ranked.record_prediction(record, {"x": 1})
    return record


@pytest.mark.parametrize("learns", [learn, is_disproved])
@pytest.mark.parametrize(
    ("writes", "learns_first"), [(moves_away, True), (moves_away, False), (is_ranked_anew, True)]
)
def test_a_transaction_writes_no_base_score_that_it_learns(
    ranked: Any, learns: Any, writes: Any, learns_first: bool
) -> None:
    """It was written as it had been before: rankings went by that from then on."""
    together = transaction()
    for step in (learns, writes) if learns_first else (writes, learns):
        step(ranked, together)
    with pytest.raises(ModelException, match=r"'sure' is the base score of Ranked\.rank"):
        together.commit()
    assert Ranked.query.get(name="a").sure == 0.8
    learns(Ranked.query.get(name="a"), None)
    assert Ranked.check_indexes()["total"] == 0


@pytest.mark.parametrize("learns", [learn, is_disproved])
@pytest.mark.parametrize(
    ("writes", "learns_first"),
    [
        (keeps_its_key, True),
        (keeps_its_key, False),
        (is_set, True),
        (is_set, False),
        (is_ranked_anew, False),
    ],
)
def test_otherwise_both_are_done(ranked: Any, learns: Any, writes: Any, learns_first: bool) -> None:
    with transaction() as together:
        for step in (learns, writes) if learns_first else (writes, learns):
            step(ranked, together)
    assert Ranked.check_indexes()["total"] == 0
    expected = 0.2 if learns is is_disproved else 0.9
    assert ConfidenceField.get_confidence(ranked, "sure") == pytest.approx(expected)
    if writes is is_set and learns_first:
        expected = 0.3
    assert Ranked.query.get(name="a").sure == pytest.approx(expected)


def test_a_pipeline_refuses_a_save_behind_a_resolution_that_lowers_confidence(ranked: Any) -> None:
    pipeline = get_redis().pipeline()
    is_disproved(ranked, pipeline)
    with pytest.raises(ModelException, match=r"cannot wait in this pipeline behind .*'sure'"):
        change(ranked, pipeline)
    pipeline.execute()
    assert ConfidenceField.get_confidence(ranked, "sure") == pytest.approx(0.2)


def test_a_resolution_that_lowers_none_is_in_the_way_of_none(ranked: Any) -> None:
    pipeline = get_redis().pipeline()
    Ranked.resolve_prediction(ranked, {"x": 1}, pipeline=pipeline)
    change(ranked, pipeline)
    pipeline.execute()
    assert Ranked.query.get(name="a").count == 1
    assert Ranked.check_indexes()["total"] == 0


@pytest.mark.parametrize("recorded", ["before", "in the pipeline", "behind the move"])
def test_a_pipeline_resolves_the_prediction_of_a_record_that_it_moves(
    ranked: Any, recorded: str
) -> None:
    """The error was 0, as nothing stands under the new key yet."""
    pipeline = get_redis().pipeline()
    if recorded == "in the pipeline":
        Ranked.record_prediction(ranked, {"x": 3}, pipeline=pipeline)
    ranked.name = "b"
    ranked.save(migrate_key=True, pipeline=pipeline)
    ranked.name = "c"
    ranked.save(migrate_key=True, pipeline=pipeline)
    if recorded == "behind the move":
        Ranked.record_prediction(ranked, {"x": 3}, pipeline=pipeline)
    Ranked.resolve_prediction(ranked, {"x": 4}, pipeline=pipeline)
    pipeline.execute()
    error = 0.75 if recorded == "before" else 0.25
    assert Ranked.get_highest_errors(Ranked) == [("Ranked:c", error)]
    found = Ranked.get_prediction_data(ranked)
    assert found is not None
    assert (found["resolved"], found["prediction_error"]) == (True, error)


def test_nothing_is_open_where_a_pipeline_has_resolved_it_before_the_move(ranked: Any) -> None:
    pipeline = get_redis().pipeline()
    Ranked.auto_resolve(ranked, "used", pipeline=pipeline)
    ranked.name = "b"
    ranked.save(migrate_key=True, pipeline=pipeline)
    waiting = len(pipeline)
    assert Ranked.resolve_prediction(ranked, {"x": 4}, pipeline=pipeline) is pipeline
    assert len(pipeline) == waiting
    pipeline.execute()
    assert Ranked.get_highest_errors(Ranked) == [("Ranked:b", 0.3)]


def test_a_record_may_learn_and_be_touched() -> None:
    """Only what writes a base score anew is refused, and a touch does not."""

    record = Ranked.create(name="a")
    with transaction() as together:
        ConfidenceField.update_confidence(record, "sure", 0.9, pipeline=together)
        record.touch("rank", pipeline=together)
    assert ConfidenceField.get_confidence(record, "sure") == 0.9
    assert Ranked.check_indexes()["total"] == 0
