"""An instance that was only constructed writes no record of another partition."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
    transaction,
)
from popoto.exceptions import BulkError, NotStoredError
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit


class Note(Model):
    name = KeyField()
    agent = IndexedField(default="a")
    text = StringField(default="")
    number = SortedField(type=int, default=0)

    class Meta:
        require_partition = "agent"


class Plain(Model):
    """By fields that are in no index, of which one is a number."""

    name = KeyField()
    agent = StringField(default="a")
    level = IntField(default=1)
    text = StringField(default="")

    class Meta:
        require_partition = ("agent", "level")


class Keyed(Model):
    agent = KeyField()
    name = KeyField()
    text = StringField(default="")

    class Meta:
        require_partition = "agent"


MODELS: list[Any] = [Note, Plain]
Write = Callable[[Api, Any], Any]


def in_transaction(api: Api, fill: Callable[[Any], Any]) -> None:
    changes = transaction()
    fill(changes)
    api(changes.commit)


def in_pipeline(write: Callable[[Any], Any]) -> list[Any]:
    with popoto.get_redis().pipeline() as pipeline:
        try:
            write(pipeline)
        finally:
            replies = pipeline.execute()
    return replies


WRITES: dict[str, Write] = {
    "save": lambda api, note: api(note.save, update_fields=["text"]),
    "save with an expectation": lambda api, note: api(
        note.save, update_fields=["text"], expected={"name": "x"}
    ),
    "bulk_update": lambda api, note: api(type(note).bulk_update, [note], text="mine"),
    "save in a transaction": lambda api, note: in_transaction(
        api, lambda changes: changes.save(note, update_fields=["text"])
    ),
    "save in a pipeline": lambda api, note: in_pipeline(
        lambda pipeline: note.save(pipeline, update_fields=["text"])
    ),
    "delete": lambda api, note: api(note.delete),
    "bulk_delete": lambda api, note: api(type(note).bulk_delete, [note]),
    "delete in a transaction": lambda api, note: in_transaction(
        api, lambda changes: changes.delete(note)
    ),
    "delete in a pipeline": lambda api, note: in_pipeline(note.delete),
}


@pytest.mark.single_server("compares what one server holds")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", WRITES)
def test_anothers_record_stays_as_it_is(
    api: Api, redis_client: redis.Redis, model: Any, name: str
) -> None:
    model.create(name="x", agent="b", text="theirs")
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    for given in ({"agent": "a"}, {}):
        with pytest.raises((ModelException, BulkError)) as told:
            WRITES[name](api, model(name="x", text="mine", **given))
        assert "another agent" in str(told.value)
        assert "Meta.require_partition" in str(told.value)
        assert "nothing was written" in str(told.value)
        assert "query.get(name=…, agent=…" in str(told.value)
        # Whose it is, is nobody else's business.
        assert "'b'" not in str(told.value)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", WRITES)
def test_ones_own_record_is_written(api: Api, model: Any, name: str) -> None:
    model.create(name="x", agent="a", text="before")
    WRITES[name](api, model(name="x", agent="a", text="mine"))
    whose = {"agent": "a"} if model is Note else {"agent": "a", "level": 1}
    found = model.query.get(name="x", **whose)
    if "delete" in name:
        assert found is None
    else:
        assert found.text == "mine"


@pytest.mark.parametrize("model", MODELS)
def test_a_record_that_is_gone_is_told_of_as_always(api: Api, model: Any) -> None:
    with pytest.raises(NotStoredError):
        api(model(name="x", text="mine").save, update_fields=["text"])
    assert api(model(name="x").delete) is False
    with pytest.raises(NotStoredError):
        in_pipeline(lambda pipeline: model(name="x").save(pipeline, update_fields=["text"]))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["save", "bulk_update", "save in a transaction", "delete"])
def test_a_record_that_goes_to_another_partition_meanwhile_is_not_written(
    monkeypatch: pytest.MonkeyPatch, api: Api, model: Any, name: str
) -> None:
    model.create(name="x", agent="a", text="before")
    mine = model(name="x", agent="a", text="mine")
    others = [lambda: model(name="x", agent="b", text="theirs").save()]

    def interfere() -> None:
        if others:
            others.pop()()

    with monkeypatch.context() as patch:
        before_each_commit(patch, interfere)
        with pytest.raises((ModelException, BulkError), match="another agent"):
            WRITES[name](api, mine)
    whose = {"agent": "b"} if model is Note else {"agent": "b", "level": 1}
    assert model.query.get(name="x", **whose).text == "theirs"


def test_a_partition_that_is_written_is_the_new_one(api: Api) -> None:
    api(Note.create, name="x", agent="b", text="before", number=3)
    api(Note(name="x", agent="a", text="mine").save, update_fields=["agent", "text"])
    found = api(Note.query.get, name="x", agent="a")
    assert (found.text, found.number) == ("mine", 3)
    assert Note.check_indexes()["total"] == 0


def test_of_several_fields_those_that_are_not_written_count(api: Api) -> None:
    api(Plain.create, name="x", agent="b", level=2)
    for names in (["text"], ["text", "agent"], ["text", "level"]):
        with pytest.raises(ModelException, match="another"):
            api(Plain(name="x", agent="a", level=1, text="mine").save, update_fields=names)
    api(Plain(name="x", agent="b", level=2, text="mine").save, update_fields=["text"])
    assert api(Plain.query.get, name="x", agent="b", level=2).text == "mine"


def test_a_number_is_the_same_in_any_form(api: Api, redis_client: redis.Redis) -> None:
    """As others may have stored it: that of 1 in five bytes."""
    api(Plain.create, name="x", agent="a", level=1)
    redis_client.hset("Plain:x", "level", b"\xd2\x00\x00\x00\x01")
    assert api(Plain(name="x", agent="a", level=1, text="mine").save, update_fields=["text"]) == 0
    in_pipeline(
        lambda pipeline: Plain(name="x", text="more").save(pipeline, update_fields=["text"])
    )
    assert api(Plain(name="x", agent="a", level=1).delete) is True


def test_a_record_that_was_read_or_saved_is_ones_own(api: Api) -> None:
    note = api(Note.create, name="x", agent="a")
    api(Note(name="x", agent="b").save)
    note.text = "a change"
    api(note.save, update_fields=["text"])
    assert api(Note.query.get, name="x", agent="b").text == "a change"


def test_rows_of_others_are_refused_and_the_rest_is_written(api: Api) -> None:
    for name, agent in (("x", "a"), ("y", "b"), ("z", "a")):
        api(Note.create, name=name, agent=agent)
    rows = [Note(name=name, agent="a") for name in "xyz"]
    with pytest.raises(BulkError, match="row 1"):
        api(Note.bulk_update, rows, number=7)
    assert [each.number for each in Note.query.filter(agent="a").all()] == [0, 0]
    refused: list[Any] = []
    assert api(Note.bulk_update, rows, number=7, on_error=refused.append) == 2
    assert [each.position for each in refused] == [1]
    assert [each.number for each in Note.query.filter(agent="a").all()] == [7, 7]
    assert Note.query.get(name="y", agent="b").number == 0


def test_what_was_queued_before_counts(api: Api) -> None:
    with popoto.get_redis().pipeline() as pipeline:
        Note(name="x", agent="b", text="theirs").save(pipeline)
        with pytest.raises(ModelException, match="another agent"):
            Note(name="x", agent="a", text="mine").save(pipeline, update_fields=["text"])
        Note(name="x", agent="b", text="more").save(pipeline, update_fields=["text"])
        pipeline.execute()
    assert api(Note.query.get, name="x", agent="b").text == "more"


def test_it_costs_no_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    api(Note.create, name="x", agent="a")
    api(Keyed.create, agent="a", name="x")
    api(Note(name="x", agent="a", text="mine").save, update_fields=["text"])
    api(Keyed(agent="a", name="x", text="mine").save, update_fields=["text"])
    with round_trips() as seen:
        api(Note(name="x", agent="a", text="more").save, update_fields=["text"])
    with round_trips() as of_keyed:
        api(Keyed(agent="a", name="x", text="more").save, update_fields=["text"])
    assert seen.sends == of_keyed.sends == 2
