"""What a transaction does to the memory of a record that it also writes, moves or deletes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EventStreamMixin,
    FloatField,
    IntField,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    StringField,
    clock,
    explain_confidence,
    transaction,
)
from popoto.exceptions import NotStoredError

NOW = 1_700_000_000.0


class Memo(EventStreamMixin, AccessTrackerMixin, Model):
    name = KeyField()
    text = StringField(default="")
    topic = StringField(default="tea")
    uses = IntField(default=0)
    weight = FloatField(default=1.0)
    warm = DecayingSortedField(partition_by="topic", base_score_field="weight")
    sure = ConfidenceField()
    links = CoOccurrenceField()

    class Meta:
        history = True


LINKS: Any = Memo._meta.fields["links"]
Step = Callable[[Any, Any], Any]


def acted(memo: Any, together: Any) -> None:
    ObservationProtocol.on_context_used([memo], {memo.pk: "acted"}, pipeline=together)


def save(memo: Any, together: Any) -> None:
    memo.text = "new"
    together.save(memo)


def save_the_text(memo: Any, together: Any) -> None:
    memo.text = "new"
    together.save(memo, update_fields=["text"])


def save_elsewhere(memo: Any, together: Any) -> None:
    memo.topic = "cake"
    together.save(memo)


def move(memo: Any, together: Any) -> None:
    memo.name = "moved"
    together.save(memo, migrate_key=True)


def count(memo: Any, together: Any) -> None:
    together.increment(memo, "uses", 2)


@pytest.fixture
def memo() -> Memo:
    with clock.using(NOW):
        return Memo.create(name="a")


@pytest.mark.parametrize("write", [save, save_the_text, save_elsewhere, move, count])
@pytest.mark.parametrize("acts_first", [True, False])
def test_an_outcome_goes_with_a_write_of_its_record(
    memo: Memo, write: Step, acts_first: bool
) -> None:
    steps = [acted, write] if acts_first else [write, acted]
    with clock.using(NOW + 60), transaction() as together:
        for step in steps:
            step(memo, together)
    (stored,) = Memo.query.no_track().all()
    assert stored.warm == memo.warm == NOW + 60
    assert stored.sure == memo.sure == 0.9
    assert (stored.text, stored.topic, stored.uses) == (memo.text, memo.topic, memo.uses)
    top = Memo.query.filter(topic=stored.topic).no_track().top_by_decay()
    assert [each.pk for each in top] == [memo.pk]
    assert explain_confidence(stored).is_whole
    assert Memo.check_indexes()["total"] == 0
    memo.save()
    assert Memo.check_indexes()["total"] == 0


@pytest.mark.parametrize("acts_first", [True, False])
def test_an_outcome_goes_with_its_record(
    memo: Memo, redis_client: redis.Redis, acts_first: bool
) -> None:
    with transaction() as together:
        if acts_first:
            acted(memo, together)
        together.delete(memo)
        if not acts_first:
            acted(memo, together)
    assert {key for key in redis_client.keys("*") if not key.startswith(b"stream:")} == set()


def test_another_instance_of_the_record_has_the_moment_that_is_stored(memo: Memo) -> None:
    other: Any = Memo.query.get(name="a")
    with clock.using(NOW + 60), transaction() as together:
        save(memo, together)
    with transaction() as together:
        with clock.using(NOW + 90):
            save(memo, together)
        with clock.using(NOW + 120):
            other.touch("warm", pipeline=together)
    assert together.results[1] == other.warm == memo.warm == NOW + 90
    other.text = "newer"
    other.save()
    assert Memo.check_indexes()["total"] == 0


def write_the_moment(memo: Any, together: Any) -> None:
    memo.warm = 5.0
    together.save(memo, skip_auto_now=True)


def save_the_topic(memo: Any, together: Any) -> None:
    memo.topic = "cake"
    together.save(memo, update_fields=["topic"])


def add_to_the_base(memo: Any, together: Any) -> None:
    together.increment(memo, "weight", 2)


@pytest.mark.parametrize("write", [write_the_moment, save_the_topic, add_to_the_base])
@pytest.mark.parametrize("acts_first", [True, False])
def test_two_writes_of_one_ranking_are_refused_and_none_of_the_second_is_taken_up(
    memo: Memo, write: Step, acts_first: bool
) -> None:
    another: Any = Memo.create(name="b")
    together = transaction()
    if acts_first:
        acted(memo, together)
        with pytest.raises(ModelException, match="takes part in this transaction already"):
            write(memo, together)
    else:
        write(memo, together)
        outcomes = {another.pk: "acted", memo.pk: "acted"}
        with pytest.raises(ModelException, match="takes part in this transaction already"):
            ObservationProtocol.on_context_used([another, memo], outcomes, pipeline=together)
    together.commit()
    assert ConfidenceField.get_confidence(another, "sure") == 0.5
    assert Memo.check_indexes()["total"] == 0


def test_a_touch_beside_a_save_of_a_record_that_is_gone_is_refused_with_it(memo: Memo) -> None:
    loaded: Any = Memo.query.get(name="a")
    loaded.delete()
    together = transaction()
    save_the_text(memo, together)
    memo.touch("warm", pipeline=together)
    with pytest.raises(NotStoredError):
        together.commit()
    assert Memo.query.count() == 0


def unaffected(redis_client: redis.Redis) -> list[bytes]:
    return [key for key in redis_client.keys("*") if b"links" in key]


@pytest.mark.parametrize("change", [LINKS.link, LINKS.strengthen])
@pytest.mark.parametrize("end", [0, 1])
def test_an_edge_goes_with_a_record_that_is_deleted_before_it(
    redis_client: redis.Redis, change: Callable[..., Any], end: int
) -> None:
    ends = [Memo.create(name=name) for name in "ab"]
    with transaction() as together:
        together.delete(ends[end])
        change(Memo, *ends, 0.5, pipeline=together)
    assert unaffected(redis_client) == []


def test_an_edge_follows_a_record_that_moves_before_it(memo: Memo) -> None:
    other = Memo.create(name="b")
    with transaction() as together:
        move(memo, together)
        LINKS.bulk_link(Memo, [("Memo:a", other)], 0.5, pipeline=together)
    assert LINKS.get_linked(Memo, memo) == [("Memo:b", 0.5)]
    assert LINKS.get_linked(Memo, other) == [("Memo:moved", 0.5)]


def test_events_are_in_the_order_of_what_was_asked_for(redis_client: redis.Redis) -> None:
    first, second, third = (Memo.create(name=name) for name in "abc")
    redis_client.delete("stream:mutations")
    second.text = "new"
    with transaction() as together:
        together.delete(first)
        together.save(second)
        together.delete(third)
        ConfidenceField.update_confidence(third, "sure", 1, pipeline=together)
        ConfidenceField.update_confidence(first, "sure", 0, pipeline=together)
    events = [fields for _, fields in redis_client.xrange("stream:mutations")]
    assert [(fields[b"op"].decode(), fields[b"pk"].decode()) for fields in events] == [
        ("confidence_update", "Memo:a"),
        ("delete", "Memo:a"),
        ("update", "Memo:b"),
        ("confidence_update", "Memo:c"),
        ("delete", "Memo:c"),
    ]
    assert together.results == [True, 0, True, 1.0, 0.0]
