"""`FrequencySketch`: counts of saved words that are never too low."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import Defaults, FrequencySketch, Model, ModelException, QueryException, transaction
from popoto.engine.request import Request
from popoto.models.writing import single
from popoto.models.writing.save_request import SaveRequest
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api, RoundTrips
from tests.memory.words import Note, Plain, counters, sketch_model

RoundTripCounter = Callable[[], AbstractContextManager[RoundTrips]]
KEY = "$FS:Note:counts"


# ── What it is made of ───────────────────────────────────────────────────────


def test_what_is_left_out() -> None:
    field = FrequencySketch()
    assert (field.width, field.depth, field.fingerprint_fn) == (2000, 7, None)
    assert (FrequencySketch(10, 2).width, FrequencySketch(10, 2).depth) == (10, 2)


@pytest.mark.parametrize("name", ["width", "depth"])
@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), "7", None, True, 2**40])
def test_width_and_depth_are_whole_numbers_from_1(name: str, value: Any) -> None:
    with pytest.raises(ModelException, match=f"{name} must be a whole number from 1"):
        FrequencySketch(**{name: value})


def test_a_fingerprint_function_is_a_function() -> None:
    with pytest.raises(ModelException, match="fingerprint_fn must be a function"):
        FrequencySketch(fingerprint_fn=3)  # type: ignore[arg-type]


def test_its_value_is_none_and_there_are_no_lookups(api: Api, redis_client: redis.Redis) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    assert note.counts is None
    assert redis_client.hget("Note:a", "counts") == b"\xc0"
    with pytest.raises(QueryException):
        Note.query.filter(counts=1).all()
    note.counts = 1  # type: ignore[assignment]
    with pytest.raises(ModelException, match="it takes no value"):
        api(note.save)


# ── Counting ─────────────────────────────────────────────────────────────────


def test_every_save_counts(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes deployment")
    api(note.save)
    api(Note.create, name="b", text="kubernetes kubernetes")
    frequency = Note.counts.get_frequency
    assert api(frequency, Note, "Kubernetes") == 3
    assert api(frequency, Note, "deployment") == 2
    assert api(frequency, Note, "kubernetes deployment") == 2
    assert api(frequency, Note, "kubernetes nothing") == 0
    assert api(frequency, Note, "nothing") == 0


def test_without_records_nothing_is_counted(api: Api) -> None:
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 0
    with pytest.raises(AttributeError):
        api(Note.counts.get_frequency, Note(name="a"), "kubernetes")


@pytest.mark.parametrize("text", ["", "ab", "the", 5, 1.5])
def test_a_text_without_words_is_one_item(api: Api, text: Any) -> None:
    api(Note.create, name="a", text=str(text))
    assert api(Note.counts.get_frequency, Note, text) == 1


def test_without_function_the_key_is_the_fingerprint(api: Api) -> None:
    api(Plain.create, name="kubernetes")
    plain = api(Plain.create, name="deployment")
    assert api(Plain.counts.get_frequency, Plain, "plain") == 2
    plain.name = "gardening"
    api(plain.save, migrate_key=True)
    assert api(Plain.counts.get_frequency, Plain, "gardening") == 1
    assert api(Plain.counts.get_frequency, Plain, "plain") == 3


def test_partial_saves_count_where_they_name_it_or_change_the_words(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    note.hits = 3
    api(note.save, update_fields=["hits"])
    api(note.save, update_fields=["text"])
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 1
    api(note.save, update_fields=["counts"])
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 2
    note.text = "kubernetes deployment"
    api(note.save, update_fields=["text"])
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 3
    assert api(Note.counts.get_frequency, Note, "deployment") == 1


def test_deleting_counts_nothing_down(api: Api) -> None:
    api(api(Note.create, name="a", text="kubernetes").delete)
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 1


def test_none_is_no_fingerprint(api: Api, redis_client: redis.Redis) -> None:
    Sheet = sketch_model()
    with pytest.raises(ValueError, match="fingerprint_fn returned None"):
        api(Sheet(name="a").save)
    assert redis_client.keys("*") == []


def test_a_save_and_a_question_are_one_round_trip_each(
    api: Api, round_trips: RoundTripCounter
) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    words = " ".join(f"word{each}" for each in range(1_000))
    api(Note.counts.get_frequency, Note, words)
    with round_trips() as seen:
        note.text = words
        api(note.save)
        assert api(Note.counts.get_frequency, Note, words) >= 1
    assert seen.sends == 2


def test_bulk_pipelines_and_transactions_count(redis_client: redis.Redis) -> None:
    Note.bulk_create([Note(name=str(each), text="common words") for each in range(50)])
    assert Note.counts.get_frequency(Note, "common") == 50
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        for each in range(5):
            Note(name=f"p{each}", text="common").save(pipeline=pipeline)
        assert Note.counts.get_frequency(Note, "common") == 50
        pipeline.execute()
    with transaction() as together:
        for each in range(5):
            together.create(Note, name=f"t{each}", text="common")
    assert Note.counts.get_frequency(Note, "common") == 60


def test_writers_at_the_same_time_all_count() -> None:
    def write(writer: int) -> None:
        for number in range(25):
            Note(name=f"{writer}-{number % 5}", text="common words").save()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert Note.counts.get_frequency(Note, "common words") == 100


def test_a_save_that_counts_is_not_sent_twice_after_a_lost_reply() -> None:
    note = Note.create(name="a", text="kubernetes")
    plan = single.save(note, SaveRequest())
    request = next(plan)
    assert isinstance(request, Request)
    assert not request.repeatable
    plan.close()


def test_a_key_of_another_kind_is_told_before_anything_is_written(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set(KEY, "a string")
    with pytest.raises(ModelException, match="holds a string where a hash belongs"):
        api(Note.create, name="a", text="kubernetes")
    assert redis_client.exists("Note:a", "$EF:Note:words") == 0
    with pytest.raises(ModelException, match="holds a string, which is no sketch of words"):
        api(Note.counts.get_frequency, Note, "kubernetes")


def test_a_counter_that_is_no_number_stops_no_save_half_way(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Note.create, name="a", text="kubernetes")
    for name in counters(redis_client, KEY):
        redis_client.hset(KEY, name, "many")
    api(Note.create, name="b", text="kubernetes")
    assert api(Note.counts.get_frequency, Note, "kubernetes") == 1


# ── How good it is ───────────────────────────────────────────────────────────


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.sampled_from([f"word{each}" for each in range(40)]), min_size=1),
    width=st.sampled_from([1, 3, 50]),
    depth=st.sampled_from([1, 4]),
    version=st.sampled_from([1, 2]),
)
def test_a_count_is_never_too_low(
    redis_client: redis.Redis, words: list[str], width: int, depth: int, version: int
) -> None:
    redis_client.flushall()
    Sheet = sketch_model("Anything", width=width, depth=depth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Defaults, "HASH_VERSION", version)
        Sheet.bulk_create([Sheet(name=str(at), text=word) for at, word in enumerate(words)])
    for word, count in Counter(words).items():
        assert Sheet.counts.get_frequency(Sheet, word) >= count
    assert sum(counters(redis_client, "$FS:Anything:counts").values()) == depth * len(words)


@pytest.mark.parametrize("version", [1, 2])
def test_words_of_one_text_that_share_a_counter_all_count(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    Sheet = sketch_model(width=1, depth=2)
    Sheet(name="a", text="alpha beta gamma").save()
    assert counters(redis_client, "$FS:Sheet:counts") == {"0:0": 3, "1:0": 3}


def test_rows_are_independent() -> None:
    """Of 1,000 words, popoto 1.6 counted a third too often."""
    Sheet = sketch_model()
    words = [f"w{each * 7919:07d}" for each in range(1_000)]
    Sheet(name="a", text=" ".join(words)).save()
    wrong = sum(Sheet.counts.get_frequency(Sheet, word) != 1 for word in words)
    assert wrong <= 10


# ── As popoto 1.6 has it ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("word", "columns"),
    [
        ("kubernetes", "864 320 1712 1600 1244 256 1664"),
        ("deployment", "1472 1520 32 272 676 160 1664"),
        ("a", "1670 1097 524 1951 1378 805 232"),
        ("café", "1483 750 17 1284 551 1818 1085"),
        ("", "1381 1000 619 238 1857 1476 1095"),
    ],
)
def test_the_columns_of_1_6(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, word: str, columns: str
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)
    Sheet = sketch_model()
    Sheet(name="a", text=word).save()
    wanted = {f"{row}:{column}": 1 for row, column in enumerate(columns.split())}
    assert counters(redis_client, "$FS:Sheet:counts") == wanted
    assert Sheet.counts.get_frequency(Sheet, word) == 1


def test_a_sketch_that_1_6_has_begun_is_read_and_extended(redis_client: redis.Redis) -> None:
    Sheet = sketch_model(width=50, depth=3)
    key = "$FS:Sheet:counts"
    stored = {"0:13": 2, "1:30": 2, "2:47": 2, "0:41": 1, "1:40": 1, "2:39": 1}
    redis_client.hset(key, mapping=stored)
    frequency = Sheet.counts.get_frequency
    assert [frequency(Sheet, word) for word in ("alpha", "beta", "gamma")] == [2, 1, 0]
    Sheet(name="a", text="alpha").save()
    assert counters(redis_client, key) == {**stored, "0:13": 3, "1:30": 3, "2:47": 3}


def test_a_new_sketch_bears_a_mark(redis_client: redis.Redis) -> None:
    Note(name="a", text="kubernetes").save()
    assert redis_client.hget(KEY, "form").rstrip() == b"popoto 2 sketch: 500 columns, 5 rows"
    assert sorted(name[:2] for name in counters(redis_client, KEY)) == [
        "0:",
        "1:",
        "2:",
        "3:",
        "4:",
    ]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("after", [{"width": 60, "depth": 3}, {"width": 50, "depth": 4}])
def test_other_settings_are_refused_until_it_is_made_anew(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    after: dict[str, int],
    version: int,
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    api(sketch_model(width=50, depth=3).create, name="a", text="kubernetes")
    Sheet: type[Model] = sketch_model(**after)
    stored = redis_client.hgetall("$FS:Sheet:counts")
    with pytest.raises(ModelException, match=r"nothing was written\. rebuild_indexes\(\)"):
        api(Sheet(name="b", text="deployment").save)
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(Sheet.counts.get_frequency, Sheet, "kubernetes")  # type: ignore[attr-defined]
    assert redis_client.hgetall("$FS:Sheet:counts") == stored
    assert redis_client.exists("Sheet:b") == 0
    api(Sheet.rebuild_indexes)
    assert api(Sheet.counts.get_frequency, Sheet, "kubernetes") == 1  # type: ignore[attr-defined]
