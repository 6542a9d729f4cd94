"""`ExistenceFilter`: no saved word is ever denied, few others are taken for saved ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import (
    Defaults,
    KeyField,
    Model,
    ModelException,
    StringField,
)
from popoto.fields.existence_filter import tokenize
from popoto.memory.bloom.formula import BloomForm
from popoto.redis_db import POPOTO_REDIS_DB
from tests.driver import Api
from tests.memory.words import Note, filter_model, set_bits

KEY = "$EF:Note:words"


@pytest.fixture
def version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)


# ── How good it is ──────────────────────────────────────────────────────────────

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


# ── As popoto 1.6 has it ────────────────────────────────────────────────────────

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


# ── Other settings ──────────────────────────────────────────────────────────────

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
