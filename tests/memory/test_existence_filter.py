"""`ExistenceFilter`: no saved word is ever denied, and few others are taken for saved ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import (
    Defaults,
    ExistenceFilter,
    IntField,
    KeyField,
    Model,
    ModelException,
    QueryException,
    StringField,
    transaction,
)
from popoto.fields.existence_filter import tokenize
from popoto.memory.bloom.formula import BloomForm
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api, RoundTrips
from tests.memory.words import Note, Plain, filter_model, set_bits

RoundTripCounter = Callable[[], AbstractContextManager[RoundTrips]]
KEY = "$EF:Note:words"


@pytest.fixture
def version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)


# ── What it is made of ───────────────────────────────────────────────────────


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


# ── Its value ────────────────────────────────────────────────────────────────


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


# ── Questions ────────────────────────────────────────────────────────────────


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


# ── Saves ────────────────────────────────────────────────────────────────────


def test_without_function_the_key_is_the_fingerprint(api: Api) -> None:
    api(Plain.create, name="kubernetes-one")
    assert api(Plain.words.might_exist, Plain, "kubernetes") is True
    assert api(Plain.words.might_exist, Plain, "plain of another") is True
    assert api(Plain.words.might_exist, Plain, "another") is False


def test_none_is_no_fingerprint(api: Api, redis_client: redis.Redis) -> None:
    with pytest.raises(ValueError, match="fingerprint_fn returned None"):
        api(Note(name="a").save)
    with pytest.raises(ValueError, match="fingerprint_fn returned None"):
        api(Note.bulk_create, [Note(name="a", text="kubernetes"), Note(name="b")])
    assert redis_client.keys("*") == []
    note = api(Note.create, name="a", text="kubernetes")
    note.text = None
    for names in (None, ["text"], ["words"]):
        with pytest.raises(ValueError, match="fingerprint_fn returned None"):
            api(note.save, update_fields=names)
    assert api(Note.query.get, name="a").text == "kubernetes"


def test_what_the_function_raises_reaches_the_caller(api: Api, redis_client: redis.Redis) -> None:
    class Failing(Model):
        name = KeyField()
        words = ExistenceFilter(fingerprint_fn=lambda record: 1 / record.missing)

    with pytest.raises(AttributeError, match="missing"):
        api(Failing(name="a").save)
    assert redis_client.keys("*") == []


def test_a_save_is_one_round_trip(api: Api, round_trips: RoundTripCounter) -> None:
    api(api(Note.create, name="b", text="so that the server knows the scripts").delete)
    note = api(Note.create, name="a", text="kubernetes")
    with round_trips() as seen:
        note.text = "deployment"
        api(note.save)
        api(note.save, update_fields=["text"])
        api(note.delete)
    assert seen.sends == 3


def test_a_partial_save_of_the_source_brings_its_words(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    note.text = "deployment"
    api(note.save, update_fields=["text"])
    assert api(Note.words.might_exist, Note, "deployment")
    api(Note.bulk_update, Note.query.filter(name="a"), text="gardening")
    assert api(Note.words.might_exist, Note, "gardening")
    api(Note.update_or_create, name="a", defaults={"text": "cooking"})
    assert api(Note.words.might_exist, Note, "cooking")


def test_a_partial_save_by_who_has_not_loaded_the_record_brings_its_words(api: Api) -> None:
    api(Note.create, name="a", text="kubernetes")
    api(Note(name="a", text="deployment").save, update_fields=["text"])
    assert api(Note.words.might_exist, Note, "deployment")


def test_a_partial_save_of_something_else_does_not_ask_for_the_text(api: Api) -> None:
    api(Note.create, name="a", text="kubernetes")
    api(Note(name="a", hits=3).save, update_fields=["hits"])
    assert api(Note.query.get, name="a").hits == 3


def test_a_partial_save_brings_what_is_stored_not_what_waits(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    note.text, note.hits = "deployment", 3
    api(note.save, update_fields=["hits"])
    assert api(Note.words.might_exist, Note, "deployment") is False
    api(note.save)
    assert api(Note.words.might_exist, Note, "deployment") is True


def test_any_field_may_be_an_input(api: Api) -> None:
    class Mixed(Model):
        name = KeyField()
        title = StringField(default="")
        year = IntField(default=0)
        words = ExistenceFilter(
            fingerprint_fn=lambda record: f"{record.title.upper()} {record.year}"
        )

    mixed = api(Mixed.create, name="a", title="kubernetes", year=2024)
    mixed.year = 2025
    api(mixed.save, update_fields=["year"])
    assert api(Mixed.words.might_exist_batch, Mixed, ["2024", "2025", "kubernetes", "2026"]) == {
        "2024": True,
        "2025": True,
        "kubernetes": True,
        "2026": False,
    }


def test_a_record_that_moves_brings_its_new_key(api: Api) -> None:
    plain = api(Plain.create, name="kubernetes")
    plain.name = "deployment"
    api(plain.save, migrate_key=True)
    assert api(Plain.words.might_exist, Plain, "deployment")
    plain.name = "gardening"
    api(plain.save, update_fields=["name"], migrate_key=True)
    assert api(Plain.words.might_exist, Plain, "gardening")


def test_deleting_removes_nothing(api: Api) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    api(note.delete)
    assert api(Note.words.might_exist, Note, "kubernetes") is True


def test_a_refused_save_brings_nothing(api: Api, redis_client: redis.Redis) -> None:
    api(Note.create, name="a", text="kubernetes")
    before = redis_client.get(KEY)
    with pytest.raises(ModelException, match="already exists"):
        api(Note.create, name="a", text="deployment")
    assert redis_client.get(KEY) == before


def test_bulk_operations_bring_every_record(api: Api) -> None:
    api(Note.bulk_create, [Note(name=str(each), text=f"word{each}") for each in range(300)])
    found = api(Note.words.might_exist_batch, Note, [f"word{each}" for each in range(300)])
    assert all(found.values())


def test_in_bulk_what_records_have_in_common_is_still_one_command(
    api: Api, round_trips: RoundTripCounter
) -> None:
    class Bare(Model):
        name = KeyField()
        text = StringField(null=True)

    Full = filter_model("Full")
    commands: list[tuple[int, int]] = []
    for model in (Bare, Full):
        with round_trips() as seen:
            records = [model(name=str(each), text=f"word{each}") for each in range(50)]
            api(model.bulk_create, records)
        commands.append((seen.commands["sadd"], seen.commands["zadd"]))
    assert commands[0] == commands[1]


def test_a_text_of_very_many_words(api: Api) -> None:
    words = [f"word{each}" for each in range(3_000)]
    api(Note.create, name="a", text=" ".join(words))
    assert api(Note.words.might_exist_count, Note, words) == 3_000


def test_a_pipeline_brings_its_words_when_it_is_executed(redis_client: redis.Redis) -> None:
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        Note(name="a", text="kubernetes").save(pipeline=pipeline)
        Note(name="b", text="deployment").save(pipeline=pipeline)
        assert redis_client.exists(KEY) == 0
        pipeline.execute()
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment", "other"]) == 2


def test_a_transaction_brings_all_words_or_none(redis_client: redis.Redis) -> None:
    Note.create(name="b", text="gardening")

    def refused() -> None:
        with transaction() as together:
            together.create(Note, name="a", text="kubernetes")
            together.create(Note, name="b", text="deployment")

    with pytest.raises(ModelException, match="already exists"):
        refused()
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment"]) == 0
    Note(name="b").delete()
    with transaction() as together:
        together.create(Note, name="a", text="kubernetes")
        together.create(Note, name="b", text="deployment")
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment", "other"]) == 2


@pytest.mark.parametrize("suffix", ["", ":form", ":building", ":builder"])
def test_a_key_of_another_kind_is_told_before_anything_is_written(
    api: Api, redis_client: redis.Redis, suffix: str
) -> None:
    redis_client.rpush(f"{KEY}{suffix}", "a list")
    with pytest.raises(ModelException, match="holds a list where a string belongs"):
        api(Note.create, name="a", text="kubernetes")
    assert redis_client.exists("Note:a", "$Class:Note") == 0


def test_a_key_of_another_kind_answers_nothing(api: Api, redis_client: redis.Redis) -> None:
    redis_client.rpush(KEY, "a list")
    with pytest.raises(ModelException, match="holds a list, which is no filter of words"):
        api(Note.words.might_exist, Note, "kubernetes")
    with pytest.raises(ModelException, match="holds a list, which is no filter of words"):
        api(Note.words.fill_ratio, Note)


# ── How good it is ───────────────────────────────────────────────────────────

_SYLLABLES = ["ba", "con", "de", "fi", "gra", "hu", "ion", "jo", "ku", "lam", "mo", "ne", "pri"]


def _common_words(number: int, seed: int) -> list[str]:
    choose = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        found["".join(choose.choices(_SYLLABLES, k=choose.randint(3, 5)))] = None
    return list(found)


_KINDS: dict[str, Callable[[], list[str]]] = {
    "sequential ids": lambda: [f"document{each:06d}" for each in range(12_000)],
    "common words": lambda: _common_words(12_000, 1),
    "hex ids": lambda: [f"{random.Random(each).getrandbits(64):016x}" for each in range(12_000)],
    "endings": lambda: [f"deployments_{each:x}" for each in range(12_000)],
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("error_rate", [0.01, 0.05])
def test_few_other_words_are_taken_for_saved_ones_at_capacity(kind: str, error_rate: float) -> None:
    words = _KINDS[kind]()
    saved, others = words[:8_000:2] + words[8_000:9_000], words[1:8_000:2] + words[9_000:]
    Page = filter_model(error_rate=error_rate, capacity=len(saved))
    Page.bulk_create(
        [Page(name=str(at), text=" ".join(saved[at : at + 100])) for at in range(0, 5_000, 100)]
    )
    assert Page.words.might_exist_count(Page, saved) == len(saved)
    rate = Page.words.might_exist_count(Page, others) / len(others)
    assert error_rate / 2 < rate < error_rate * 2


@pytest.mark.parametrize(("error_rate", "capacity"), [(0.001, 300), (0.0001, 100)])
def test_small_filters_keep_their_rate_too(error_rate: float, capacity: int) -> None:
    """Where places follow from two numbers below m, pairs of words have all of them in common."""
    form = BloomForm.of(error_rate, capacity)
    wrong = 0
    for trial in range(3):
        taken = {
            place
            for each in range(capacity)
            for place in form.places(b"saved%d-%d" % (trial, each))
        }
        wrong += sum(
            taken.issuperset(form.places(b"other%d-%d" % (trial, each))) for each in range(20_000)
        )
    assert wrong / 60_000 < 2 * error_rate


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(max_size=40), min_size=1, max_size=6),
    version=st.sampled_from([1, 2]),
    capacity=st.sampled_from([1, 20, 1_000]),
)
def test_no_saved_text_is_ever_denied(
    redis_client: redis.Redis, texts: list[str], version: int, capacity: int
) -> None:
    redis_client.flushall()
    Page = filter_model("Anything", capacity=capacity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Defaults, "HASH_VERSION", version)
        for number, text in enumerate(texts):
            Page(name=str(number), text=text).save()
    assert all(Page.words.might_exist_batch(Page, texts).values())
    words = [word for text in texts for word in tokenize(text)]
    assert all(Page.words.might_exist_batch(Page, words).values())


# ── As popoto 1.6 has it ─────────────────────────────────────────────────────

PLACES_OF_1_6 = [
    ("kubernetes", 0.01, 100_000, "20709 174359 243140 465571 688002 910433"),
    ("deployment", 0.01, 100_000, "44035 102271 160507 827832 886068 944304"),
    ("café", 0.01, 100_000, "117408 405333 539449 673565 807681 941797"),
    ("", 0.01, 100_000, "5381 12944 20507 488415 495978 503541"),
    ("kubernetes", 0.01, 10_000, "13120 16694 37976 62832 84114 87688"),
    ("kubernetes", 0.0406, 150, "32 864 920 976"),
]


@pytest.mark.parametrize(("word", "error_rate", "capacity", "places"), PLACES_OF_1_6)
@pytest.mark.usefixtures("version_1")
def test_the_places_of_1_6(
    redis_client: redis.Redis, word: str, error_rate: float, capacity: int, places: str
) -> None:
    Page = filter_model(error_rate=error_rate, capacity=capacity)
    Page(name="a", text=word).save()
    wanted = {int(place) for place in places.split()}
    assert set_bits(redis_client, "$EF:Page:words") == wanted
    assert len(redis_client.get("$EF:Page:words")) == max(wanted) // 8 + 1


@pytest.mark.parametrize(("word", "error_rate", "capacity", "places"), PLACES_OF_1_6)
def test_a_filter_that_1_6_has_begun_is_read_and_extended(
    redis_client: redis.Redis, word: str, error_rate: float, capacity: int, places: str
) -> None:
    Page = filter_model(error_rate=error_rate, capacity=capacity)
    for place in places.split():
        redis_client.setbit("$EF:Page:words", int(place), 1)
    assert Page.words.might_exist(Page, word) is True
    assert Page.words.might_exist(Page, "something") is False
    Page(name="a", text="something").save()
    assert Page.words.might_exist_count(Page, [word, "something"]) == 2
    bits, probes = Page.words._compute_params()
    assert len(redis_client.get("$EF:Page:words")) <= -(-bits // 8)
    assert Page.words.fill_ratio(Page) <= 2 * probes / bits
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        filter_model(error_rate=error_rate, capacity=2 * capacity)(name="b", text="word").save()


def test_a_new_filter_bears_a_mark_behind_its_bits(redis_client: redis.Redis) -> None:
    Note(name="a", text="kubernetes").save()
    stored: bytes = redis_client.get(KEY)
    assert len(stored) == -(-95850 // 8) + 64
    assert stored[-64:].rstrip() == b"popoto 2 filter: 95850 bits, 6 probes"
    assert len(set_bits(redis_client, KEY, 95850)) == 6
    assert redis_client.keys("$EF*") == [KEY.encode()]


def test_the_version_must_be_known(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (0, 3, "2", None, True):
        monkeypatch.setattr(Defaults, "HASH_VERSION", wrong)
        with pytest.raises(ModelException, match=r"Defaults\.HASH_VERSION must be 2"):
            api(Note.create, name="a", text="kubernetes")


# ── Other settings ───────────────────────────────────────────────────────────

CHANGES = [
    ({"error_rate": 0.01, "capacity": 1_000}, {"error_rate": 0.001, "capacity": 1_000}),
    ({"error_rate": 0.001, "capacity": 1_000}, {"error_rate": 0.01, "capacity": 1_000}),
    ({"error_rate": 0.01, "capacity": 1_000}, {"error_rate": 0.01, "capacity": 1_001}),
    ({"error_rate": 0.01, "capacity": 1_000}, {"error_rate": 0.01, "capacity": 9_000}),
    # The same number of bits, and another one of probes.
    ({"error_rate": 0.5, "capacity": 10}, {"error_rate": 0.1, "capacity": 3}),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
@pytest.mark.parametrize("version", [1, 2])
def test_other_settings_are_refused_until_it_is_made_anew(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, Any],
    after: dict[str, Any],
    version: int,
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    api(filter_model(**before).create, name="a", text="kubernetes")
    Page = filter_model(**after)
    stored = redis_client.get("$EF:Page:words")
    for write in (Page(name="b", text="deployment").save, Page(name="a", text="other").save):
        with pytest.raises(ModelException, match=r"nothing was written\. rebuild_indexes\(\)"):
            api(write)
    with POPOTO_REDIS_DB.pipeline() as pipeline:
        Page(name="b", text="deployment").save(pipeline=pipeline)
        with pytest.raises(redis.ResponseError, match="nothing was written"):
            pipeline.execute()
    for read in (
        lambda: api(Page.words.might_exist, Page, "kubernetes"),
        lambda: api(Page.words.might_exist_batch, Page, ["kubernetes"]),
        lambda: api(Page.words.fill_ratio, Page),
    ):
        with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
            read()
    assert redis_client.get("$EF:Page:words") == stored
    assert redis_client.exists("Page:b") == 0
    api(Page.rebuild_indexes)
    assert api(Page.words.might_exist, Page, "kubernetes") is True
    api(Page.create, name="b", text="deployment")
    assert api(Page.words.might_exist, Page, "deployment") is True


def test_a_longer_filter_of_1_6_is_of_other_settings(api: Api, redis_client: redis.Redis) -> None:
    Page = filter_model(error_rate=0.1, capacity=100)
    redis_client.setbit("$EF:Page:words", 50_000, 1)
    with pytest.raises(ModelException, match="more bits"):
        api(Page.create, name="a", text="kubernetes")
    with pytest.raises(ModelException, match="more bits"):
        api(Page.words.might_exist, Page, "kubernetes")


def test_a_text_of_halves_of_surrogates_is_no_obstacle() -> None:
    assert Note.words.might_exist(Note, "\ud800word") is False


def test_a_new_field_of_a_stored_model_is_filled_by_a_rebuild(api: Api) -> None:
    class Page(Model):
        name = KeyField()
        text = StringField(null=True)

    api(Page.create, name="a", text="kubernetes")
    Page = filter_model()
    assert api(Page.words.might_exist, Page, "kubernetes") is False
    api(Page.rebuild_indexes)
    assert api(Page.words.might_exist, Page, "kubernetes") is True
