"""`ExistenceFilter`: every save brings the words of its record, in the same step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import redis

from popoto import (
    ContentField,
    ExistenceFilter,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    StringField,
    transaction,
)
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.stores import FilesystemStore
from tests.driver import Api, RoundTrips
from tests.memory.words import Note, Plain, filter_model

RoundTripCounter = Callable[[], AbstractContextManager[RoundTrips]]
KEY = "$EF:Note:words"


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


def test_a_function_that_needs_the_text_is_no_obstacle_to_saving_something_else(api: Api) -> None:
    class Shout(Model):
        name = KeyField()
        text = StringField(null=True)
        hits = IntField(default=0)
        words = ExistenceFilter(fingerprint_fn=lambda record: record.text.upper())

    shout = api(Shout.create, name="a", text="kubernetes")
    api(Shout(name="a", hits=3).save, update_fields=["hits"])
    assert api(Shout.query.get, name="a").hits == 3
    api(Shout.raw_update, [shout.pk], text=None)
    shout = api(Shout.query.get, name="a")
    shout.hits = 4
    api(shout.save, update_fields=["hits"])
    assert api(Shout.query.get, name="a").hits == 4
    with pytest.raises(AttributeError):
        api(shout.save)


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


def test_texts_and_lists_that_are_kept_elsewhere_may_be_inputs(api: Api, tmp_path: Path) -> None:
    class Paper(Model):
        name = KeyField()
        hits = IntField(default=0)
        body = ContentField(store=FilesystemStore(tmp_path))
        tags = ListField(max_length=3)
        words = ExistenceFilter(
            fingerprint_fn=lambda paper: f"{paper.body} {' '.join(paper.tags or [])}"
        )

    api(Paper.create, name="a", body="kubernetes text", tags=["alpha"])
    paper = api(Paper.query.get, name="a")
    paper.body = "deployment text"
    api(paper.save, update_fields=["body"])
    paper = api(Paper.query.get, name="a")
    paper.tags = ["gamma"]
    api(paper.save, update_fields=["tags"])
    found = api(Paper.words.might_exist_batch, Paper, ["kubernetes", "deployment", "gamma", "none"])
    assert list(found.values()) == [True, True, True, False]
    api(Paper.rebuild_indexes)
    found = api(
        Paper.words.might_exist_batch, Paper, ["kubernetes", "deployment", "gamma", "alpha"]
    )
    assert list(found.values()) == [False, True, True, False]


def test_each_heir_of_an_abstract_model_has_its_own(api: Api) -> None:
    class Base(Model):
        name = KeyField()
        words = ExistenceFilter(capacity=100)

        class Meta:
            abstract = True

    class One(Base):
        pass

    class Other(Base):
        pass

    api(One.create, name="kubernetes")
    assert api(One.words.might_exist, One, "kubernetes") is True
    assert api(Other.words.might_exist, Other, "kubernetes") is False


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
