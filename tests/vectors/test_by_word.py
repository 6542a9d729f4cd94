"""Vectors of words: kept with their record, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import EmbeddingField, KeyField, Model, StringField, transaction
from popoto.embeddings import LateInteractionProvider
from popoto.engine.looking_up import lacking_in
from popoto.engine.run import run
from tests.driver import Api, RoundTrips, client_in_use
from tests.vectors.wordwise import Wordwise, plain

WORDS = "$EmbeddingF:Story:meaning:words"
CAT, VET, RAIN, WENT = 0b10000000, 0b01000000, 0b00100000, 0b00001000


@pytest.fixture
def provider() -> Wordwise:
    return Wordwise()


@pytest.fixture
def story(provider: Wordwise, store: Any) -> Any:
    return model_of(provider, store=store)


def model_of(provider: Any, **options: Any) -> Any:
    class Story(Model):
        name = KeyField()
        place = KeyField(default="here")
        text = StringField()
        meaning = EmbeddingField(source="text", provider=provider, on_failure="save", **options)

    return Story


def kept() -> dict[str, list[int]]:
    """The signs of the words of each record."""
    raw: redis.Redis = client_in_use()
    found = raw.hgetall(WORDS)
    assert all(data[0] == 1 for data in found.values())
    return {key.decode().split(":")[1]: list(data[1:]) for key, data in found.items()}


def test_telling_words_are_kept_a_bit_for_each_number(api: Api, story: Any) -> None:
    api(story.create, name="a", text="The cat went to the vet")
    assert kept() == {"a": [CAT, WENT, VET]}
    assert story.check_indexes()["total"] == 0


def test_they_follow_the_text(api: Api, story: Any, provider: Wordwise) -> None:
    made = api(story.create, name="a", text="cat")
    made.text = "storm"
    api(made.save)
    assert kept() == {"a": [RAIN]}
    provider.asked.clear()
    api(made.save)
    assert provider.asked == []
    made.text = None
    api(made.save)
    assert kept() == {}


def test_a_text_of_no_telling_word_has_none(story: Any) -> None:
    story.create(name="a", text="the")
    assert kept() == {"a": []}


def test_a_text_that_a_partial_save_changes_keeps_them_as_its_vector(api: Api, story: Any) -> None:
    made = story.create(name="a", text="cat")
    made.text = "rain"
    api(made.save, update_fields=["text"])
    assert kept() == {"a": [CAT]}
    assert api(story.embed_missing) == 1
    assert kept() == {"a": [RAIN]}


def test_they_go_and_move_with_their_record(api: Api, story: Any) -> None:
    made = api(story.create, name="a", text="cat")
    made.name = "b"
    api(made.save, migrate_key=True)
    assert kept() == {"b": [CAT]}
    api(made.delete)
    assert kept() == {}


def test_bulk_and_transactions_keep_them(api: Api, story: Any) -> None:
    made = api(story.bulk_create, [story(name="a", text="cat"), story(name="b", text="vet")])
    assert kept() == {"a": [CAT], "b": [VET]}
    made[0].text = "rain"
    api(story.bulk_create, made[:1])
    with transaction() as changes:
        changes.save(story(name="c", text="storm"))
        changes.delete(made[1])
    assert kept() == {"a": [RAIN], "c": [RAIN]}
    assert api(story.delete_all) == 2
    assert client_in_use().exists(WORDS) == 0


def test_where_the_provider_fails_there_are_none_and_they_are_caught_up(
    api: Api, story: Any, provider: Wordwise
) -> None:
    story.create(name="a", text="cat")
    provider.error = RuntimeError("down")
    made = api(story.create, name="b", text="vet")
    old = story.query.get(name="a")
    old.text = "rain"
    api(old.save)
    assert kept() == {}
    provider.error = None
    assert api(story.embed_missing) == 2
    assert kept() == {"a": [RAIN], "b": [VET]}
    assert made.name == "b"


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ([[1.0] * 7], "no vectors of 8 numbers"),
        ([[1.0] * 8] * 2, "2 vectors for 1 words"),
        ([[float("inf")] * 8], "not finite"),
    ],
)
def test_wrong_vectors_of_words_are_refused(
    provider: Wordwise, instead: Iterable[Any], message: str
) -> None:
    class Story(Model):
        name = KeyField()
        text = StringField()
        meaning = EmbeddingField(source="text", provider=provider, store="server")

    provider.instead = list(instead)
    Story._meta.by_name["meaning"].on_failure = "raise"
    with pytest.raises((RuntimeError, ValueError), match=message):
        Story.create(name="a", text="cat")
    assert Story.query.count() == 0


def test_a_field_may_do_without(api: Api, provider: Wordwise, store: Any) -> None:
    story = model_of(provider, store=store, late_interaction=False)
    api(story.create, name="a", text="cat")
    assert client_in_use().exists(WORDS) == 0
    assert not story._meta.by_name["meaning"].tells_words


def test_a_provider_that_tells_none_takes_those_of_the_old_text_away(
    provider: Wordwise, store: Any
) -> None:
    model_of(provider, store=store).create(name="a", text="cat")
    story = model_of(plain(), store=store)
    made = story.query.get(name="a")
    made.text = "rain"
    made.save()
    assert kept() == {}


def test_reembed_makes_those_that_are_lacking(api: Api, provider: Wordwise, store: Any) -> None:
    plainly = model_of(plain(), store=store)
    plainly.bulk_create([plainly(name=name, text="cat") for name in "ab"])
    story = model_of(provider, store=store)
    story.create(name="c", text="vet")
    assert kept() == {"c": [VET]}
    provider.asked.clear()
    assert api(story.reembed) == 2
    assert provider.asked == [(["cat"], "document")]
    assert kept() == {"a": [CAT], "b": [CAT], "c": [VET]}
    assert api(story.reembed) == 0
    assert api(story.reembed, anew=True) == 3


def test_another_model_begins_anew(api: Api, provider: Wordwise) -> None:
    story = model_of(provider, store="server")
    story.create(name="a", text="cat")
    story.create(name="b", text="vet")
    provider.model_name = "another"  # type: ignore[misc]
    client_in_use().hset(WORDS, "Story:b:here", b"\x01old")
    assert api(story.reembed) == 2
    assert kept() == {"a": [CAT], "b": [VET]}


def test_words_of_another_model_go_also_where_their_vectors_are_not_made_anew(
    api: Api, provider: Wordwise, store: Any
) -> None:
    """Else words of the one model would be compared with vectors of the other."""
    story = model_of(provider, store=store)
    story.create(name="a", text="cat")
    provider.model_name = "another"  # type: ignore[misc]
    provider.error = RuntimeError("down")
    with pytest.raises(RuntimeError, match="down"):
        api(story.reembed)
    assert kept() == {}


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_nobody_is_asked_for_what_nobody_lacks(
    redis_client: redis.Redis, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    redis_client.hset("known", "a", "1")
    with round_trips() as seen:
        assert run(lacking_in("known", [], "known")) == []
        assert seen.sends == 0
        assert run(lacking_in("known", ["a", "b"], "known")) == ["b"]
        assert seen.sends == 1


def test_what_no_record_has_is_told_and_cleaned(api: Api, story: Any) -> None:
    story.create(name="a", text="cat")
    client_in_use().hset(WORDS, "Story:gone:here", b"\x01a")
    api(story.clean_indexes)
    assert kept() == {"a": [CAT]}


def test_a_new_record_has_not_what_an_earlier_one_has_left(story: Any, provider: Wordwise) -> None:
    client_in_use().hset(WORDS, "Story:a:here", b"\x01a")
    provider.error = RuntimeError("down")
    story.create(name="a", text="cat")
    assert kept() == {}


def test_a_key_of_another_kind_is_told_before_anything_is_written(provider: Wordwise) -> None:
    story = model_of(provider, store="server")
    client_in_use().set(WORDS, "x")
    with pytest.raises(Exception, match=r"meaning:words|WRONGTYPE"):
        story.create(name="a", text="cat")
    assert story.query.count() == 0


async def test_the_asyncio_twin_runs_beside_the_loop() -> None:
    (found,) = await Wordwise().async_embed_words(["The cat"])
    assert list(found.words) == ["The", "cat"]
    assert issubclass(Wordwise, LateInteractionProvider)
