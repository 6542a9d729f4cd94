"""Today's confidence, computed anew from the history, to the last bit, and what it says if cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import popoto
from popoto import (
    ConfidenceField,
    History,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    StringField,
    async_explain_confidence,
    clock,
    explain_confidence,
)
from popoto.fields.history.explaining import ConfidenceExplanation
from tests.driver import Api, RoundTrips
from tests.memory.remembered import NOW, Brief, Fact, fact, learn

SIGNALS = st.floats(0, 1)


class Explain:
    """Functions as bound methods, which is how a test calls both twins."""

    def explain_confidence(self, *arguments: Any) -> ConfidenceExplanation:
        return explain_confidence(*arguments)

    async def async_explain_confidence(self, *arguments: Any) -> ConfidenceExplanation:
        return await async_explain_confidence(*arguments)


def stored(record: Any) -> tuple[float, int]:
    data = ConfidenceField.get_confidence_data(record, "certainty")
    return data["confidence"], data["evidence_count"]


def comes_to_what_is_stored(explained: ConfidenceExplanation, record: Any) -> bool:
    replayed = explained.replayed.confidence, explained.replayed.evidence_count
    shown = explained.confidence, explained.evidence_count
    return explained.is_exact and replayed == shown == stored(record)


@given(
    initial=st.floats(0, 1),
    signals=st.lists(SIGNALS, max_size=30),
    most=st.one_of(st.none(), st.integers(1, 40)),
)
@settings(max_examples=60)
def test_the_replay_gives_the_stored_value(
    initial: float, signals: Sequence[float], most: int | None
) -> None:
    class Claim(Model):
        name = KeyField()
        certainty = ConfidenceField(initial_confidence=initial)

        class Meta:
            history = History(max_length=most)

    Claim.delete_all()
    record = Claim.create(name="a")
    known = [stored(record)]
    for signal in signals:
        learn(record, signal)
        known.append(stored(record))
    explained = explain_confidence(record)
    kept = len(signals) if most is None else min(most, len(signals))
    assert comes_to_what_is_stored(explained, record)
    assert [step.entry.signal for step in explained.steps] == list(signals[len(signals) - kept :])
    # Every step is what was stored then.
    start = explained.start.confidence, explained.start.evidence_count
    after = [(each.after.confidence, each.after.evidence_count) for each in explained.steps]
    assert [start, *after] == known[len(signals) - kept :]
    assert explained.missing == len(signals) - kept
    assert explained.is_whole == (kept == len(signals))


@given(st.lists(st.sampled_from(["signal", "acted", "contradicted", "prediction"]), max_size=12))
@settings(max_examples=30)
def test_it_does_so_whatever_has_moved_it(causes: Sequence[str]) -> None:
    Fact.delete_all()
    record = Fact.create(name="a")
    for number, cause in enumerate(causes):
        if cause == "signal":
            learn(record, number / 12)
        elif cause == "prediction":
            Fact.record_prediction(record, {"x": number})
            Fact.resolve_prediction(record, {"x": number + 1})
        else:
            ObservationProtocol.on_context_used([record], {record.pk: cause})
    explained = explain_confidence(record)
    assert comes_to_what_is_stored(explained, record)
    assert explained.is_whole


def test_an_explanation_in_words(api: Api) -> None:
    record = fact()
    with clock.using(NOW):
        with popoto.acting_as("ada"):
            learn(record, 0.9)
        api(ObservationSteps().on_context_used, [record], {record.pk: "contradicted"})
    assert str(api(Explain().explain_confidence, record, "certainty")) == (
        f"Fact:a certainty: {record.certainty!r} after 2 signals\n"
        "  begins with 0.5\n"
        "  2023-11-14 22:13:20.250+00:00  0.5 + (0.9 - 0.5) / sqrt(1) = 0.9 "
        "(update_confidence, signal 0.9, by ada)\n"
        "  2023-11-14 22:13:20.250+00:00  0.9 + (0.1 - 0.9) / sqrt(2) = "
        f"{record.certainty!r} (on_context_used: contradicted, signal 0.1)"
    )


class ObservationSteps:
    def on_context_used(self, *arguments: Any) -> None:
        ObservationProtocol.on_context_used(*arguments)

    async def async_on_context_used(self, *arguments: Any) -> None:
        await ObservationProtocol.async_on_context_used(*arguments)


def test_a_confidence_without_signals_is_as_it_began() -> None:
    explained = explain_confidence(fact())
    assert (explained.confidence, explained.steps, explained.is_whole) == (0.5, (), True)
    assert str(explained) == "Fact:a certainty: 0.5 after 0 signals\n  begins with 0.5"


def test_it_says_where_the_history_was_cut() -> None:
    record = Brief.create(name="a")
    known = learn(record, 0.1)
    for signal in (0.2, 0.3, 0.4):
        learn(record, signal)
    explained = explain_confidence(record)
    assert (explained.start.confidence, explained.missing) == (known, 1)
    assert not explained.is_whole
    assert explained.is_exact
    assert str(explained).splitlines()[1] == (
        f"  begins with {known!r}: 1 signal before that cannot be replayed (the history keeps 3 "
        "entries, and may have begun later than the record)"
    )


def test_it_says_so_where_all_of_it_is_too_old() -> None:
    class Dated(Model):
        name = KeyField()
        certainty = ConfidenceField()

        class Meta:
            history = History(max_length=None, max_age=60)

    with clock.using(NOW):
        record = Dated.create(name="a")
        learn(record, 0.9)
    with clock.using(NOW + 61):
        explained = explain_confidence(record)
    assert (explained.start.confidence, explained.steps, explained.missing) == (0.9, (), 1)
    assert "the history keeps 60 seconds" in str(explained)


def test_a_history_that_begins_later_than_the_record() -> None:
    def claim(*, keeps: bool) -> Any:
        class Claim(Model):
            name = KeyField()
            certainty = ConfidenceField()

            class Meta:
                history = History(None) if keeps else None

        return Claim

    before = claim(keeps=False).create(name="a")
    learn(before, 0.9)
    record = claim(keeps=True).query.get(name="a")
    explained = explain_confidence(record)
    assert (explained.missing, explained.confidence) == (1, 0.9)
    learn(record, 0.1)
    explained = explain_confidence(record)
    assert (explained.missing, len(explained.steps)) == (1, 1)
    assert comes_to_what_is_stored(explained, record)
    assert "the history keeps everything" in str(explained)


def test_it_says_where_something_else_has_changed_the_evidence(redis_client: redis.Redis) -> None:
    record = fact()
    learn(record, 0.9)
    key = "$ConfidencF:Fact:certainty:data:work"
    kept = redis_client.hget(key, record.pk)
    learn(record, 0.1)
    assert kept is not None
    redis_client.hset(key, record.pk, kept)
    explained = explain_confidence(record)
    assert not explained.is_exact
    assert not explained.is_whole
    assert "which is not what is stored" in str(explained)
    learn(record, 0.2)
    explained = explain_confidence(record)
    assert comes_to_what_is_stored(explained, record)
    assert [step.follows for step in explained.steps] == [True, True, False]
    assert not explained.is_whole
    assert "goes on with 0.9 after 1 signal: something changed it" in str(explained)


def test_it_says_so_where_a_signal_is_forgotten_that_changed_nothing(
    redis_client: redis.Redis,
) -> None:
    record = fact()
    learn(record, 0.9)
    key = "$ConfidencF:Fact:certainty:data:work"
    kept = redis_client.hget(key, record.pk)
    learn(record, 0.9)
    assert kept is not None
    redis_client.hset(key, record.pk, kept)
    explained = explain_confidence(record)
    assert explained.replayed.confidence == explained.confidence
    assert not explained.is_exact


def test_evidence_that_another_partition_has_is_carried_along() -> None:
    record = fact()
    learn(record, 0.9)
    record.topic = "play"
    record.save()
    learn(record, 0.2)
    explained = explain_confidence(record)
    assert comes_to_what_is_stored(explained, record)
    assert len(explained.steps) == 2


def test_evidence_that_was_moved_to_partitions() -> None:
    def claim(partition: str | None) -> Any:
        class Claim(Model):
            name = KeyField()
            topic = StringField(default="work")
            certainty = ConfidenceField(partition_by=partition or ())

            class Meta:
                history = True

        return Claim

    record = claim(None).create(name="a")
    learn(record, 0.9)
    learn(record, 0.4)
    Divided = claim("topic")
    ConfidenceField.migrate_to_partitioned(Divided, "certainty")
    record = Divided.query.get(name="a")
    learn(record, 0.3)
    explained = explain_confidence(record)
    assert comes_to_what_is_stored(explained, record)
    assert [step.entry.cause for step in explained.steps] == [
        *("update_confidence", "update_confidence", "migrate_to_partitioned", "update_confidence"),
    ]
    assert all(step.follows for step in explained.steps)
    assert [step.before for step in explained.steps[1:]] == [
        step.after for step in explained.steps[:-1]
    ]
    assert "taken over: " in str(explained)


def test_one_script_reads_the_number_and_its_history(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    record = fact()
    explain_confidence(record)
    with round_trips() as seen:
        api(Explain().explain_confidence, record)
    assert seen.sends == 1


def test_a_confidence_that_moves_meanwhile_is_explained_all_the_same() -> None:
    record = fact()

    async def move() -> None:
        for number in range(20):
            await ConfidenceField.async_update_confidence(record, "certainty", number / 20)

    async def explain() -> list[ConfidenceExplanation]:
        return [await async_explain_confidence(record) for _ in "1234567"]

    async def both() -> list[ConfidenceExplanation]:
        _, found = await asyncio.gather(move(), explain())
        return found

    assert all(each.is_whole for each in asyncio.run(both()))


def test_what_cannot_be_explained(api: Api) -> None:
    class Plain(Model):
        name = KeyField()
        certainty = ConfidenceField()

    class Twice(Model):
        name = KeyField()
        one = ConfidenceField()
        other = ConfidenceField()

        class Meta:
            history = True

    explain = Explain().explain_confidence
    with pytest.raises(ModelException, match="history = True"):
        api(explain, Plain.create(name="a"))
    record = Twice.create(name="a")
    for name in (None, "name", "missing"):
        with pytest.raises(TypeError, match="one, other"):
            api(explain, record, name)
    assert api(explain, record, "other").field == "other"


def test_each_field_has_signals_of_its_own() -> None:
    class Pair(Model):
        name = KeyField()
        one = ConfidenceField()
        other = ConfidenceField()

        class Meta:
            history = True

    record = Pair.create(name="a")
    ConfidenceField.update_confidence(record, "one", 0.9)
    ConfidenceField.update_confidence(record, "other", 0.2)
    for name, signal in (("one", 0.9), ("other", 0.2)):
        explained = explain_confidence(record, name)
        assert [step.entry.signal for step in explained.steps] == [signal]
        assert explained.is_whole
