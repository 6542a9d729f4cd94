"""A key that another program uses is named in one wording, whatever meets it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EventStreamMixin,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    QueryException,
    SortedField,
    StreamConsumer,
    UniqueField,
    explain_confidence,
)
from popoto.cli.exporting import Export
from popoto.exceptions import NoStreamError
from tests.driver import Api
from tests.truth.remembering import Fact, fill


class Note(AccessTrackerMixin, EventStreamMixin, Model):
    name = KeyField()
    kind = IndexedField(default="new")
    code = UniqueField()
    size = SortedField(type=int, default=1)
    fresh = DecayingSortedField()
    sure = ConfidenceField()
    near = CoOccurrenceField()

    class Meta:
        history = True
        indexes = ((("kind", "size"), True),)


OPERATIONS: dict[str, Callable[[Api, Note], Any]] = {
    "history": lambda api, note: api(note.history),
    "explain_confidence": lambda api, note: explain_confidence(note),
    "check_indexes": lambda api, note: api(Note.check_indexes),
    "clean_indexes": lambda api, note: api(Note.clean_indexes),
    "rebuild_indexes": lambda api, note: api(Note.rebuild_indexes),
    "get": lambda api, note: api(Note.query.get, name="a"),
    "all": lambda api, note: api(Note.query.all),
    "filter": lambda api, note: api(Note.query.filter(kind="new", size__gt=0).all),
    "count": lambda api, note: api(Note.query.count),
    "top_by_decay": lambda api, note: api(Note.query.top_by_decay, "fresh"),
    "get_linked": lambda api, note: api(Note.near.get_linked, Note, "Note:a"),
    "get_confidence": lambda api, note: api(ConfidenceField.get_confidence, note, "sure"),
    "save": lambda api, note: api(note.save),
    "touch": lambda api, note: api(note.touch, "fresh"),
    "update_confidence": lambda api, note: api(
        ConfidenceField.update_confidence, note, "sure", 0.4
    ),
    "confirm_access": lambda api, note: api(note.confirm_access),
    "delete": lambda api, note: api(note.delete),
}


def put_back(client: redis.Redis, kept: Mapping[bytes, Any], stranger: bytes) -> None:
    """All keys as they were dumped, but for one that is another program's."""
    pipeline = client.pipeline(transaction=False)
    pipeline.flushdb()
    for key, dump in kept.items():
        pipeline.restore(key, 0, dump)
    pipeline.set(stranger, "another program's")
    pipeline.execute()


@pytest.mark.single_server("puts keys back as they were, without their hash tags")
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_passes_on_what_the_server_says(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    note, other = Note.create(name="a", code="a"), Note.create(name="b", code="b", size=2)
    ConfidenceField.update_confidence(note, "sure", 0.9)
    note.touch("fresh")
    Note.near.link(note, "near", other)
    kept = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    assert len(kept) > 20
    for stranger in kept:
        put_back(redis_client, kept, stranger)
        found = Note(name="a", code="a")
        found.__dict__.update(note.__dict__)
        told = ""
        try:
            OPERATIONS[name](api, found)
        except (ModelException, QueryException, ResponseError) as error:
            told = f"{type(error).__name__}: {error}"
        assert not told or repr(stranger.decode()) in told, (stranger, told)
        assert "ResponseError" not in told, (stranger, told)
        assert "was carried out" not in told, (stranger, told)


def test_a_check_counts_what_should_stand_there_as_missing(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    Note.create(name="a", code="a")
    redis_client.delete("$IndexF:Note:kind:new", "$DecayingSortF:Note:fresh")
    redis_client.set("$IndexF:Note:kind:new", "another program's")
    redis_client.set("$DecayingSortF:Note:fresh", "another program's")
    with caplog.at_level(logging.WARNING):
        found = api(Note.check_indexes)
    assert found["missing_entries"] == {"kind": 1, "fresh": 1}
    assert "'$IndexF:Note:kind:new' is a string where a set belongs" in caplog.text
    redis_client.delete("$Class:Note")
    redis_client.set("$Class:Note", "another program's")
    with pytest.raises(ModelException, match=r"'\$Class:Note' holds a string where a set belongs"):
        api(Note.check_indexes)


UPKEEP: dict[str, Callable[[Api], Any]] = {
    "check": lambda api: api(Fact.check_indexes),
    "clean": lambda api: api(Fact.clean_indexes),
    "rebuild": lambda api: api(Fact.rebuild_indexes),
    "export": lambda api: [*Export(Fact, batch_size=10).lines()],
    "delete": lambda api: api(Fact.delete_all),
}
#: What upkeep cannot do without: the records, and which texts and partitions there are.
NEEDED = ("$Class:Fact", "$Values:Fact", "$RP:Fact:partitions")


@pytest.mark.single_server("puts keys back as they were, without their hash tags")
@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep_goes_on_without_what_memory_keeps_where_another_program_has_the_key(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    fill()
    kept = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    for stranger in kept:
        put_back(redis_client, kept, stranger)
        told = ""
        try:
            UPKEEP[name](api)
        except (ModelException, QueryException) as error:
            told = str(error)
            assert repr(stranger.decode()) in told
            assert "carried out" not in told
        # To tell or to delete everything, everything is needed.
        needed = name in ("export", "delete") or stranger.decode().startswith(NEEDED)
        assert needed or not told, told
        # What is named after a record goes with it, whatever it is.
        assert name == "delete" or redis_client.get(stranger) == b"another program's"


def test_a_priority_whose_index_another_program_has_is_missing(
    api: Api, redis_client: redis.Redis
) -> None:
    fill()
    redis_client.set("$WF:Fact:priority", "another program's")
    assert api(Fact.check_indexes)["missing_entries"] == {"priority": 2}


# Streams ----------------------------------------------------------------------------------------


def consumer(**more: Any) -> StreamConsumer:
    def handle(entries: Any) -> None:
        raise RuntimeError("as planned")

    return StreamConsumer("stream:x", "group", "one", handle, block_ms=0, **more)


@pytest.mark.parametrize("is_known", [False, True])
def test_a_consumer_names_a_key_that_is_no_stream(
    redis_client: redis.Redis, is_known: bool
) -> None:
    works = consumer()
    if is_known:
        assert works.process_batch_sync() == 0
    redis_client.delete("stream:x")
    redis_client.hset("stream:x", "a", "b")
    words = "the key 'stream:x' holds a hash where a stream belongs. Rename or delete that key"
    with pytest.raises(NoStreamError, match=words) as caught:
        works.process_batch_sync()
    assert isinstance(caught.value, (ModelException, ResponseError))


@pytest.mark.single_server("on a cluster the dead letters of this key are in dead:{stream:x}")
def test_a_consumer_tells_of_dead_letters_that_have_no_stream(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    works = consumer(max_retries=0, claim_timeout_ms=0)
    redis_client.xadd("stream:x", {"a": 1})
    redis_client.hset("dead:stream:x", "a", "b")
    with pytest.raises(RuntimeError, match="as planned"):
        works.process_batch_sync()
    assert "the key 'dead:stream:x' holds a hash where a stream belongs" in caplog.text
