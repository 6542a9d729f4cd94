"""Which entries of a history are kept and read, and which models keep one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    History,
    KeyField,
    ListField,
    Model,
    ModelException,
    clock,
)
from popoto.engine.scripts import COMMIT
from tests.driver import Api, RoundTrips
from tests.memory.remembered import NOW, Brief, Fact, fact, learn

# Reading -----------------------------------------------------------------------------------------


def test_the_latest_entries_and_those_since_a_moment(api: Api) -> None:
    record = fact()
    for moment in (1.0, 2.0, 3.0):
        with clock.using(moment):
            learn(record, 0.5)
    read = record.history
    assert [each.at for each in api(read)] == [1.0, 2.0, 3.0]
    assert [each.at for each in api(read, limit=2)] == [2.0, 3.0]
    assert api(read, limit=0) == []
    assert [each.at for each in api(read, since=2.0)] == [2.0, 3.0]
    assert [each.at for each in api(read, limit=1, since=2.0)] == [3.0]
    assert [each.at for each in api(read, since=datetime.fromtimestamp(3, UTC))] == [3.0]
    assert api(read, since=3.5) == []
    for limit in (-1, True):
        with pytest.raises(ValueError, match="limit"):
            api(read, limit=limit)


def test_clocks_that_disagree_do_not_change_the_order() -> None:
    record = fact()
    for moment in (3.0, 1.0, 2.0):
        with clock.using(moment):
            learn(record, 0.5)
    assert [each.at for each in record.history()] == [3.0, 1.0, 2.0]
    assert [each.at for each in record.history(since=2.0)] == [3.0, 2.0]
    assert [each.at for each in record.history(since=2.0, limit=1)] == [2.0]
    assert [each.at for each in record.history(since=2.5, limit=1)] == [3.0]


def test_reading_is_one_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    record = fact()
    with round_trips() as seen:
        api(record.history, limit=1)
    assert seen.sends == 1


def test_entries_in_words() -> None:
    record = fact()
    with clock.using(NOW), popoto.acting_as("ada"):
        learn(record, 0.9)
        Fact.links.link(Fact, record.pk, "rain", 0.5)
    with clock.using(1e18):
        record.touch("seen")
    confidence, link, touch = map(str, record.history())
    assert confidence == (
        "2023-11-14 22:13:20.250+00:00  confidence certainty: 0.5 -> 0.9 "
        "(update_confidence, signal 0.9, by ada)"
    )
    assert link.endswith("link links to rain: None -> 0.5 (link, by ada)")
    assert touch.startswith("second 1e+18  decay seen: ")


def test_what_is_no_entry_is_left_out(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    record = fact()
    learn(record, 0.9)
    key = "$History:Fact:Fact:a"
    (_, entry), *_ = redis_client.xrange(key)
    redis_client.xadd(key, {"some": "thing"})
    redis_client.xadd(key, {**entry, b"kind": b"weather"})
    redis_client.xadd(key, {**entry, b"to": b"very"})
    assert len(record.history()) == 1
    assert caplog.text.count("left out of a history") == 3


# Where it is kept --------------------------------------------------------------------------------


def test_a_model_keeps_none_unless_it_says_so(api: Api, redis_client: redis.Redis) -> None:
    class Plain(Model):
        name = KeyField()
        certainty = ConfidenceField()
        seen = DecayingSortedField()

    record = Plain.create(name="a")
    learn(record, 0.9)
    record.touch("seen")
    assert redis_client.keys("*History*") == []
    with pytest.raises(ModelException, match="history = True"):
        api(record.history)


def test_what_is_sent_does_not_change_where_none_is_kept(redis_client: redis.Redis) -> None:
    """The same commands as before there were histories, on keys of the same names."""

    def plain(keeps: bool) -> Any:
        class Plain(Model):
            name = KeyField()
            certainty = ConfidenceField()
            seen = DecayingSortedField()

            class Meta:
                history = keeps

        return Plain

    def words(model: Any) -> set[str]:
        redis_client.flushall()
        # Of other moments the monitor may tell bytes that look like the end of a word.
        with clock.using(1_700_000_000):
            record = model.create(name="a")
        with redis_client.monitor() as monitor:
            with clock.using(1_700_000_060):
                learn(record, 0.9)
                record.touch("seen")
            with clock.using(1_700_000_120):
                record.save()
            redis_client.ping()
            seen: set[str] = set()
            while "PING" not in seen:
                seen |= set(monitor.next_command()["command"].split())
        return {word for word in seen if word in ("NOTE", "NOTED", "XADD")}

    assert words(plain(keeps=False)) == set()
    assert words(plain(keeps=True)) == {"NOTE", "NOTED", "XADD"}


@pytest.mark.single_server("watches what one server is sent")
def test_a_save_takes_the_plain_script_where_none_is_kept(redis_client: redis.Redis) -> None:
    class Calm(Model):
        name = KeyField()
        at = CyclicDecayField(cycles=[(60, 0.5)])
        still = CyclicDecayField()

        class Meta:
            history = False

    record = Calm.create(name="a")
    with redis_client.monitor() as monitor:
        record.save(update_fields=["still"])
        seen = [monitor.next_command()["command"]]
        while "EVAL" not in seen[-1].upper():
            seen.append(monitor.next_command()["command"])
    assert seen[-1].startswith(f"EVALSHA {COMMIT.digest}")


def test_bases_hand_it_down_and_classes_may_do_without() -> None:
    class Base(Model):
        name = KeyField()

        class Meta:
            abstract = True
            history = History(max_length=7)

    class Kept(Base):
        pass

    class Silent(Base):
        class Meta:
            history = False

    assert Kept._meta.history == History(max_length=7)
    assert Silent._meta.history is None


@pytest.mark.parametrize("given", [1, "yes", {"max_length": 3}, History])
def test_other_settings_are_refused(given: Any) -> None:
    with pytest.raises(ModelException, match=r"Odd\.Meta\.history must be"):

        class Odd(Model):
            name = KeyField()

            class Meta:
                history = given


@pytest.mark.parametrize("bounds", [{"max_length": each} for each in (0, -1, 2.5, True, "3")])
def test_other_lengths_are_refused(bounds: Any) -> None:
    with pytest.raises(ModelException, match="max_length"):
        History(**bounds)


@pytest.mark.parametrize("age", [0, -1, float("nan"), float("inf"), True, "3", timedelta(0)])
def test_other_ages_are_refused(age: Any) -> None:
    with pytest.raises(ModelException, match="max_age"):
        History(max_age=age)


def test_the_smallest_settings() -> None:
    assert History(max_length=1, max_age=0.5).age == 0.5


def test_models_without_one_may_have_fields_of_its_name() -> None:
    class Patient(Model):
        name = KeyField()
        history = ListField()

    record = Patient.create(name="a", history=["measles"])
    assert record.history == ["measles"]
    with pytest.raises(ModelException, match="choose another name"):

        class Explained(Model):
            name = KeyField()
            history = ListField()

            class Meta:
                history = True


# Bounds ------------------------------------------------------------------------------------------


def test_the_length_is_bounded_to_the_entry(redis_client: redis.Redis) -> None:
    record = Brief.create(name="a")
    for signal in (0.1, 0.2, 0.3, 0.4, 0.5):
        learn(record, signal)
    assert [each.signal for each in record.history()] == [0.3, 0.4, 0.5]
    assert redis_client.xlen("$History:Brief:Brief:a") == 3


def test_two_hundred_entries_are_kept_where_nothing_else_is_said() -> None:
    record = fact()
    for _ in range(210):
        learn(record, 0.5)
    assert len(record.history()) == 200


@pytest.mark.parametrize("age", [60, timedelta(minutes=1)])
def test_entries_go_for_their_age(redis_client: redis.Redis, age: Any) -> None:
    class Dated(Model):
        name = KeyField()
        certainty = ConfidenceField()

        class Meta:
            history = History(max_length=None, max_age=age)

    record = Dated.create(name="a")
    for moment in (10.0, 20.0, 70.0):
        with clock.using(moment):
            learn(record, 0.5)
    key = "$History:Dated:Dated:a"
    assert redis_client.xlen(key) == 3
    with clock.using(75.0):
        assert [each.at for each in record.history()] == [20.0, 70.0]
        learn(record, 0.5)
    assert redis_client.xlen(key) == 3
    with clock.using(1000.0):
        # Too old by now, although they are still there.
        assert record.history() == []
        learn(record, 0.5)
    assert redis_client.xlen(key) == 1
    for _ in range(300):
        with clock.using(1000.0):
            learn(record, 0.5)
    assert redis_client.xlen(key) == 301
