"""`WriteFilterMixin`: what is saved, what has priority, and when that ends."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    AutoKeyField,
    Defaults,
    EventStreamMixin,
    FloatField,
    KeyField,
    Model,
    SkipSaveException,
    StringField,
    WriteFilterMixin,
)
from popoto.exceptions import KeyMutationError, UnknownNameError
from tests.driver import Api

PRIORITY = "$WF:Note:priority"


class Note(WriteFilterMixin, EventStreamMixin, Model):
    name = KeyField()
    worth = StringField(default="")

    _score: Any = 0.5

    def compute_filter_score(self) -> Any:
        return self._score


def note(score: Any, name: str = "x") -> Note:
    found = Note(name=name)
    vars(found)["_score"] = score
    return found


@pytest.mark.parametrize(
    ("score", "is_saved", "priority"),
    [
        (None, False, None),
        ("abc", False, None),
        ([1], False, None),
        (-1, False, None),
        (0, False, None),
        (0.0999999, False, None),
        (math.nan, False, None),
        (-math.inf, False, None),
        (10**400, False, None),
        (0.1, True, None),
        (0.5, True, None),
        ("0.5", True, None),
        (0.7, True, 0.7),
        (0.9, True, 0.9),
        (1.5, True, 1.5),
        (True, True, 1.0),
        (math.inf, True, math.inf),
    ],
)
def test_scores_of_the_contract(
    api: Api, score: Any, is_saved: bool, priority: float | None, redis_client: redis.Redis
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        saved = api(note(score).save)
    assert (saved is not False) is is_saved
    assert isinstance(saved, int)
    assert redis_client.exists("Note:x") == is_saved
    assert redis_client.zscore(PRIORITY, "Note:x") == priority
    assert redis_client.xlen("stream:mutations") == is_saved


@pytest.mark.parametrize("score", [None, "abc", [1], math.nan, 10**400])
def test_a_score_that_is_no_number_is_told_of(api: Api, score: Any) -> None:
    told = r"Note.compute_filter_score\(\) returned .*no number.*return a number"
    with pytest.warns(UserWarning, match=told):
        assert api(note(score).save) is False
    with pytest.warns(UserWarning, match=told):
        Note.bulk_create([note(score)])
    popoto.configure(strict=True)
    try:
        with pytest.raises(UnknownNameError, match=told):
            api(note(score).save)
    finally:
        popoto.configure(strict=False)
    assert Note.query.count() == 0


def test_a_record_stays_as_it_was(api: Api, redis_client: redis.Redis) -> None:
    stored = note(0.9)
    stored.save()
    stored.worth = "changed"
    vars(stored)["_score"] = 0.0
    for fields in (None, ["worth"]):
        assert api(stored.save, update_fields=fields) is False
    assert Note.query.get(name="x").worth == ""
    assert redis_client.zscore(PRIORITY, "Note:x") == 0.9
    pipeline = redis_client.pipeline()
    assert stored.save(pipeline=pipeline) is pipeline
    assert len(pipeline) == 0


def test_priority_is_that_of_the_last_save(api: Api, redis_client: redis.Redis) -> None:
    stored = note(0.9)
    api(stored.save)
    vars(stored)["_score"] = 0.8
    api(stored.save)
    assert redis_client.zscore(PRIORITY, "Note:x") == 0.8
    vars(stored)["_score"] = 0.3
    api(stored.save, update_fields=["worth"])
    assert redis_client.exists(PRIORITY) == 0


def test_priority_goes_where_the_record_goes(api: Api, redis_client: redis.Redis) -> None:
    stored = note(0.9)
    stored.save()
    stored.name = "y"
    api(stored.save, migrate_key=True)
    assert redis_client.zrange(PRIORITY, 0, -1) == [b"Note:y"]
    api(stored.delete)
    assert redis_client.exists(PRIORITY) == 0
    note(0.9).save()
    redis_client.delete("Note:x")
    assert Note.check_indexes()["companions"]["priority"] == 1
    Note.clean_indexes()
    assert redis_client.exists(PRIORITY) == 0


def test_where_it_stands_in_a_save() -> None:
    stored = note(0.9)
    stored.save()
    stored.name = "y"
    vars(stored)["_score"] = 0.0
    with pytest.raises(KeyMutationError):
        stored.save()

    class Strict(WriteFilterMixin, Model):
        id = AutoKeyField()
        number = FloatField(null=False)

        def compute_filter_score(self) -> float:
            return 0.0

    # Invalid, and not worth an error.
    assert Strict().save() is False


def test_the_other_ways_of_saving() -> None:
    class Never(WriteFilterMixin, Model):
        name = KeyField()

        def compute_filter_score(self) -> float:
            return 0.0

    assert Never.create(name="x").name == "x"
    record, is_new = Never.get_or_create(name="x")
    assert (record.name, is_new) == ("x", True)
    assert len(Never.bulk_create([Never(name="a"), Never(name="b")])) == 2
    assert Never.query.count() == 0


def test_a_model_of_its_own_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "WF_MIN_THRESHOLD", 0.6)
    monkeypatch.setattr(Defaults, "WF_PRIORITY_THRESHOLD", 0.65)

    class Own(Note):
        _wf_min_threshold = 0.2
        _wf_priority_threshold = 0.4

    assert note(0.5).save() is False
    assert note(0.66)._wf_priority_threshold == 0.65
    assert Own(name="x").save() is not False
    assert Own(name="x")._wf_key("priority") == "$WF:Own:priority"


def test_the_check_by_itself() -> None:
    found = note("0.5")
    assert found._check_write_filter() == 0.5
    assert found._write_filter_score == 0.5
    with pytest.raises(SkipSaveException, match="below threshold"):
        note(0.05)._check_write_filter()

    class Undefined(WriteFilterMixin, Model):
        name = KeyField()

    with pytest.raises(NotImplementedError, match="Undefined"):
        Undefined(name="x").save()
