"""Records that are not stored are left out, in pipelines and transactions as well."""

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
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    get_redis,
    transaction,
)
from popoto.exceptions import NotStoredError


class Seen(PredictionLedgerMixin, AccessTrackerMixin, Model):
    name = KeyField()
    place = StringField(default="here")
    sure = ConfidenceField()
    warm = DecayingSortedField(partition_by="place")
    cycle = CyclicDecayField(cycles=[(60, 1.0)], pressure_rate=0.1, partition_by="place")


def never_saved(client: redis.Redis) -> Any:
    return Seen(name="b")


def deleted(client: redis.Redis) -> Any:
    record = Seen.create(name="b")
    record.delete()
    return record


def deleted_by_another(client: redis.Redis) -> Any:
    record = Seen.create(name="b")
    Seen.query.no_track().filter(name="b").all()[0].delete()
    return record


def evicted(client: redis.Redis) -> Any:
    record = Seen.create(name="b")
    client.delete(record.pk)
    return record


GONE: list[Callable[[redis.Redis], Any]] = [never_saved, deleted, deleted_by_another, evicted]


def at_once(*steps: Callable[[Any], Any]) -> None:
    for step in steps:
        step(None)


def in_a_pipeline(*steps: Callable[[Any], Any]) -> None:
    pipeline = get_redis().pipeline()
    for step in steps:
        step(pipeline)
    pipeline.execute()


def in_a_transaction(*steps: Callable[[Any], Any]) -> None:
    with transaction() as together:
        for step in steps:
            step(together)


@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize("go", [at_once, in_a_pipeline, in_a_transaction])
def test_the_others_go_on(gone: Any, go: Any, redis_client: redis.Redis) -> None:
    first, missing, last = Seen.create(name="a"), gone(redis_client), Seen.create(name="c")
    outcomes = dict.fromkeys((first.pk, missing.pk, last.pk), "acted")
    go(
        lambda pipeline: RecallProposal.create_batch([first, missing, last], pipeline=pipeline),
        lambda pipeline: Seen.auto_resolve(missing, "used", pipeline=pipeline),
    )
    assert [key for key, _ in RecallProposal.get_pending(Seen)] == ["Seen:a", "Seen:c"]
    go(
        lambda pipeline: ObservationProtocol.on_context_used(
            [first, missing, last], outcomes, pipeline=pipeline
        )
    )
    for record in (first, last):
        assert ConfidenceField.get_confidence(record, "sure") == 0.9
        assert record.strengthen_cycle("cycle", 1.0) == [[60, 1.2, 0]]
    assert RecallProposal.get_pending(Seen) == []
    assert Seen.query.no_track().filter(name="b").all() == []
    assert redis_client.keys("$*Seen:b") in ([], [b"$KeyF:Seen:name:b"])


def test_what_goes_while_a_pipeline_waits_is_left_out(redis_client: redis.Redis) -> None:
    first, second = Seen.create(name="a"), Seen.create(name="b")
    pipeline = get_redis().pipeline()
    RecallProposal.create_batch([second, first], pipeline=pipeline)
    outcomes = {first.pk: "acted", second.pk: "acted"}
    ObservationProtocol.on_context_used([second, first], outcomes, pipeline=pipeline)
    second.delete()
    pipeline.execute()
    assert ConfidenceField.get_confidence(first, "sure") == 0.9
    assert [key for key in redis_client.keys("*") if b"Seen:b" in key] == []


def test_a_record_that_has_moved_meanwhile_is_an_error_still(redis_client: redis.Redis) -> None:
    record = Seen.create(name="a")
    pipeline = get_redis().pipeline()
    ObservationProtocol.on_context_used([record], {record.pk: "dismissed"}, pipeline=pipeline)
    other: Any = Seen.query.get(name="a")
    other.place = "there"
    other.save()
    with pytest.raises(redis.ResponseError, match="holds guard failed"):
        pipeline.execute()


def test_what_asks_for_a_stored_record_is_refused_still() -> None:
    record = deleted_by_another(get_redis())
    together = transaction()
    RecallProposal.create_batch([record], pipeline=together)
    record.touch("warm", pipeline=together)
    with pytest.raises(NotStoredError):
        together.commit()
    with pytest.raises((ModelException, TypeError)):
        record.confirm_access()


def test_others_may_learn_and_be_touched_in_any_order() -> None:
    """Only what writes a base score anew is refused, and a touch does not."""

    class Based(Model):
        name = KeyField()
        sure = ConfidenceField()
        warm = DecayingSortedField(base_score_field="sure")

    record = Based.create(name="a")
    with transaction() as together:
        ConfidenceField.update_confidence(record, "sure", 0.9, pipeline=together)
        record.touch("warm", pipeline=together)
    assert ConfidenceField.get_confidence(record, "sure") == 0.9
    assert Based.check_indexes()["total"] == 0
