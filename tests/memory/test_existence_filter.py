"""`ExistenceFilter`: its settings, its value, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    ExistenceFilter,
    ModelException,
    QueryException,
)
from tests.driver import Api, RoundTrips
from tests.memory.words import Note, filter_model

RoundTripCounter = Callable[[], AbstractContextManager[RoundTrips]]


# ── What it is made of ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error_rate", "capacity", "bits", "probes"),
    [
        (0.01, 100_000, 958505, 6),
        (0.01, 10_000, 95850, 6),
        (0.05, 10_000, 62352, 4),
        (0.1, 1_000, 4792, 3),
        (0.001, 1_000, 14377, 9),
        (0.5, 10, 14, 1),
        (1e-6, 100, 2875, 19),
    ],
)
def test_its_measures(error_rate: float, capacity: int, bits: int, probes: int) -> None:
    field = ExistenceFilter(error_rate=error_rate, capacity=capacity)
    assert field._compute_params() == (bits, probes)


def test_it_has_a_bit_and_a_probe_at_least() -> None:
    assert ExistenceFilter(error_rate=0.999, capacity=1)._compute_params() == (1, 1)


def test_what_is_left_out() -> None:
    field = ExistenceFilter()
    assert (field.error_rate, field.capacity, field.fingerprint_fn) == (0.01, 100_000, None)
    assert ExistenceFilter(0.1, 10, str)._compute_params() == (47, 3)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan"), float("inf"), "0.1", None, True])
def test_an_error_rate_lies_between_0_and_1(rate: Any) -> None:
    with pytest.raises(ModelException, match="error_rate must be a number above 0 and below 1"):
        ExistenceFilter(error_rate=rate)


@pytest.mark.parametrize("capacity", [0, -1, 1.5, float("nan"), float("inf"), "10", None, True])
def test_a_capacity_is_a_whole_number_from_1(capacity: Any) -> None:
    with pytest.raises(ModelException, match="capacity must be a whole number from 1"):
        ExistenceFilter(capacity=capacity)


@pytest.mark.parametrize("capacity", [10**9, 10**400])
def test_it_has_to_fit_into_a_string_of_the_server(capacity: int) -> None:
    with pytest.raises(ModelException, match="512 MiB"):
        ExistenceFilter(capacity=capacity)


def test_a_fingerprint_function_is_a_function() -> None:
    with pytest.raises(ModelException, match="fingerprint_fn must be a function"):
        ExistenceFilter(fingerprint_fn="topic")  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["indexed", "unique", "key", "sorted"])
def test_it_cannot_be_an_index(option: str) -> None:
    with pytest.raises(ModelException, match="cannot be indexed"):
        ExistenceFilter(**{option: True})


# ── Its value ───────────────────────────────────────────────────────────────────


def test_its_value_is_none(api: Api, redis_client: redis.Redis) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    assert note.words is None
    assert redis_client.hget("Note:a", "words") == b"\xc0"
    assert api(Note.query.get, name="a").words is None
    assert isinstance(Note.words, ExistenceFilter)
    assert Note._meta.fields["words"] is Note.words


def test_another_value_is_refused(api: Api) -> None:
    new, stored = Note(name="b", text="deployment"), api(Note.create, name="a", text="kubernetes")
    for note in (new, stored):
        note.words = "kubernetes"  # type: ignore[assignment]
        with pytest.raises(ModelException, match="it takes no value"):
            api(note.save)


def test_there_are_no_lookups() -> None:
    for condition in ({"words": "kubernetes"}, {"words__isnull": True}):
        with pytest.raises(QueryException):
            Note.query.filter(**condition).all()


# ── Questions ───────────────────────────────────────────────────────────────────


def test_a_saved_word_might_exist(api: Api) -> None:
    api(Note.create, name="a", text="Kubernetes Deployment, part 2")
    field = Note.words
    assert api(field.might_exist, Note, "kubernetes") is True
    assert api(field.might_exist, Note, "DEPLOYMENT") is True
    assert api(field.might_exist, Note, "nothing") is False
    assert api(field.definitely_missing, Note, "nothing") is True
    assert api(field.definitely_missing, Note, "kubernetes") is False


def test_any_word_of_a_question_is_enough(api: Api) -> None:
    api(Note.create, name="a", text="kubernetes")
    assert api(Note.words.might_exist, Note, "what nothing kubernetes") is True
    assert api(Note.words.might_exist, Note, "what nothing else") is False


@pytest.mark.parametrize("text", ["", "ab", "the", "日本", 5, 1.5, ("a", "b")])
def test_a_text_without_words_is_one_item(api: Api, text: Any) -> None:
    assert api(Note.words.might_exist, Note, text) is False
    api(Note.create, name="a", text=str(text).upper())
    assert api(Note.words.might_exist, Note, text) is True
    assert api(Note.words.might_exist, Note, "another") is False


def test_without_records_nothing_exists(api: Api) -> None:
    assert api(Note.words.might_exist, Note, "kubernetes") is False
    assert api(Note.words.might_exist_batch, Note, ["kubernetes"]) == {"kubernetes": False}
    assert api(Note.words.fill_ratio, Note) == 0.0


def test_many_questions_at_once(api: Api, round_trips: RoundTripCounter) -> None:
    api(Note.create, name="a", text="kubernetes deployment")
    asked = ["nothing", "kubernetes", 5, "nothing", "deployment of something"]
    with round_trips() as seen:
        found = api(Note.words.might_exist_batch, Note, asked)
    assert list(found.items()) == [
        ("nothing", False),
        ("kubernetes", True),
        (5, False),
        ("deployment of something", True),
    ]
    assert seen.sends == 1
    assert api(Note.words.might_exist_count, Note, iter(asked)) == 2


def test_odd_batches(api: Api, round_trips: RoundTripCounter) -> None:
    with pytest.warns(UserWarning, match="is one text"):
        assert api(Note.words.might_exist_batch, Note, "aba") == {"a": False, "b": False}
    with pytest.raises(TypeError, match="unhashable"):
        api(Note.words.might_exist_batch, Note, [["a"]])
    with round_trips() as seen:
        assert api(Note.words.might_exist_batch, Note, []) == {}
        assert api(Note.words.might_exist_count, Note, []) == 0
    assert seen.sends == 0


def test_a_batch_larger_than_a_call_is_one_round_trip_still(
    api: Api, round_trips: RoundTripCounter
) -> None:
    api(Note.create, name="a", text="number7777")
    with round_trips() as seen:
        found = api(Note.words.might_exist_batch, Note, [f"number{each}" for each in range(30_000)])
    assert seen.sends == 1
    assert len(found) == 30_000
    assert found["number7777"] is True
    assert sum(found.values()) < 5


def test_any_number_of_words_is_one_round_trip(api: Api, round_trips: RoundTripCounter) -> None:
    api(Note.create, name="a", text="kubernetes")
    words = " ".join(f"unknown{each}" for each in range(2_000))
    with round_trips() as seen:
        assert api(Note.words.might_exist, Note, f"{words} kubernetes") is True
        api(Note.words.fill_ratio, Note)
    assert seen.sends == 2


def test_a_record_is_no_model_class(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    with pytest.raises(AttributeError):
        api(Note.words.might_exist, note, "kubernetes")


def test_how_full_it_is(api: Api) -> None:
    api(Note.create, name="a", text="kubernetes")
    assert api(Note.words.fill_ratio, Note) == 6 / 95850
    api(Note.create, name="b", text="deployment kubernetes")
    assert api(Note.words.fill_ratio, Note) == 12 / 95850


def test_half_of_its_bits_are_set_when_it_is_full() -> None:
    Page = filter_model(capacity=2_000)
    Page(name="a", text=" ".join(f"word{each}" for each in range(2_000))).save()
    assert Page.words.fill_ratio(Page) == pytest.approx(0.465, abs=0.02)
