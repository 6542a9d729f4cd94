"""Saves and deletes queued on a pipeline of the caller's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException
from popoto.exceptions import NotStoredError, UniquenessError
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from tests.driver import Api

from .shop import FULL, OTHER, Shop, assign, healthy, keys_of, plain


class Tag(Model):
    name = KeyField()
    kind = IndexedField()
    code = IndexedField(unique=True)


class Pipe:
    """A redis-py pipeline of either kind, with calls that wait for the answer."""

    def __init__(self, api: Api, *, transaction: bool) -> None:
        self._api = api
        if api.is_async:

            async def make() -> Any:
                return (await get_async_redis_db()).pipeline(transaction=transaction)

            self.pipeline = api.run(make())
        else:
            self.pipeline = POPOTO_REDIS_DB.pipeline(transaction=transaction)

    def execute(self, **options: Any) -> list[Any]:
        if not self._api.is_async:
            return self.pipeline.execute(**options)
        return self._api.run(self.pipeline.execute(**options))

    def discard(self) -> None:
        if self._api.is_async:
            self._api.run(self.pipeline.reset())
        else:
            self.pipeline.reset()


@pytest.fixture(params=[True, False], ids=["transaction", "plain"])
def pipe(api: Api, request: pytest.FixtureRequest) -> Pipe:
    return Pipe(api, transaction=request.param)


def test_nothing_happens_before_execute(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    record = Shop(**FULL)
    assert api(record.save, pipeline=pipe.pipeline) is pipe.pipeline
    assert keys_of(redis_client) == []
    assert api(Shop.query.count) == 0
    assert record._is_persisted is False
    assert record._redis_key == "Shop:a"
    assert record._saved_field_values["note"] == "n"
    pipe.execute()
    assert plain(api(Shop.query.get, name="a"))["note"] == "n"
    assert healthy(redis_client)


def test_create_returns_the_pipeline(api: Api, pipe: Pipe) -> None:
    assert api(Tag.create, pipeline=pipe.pipeline, name="a") is pipe.pipeline
    pipe.execute()
    assert api(Tag.query.count) == 1


def test_many_records_in_one_pipeline(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    for number in range(20):
        api(
            Shop(**{**FULL, "name": str(number), "code": str(number), "size": number}).save,
            pipe.pipeline,
        )
    pipe.execute()
    assert api(Shop.query.count, kind="books") == 20
    assert healthy(redis_client)


def test_several_saves_of_one_record(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    record = Shop(**FULL)
    api(record.save, pipe.pipeline)
    assign(record, OTHER)
    api(record.save, pipe.pipeline)
    record.kind, record.log = "tea", ["1", "2"]
    api(record.save, pipe.pipeline, update_fields=["kind", "log"])
    pipe.execute()
    found = plain(api(Shop.query.get, name="a"))
    assert (found["kind"], found["log"], found["note"]) == ("tea", ["1", "2"], "m")
    assert healthy(redis_client)


def test_several_copies_of_one_record(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    first, second = api(Shop.query.get, name="a"), api(Shop.query.all)[0]
    first.kind, second.rank = "one", 9
    api(first.save, pipe.pipeline)
    api(second.save, pipe.pipeline)
    second.kind = "two"
    api(second.save, pipe.pipeline)
    pipe.execute()
    found = api(Shop.query.get, name="a")
    assert (found.kind, found.rank) == ("two", 9)
    assert healthy(redis_client)


def test_saves_and_deletes_mixed(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    first = api(Shop.create, **FULL)
    second = Shop(**{**OTHER, "name": "b"})
    assert api(first.delete, pipe.pipeline) is pipe.pipeline
    api(second.save, pipe.pipeline)
    api(second.delete, pipe.pipeline)
    first.note = "again"
    api(first.save, pipe.pipeline)
    assert api(Shop.query.count) == 1
    pipe.execute()
    assert [each.note for each in api(Shop.query.all)] == ["again"]
    assert healthy(redis_client)


def test_deleting_what_is_not_there(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    assert api(Shop(name="x").delete, pipe.pipeline) is pipe.pipeline
    pipe.execute()
    assert redis_client.keys("*") == []


def test_delete_in_a_pipeline_leaves_nothing(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    (record,) = api(Shop.query.all)
    api(record.delete, pipe.pipeline)
    assert api(Shop.query.count) == 1
    pipe.execute()
    assert keys_of(redis_client) == []


def test_a_key_migration_in_a_pipeline(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL)
    record.name = "b"
    api(record.save, pipe.pipeline, migrate_key=True)
    record.note = "moved"
    api(record.save, pipe.pipeline)
    pipe.execute()
    assert [(each.pk, each.note) for each in api(Shop.query.all)] == [("Shop:b", "moved")]
    assert healthy(redis_client)


def test_a_discarded_pipeline_leaves_no_trace(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    record = api(Shop.create, **FULL)
    assign(record, OTHER)
    api(record.save, pipe.pipeline)
    pipe.discard()
    record.kind = "tea"
    api(record.save)
    assert api(Shop.query.count, kind="tea") == 1
    assert api(Shop.query.count, kind="wine") == 0
    assert api(Shop.query.count, kind="books") == 0
    assert healthy(redis_client)


def test_a_new_record_of_a_discarded_pipeline_can_be_saved(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    record = Shop(**FULL)
    api(record.save, pipe.pipeline)
    pipe.discard()
    api(record.save)
    assert plain(api(Shop.query.get, name="a"))["data"] == {"k": [1]}
    assert healthy(redis_client)


def test_a_pipeline_is_used_again_after_execute(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    record = Shop(**FULL)
    api(record.save, pipe.pipeline)
    pipe.execute()
    api(api(Shop.query.get, name="a").delete)
    record.note = "second"
    api(record.save, pipe.pipeline)
    pipe.execute()
    assert [each.note for each in api(Shop.query.all)] == ["second"]
    assert healthy(redis_client)


def test_what_is_refused_already_is_refused_at_once(api: Api, pipe: Pipe) -> None:
    api(Tag.create, name="a", code="c")
    with pytest.raises(ModelException, match="already exists"):
        api(Tag(name="b", code="c").save, pipe.pipeline)
    assert api(Tag(name="b", code="c").save, pipe.pipeline, ignore_errors=True) is pipe.pipeline
    wrong = Tag(name="b", code="d")
    wrong.kind = object()
    with pytest.raises(ModelException, match="invalid"):
        api(wrong.save, pipe.pipeline)
    pipe.execute()
    assert api(Tag.query.count) == 1


def test_two_claims_of_one_value_in_a_pipeline(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    for name in ("a", "b"):
        api(Tag(name=name, code="c").save, pipe.pipeline)
    with pytest.raises(redis.ResponseError, match="guard failed, nothing was written"):
        pipe.execute()
    assert redis_client.smembers("$Class:Tag") == {b"Tag:a"}
    assert redis_client.keys("Tag:*") == [b"Tag:a"]


def test_a_guard_that_fails_when_the_pipeline_runs(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    """Another writer came between: nothing of that save is written, and execute() says so."""
    record = api(Shop.create, **FULL)
    record.kind = "mine"
    api(record.save, pipe.pipeline)
    other = api(Shop.query.get, name="a")
    other.kind = "theirs"
    api(other.save)
    with pytest.raises(redis.ResponseError, match="guard failed, nothing was written"):
        pipe.execute()
    assert api(Shop.query.get, name="a").kind == "theirs"
    assert healthy(redis_client)


@pytest.mark.single_server("a transaction of a cluster keeps to one slot")
def test_other_commands_of_the_caller_stay_in_place(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    pipe.pipeline.set("before", "1")
    api(Tag(name="a").save, pipe.pipeline)
    pipe.pipeline.set("after", "2")
    replies = pipe.execute()
    assert (replies[0], replies[-1]) == (True, True)
    assert redis_client.mget("before", "after") == [b"1", b"2"]


def test_an_emptied_script_cache_does_not_matter(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    api(Tag.create, name="warm")
    for name in ("a", "b"):
        api(Tag(name=name).save, pipe.pipeline)
    redis_client.script_flush()
    pipe.execute()
    assert api(Tag.query.count) == 3


def test_no_names_leave_the_pipeline_empty(api: Api, pipe: Pipe) -> None:
    record = Tag(name="a")
    assert api(record.save, pipe.pipeline, update_fields=[]) is pipe.pipeline
    assert pipe.execute() == []


@pytest.mark.parametrize("wrong", [object(), [], "pipeline", 5])
def test_anything_else_is_no_pipeline(api: Api, wrong: Any) -> None:
    with pytest.raises(TypeError, match="pipeline"):
        api(Tag(name="a").save, pipeline=wrong)
    with pytest.raises(TypeError, match="pipeline"):
        api(Tag(name="a").delete, pipeline=wrong)
    with pytest.raises(TypeError, match="pipeline"):
        api(Tag.create, pipeline=wrong, name="a")


def test_a_ttl_in_a_pipeline(api: Api, pipe: Pipe, redis_client: redis.Redis) -> None:
    api(Shop(**FULL, _ttl=100).save, pipe.pipeline)
    pipe.execute()
    assert 0 < redis_client.ttl("Shop:a") <= 100
    assert healthy(redis_client)


# A pipeline that is dropped ---------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_dropped_pipeline_was_given_is_saved_by_the_next_save(
    api: Api, pipe: Pipe, place: int
) -> None:
    """Whatever the instance knew of the stored record, and whatever else was queued beside it."""
    api(Shop.create, **FULL)
    records = [Shop(**FULL), api(Shop.query.get, name="a"), Shop(**FULL)]
    for number, record in enumerate(records):
        record.note = record.kind = f"n{number}"
        record.data, record.log = {"n": number}, [number]
        api(record.save, pipe.pipeline)
    pipe.discard()
    api(records[place].save)
    stored = api(Shop.query.get, name="a")
    assert (stored.note, stored.kind) == (f"n{place}", f"n{place}")
    assert (stored.data, stored.log) == ({"n": place}, [place])


def test_a_copy_takes_over_nothing_that_waits_in_a_pipeline(api: Api, pipe: Pipe) -> None:
    api(Shop.create, **FULL)
    first, second = api(Shop.query.get, name="a"), api(Shop.query.get, name="a")
    first.kind = "dropped"
    api(first.save, pipe.pipeline)
    second.note = "second"
    api(second.save, pipe.pipeline)
    pipe.discard()
    assert second.kind == FULL["kind"]
    api(second.save)
    assert second.kind == api(Shop.query.get, name="a").kind == FULL["kind"]


def test_what_a_later_commit_of_a_pipeline_lost_is_saved_by_the_next_save(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    """The first was carried out, the second was refused: another writer took its code."""
    api(Shop.create, **FULL)
    first, second = api(Shop.query.get, name="a"), api(Shop.query.get, name="a")
    first.data = {"n": 1}
    api(first.save, pipe.pipeline)
    second.data, second.code = {"n": 2}, "taken"
    api(second.save, pipe.pipeline)
    api(Shop.create, name="b", code="taken")
    with pytest.raises(redis.ResponseError, match="guard failed"):
        pipe.execute()
    second.code = "free"
    api(second.save)
    assert api(Shop.query.get, name="a").data == {"n": 2}
    assert healthy(redis_client)


def test_a_partial_save_of_what_is_not_stored_is_refused_at_once(api: Api, pipe: Pipe) -> None:
    with pytest.raises(NotStoredError, match=r"^'Tag:a' is not stored any more"):
        api(Tag(name="a", kind="k").save, pipe.pipeline, update_fields=["kind"])
    assert pipe.execute() == []


def test_a_partial_save_of_a_record_that_was_not_loaded(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    api(Shop(name="a", kind="wine").save, pipe.pipeline, update_fields=["kind"])
    pipe.execute()
    assert plain(api(Shop.query.get, name="a")) == {
        **FULL,
        "kind": "wine",
        "opened": datetime(2020, 1, 1),
    }
    assert healthy(redis_client)


def test_what_is_taken_already_is_told_at_once_and_by_whom(api: Api, pipe: Pipe) -> None:
    api(Tag.create, name="holder", code="c")
    with pytest.raises(UniquenessError, match=r"'c' already exists in 'Tag:holder'"):
        api(Tag(name="a", code="c").save, pipe.pipeline)
    assert pipe.execute() == []


def test_a_key_that_a_queued_move_leaves_is_free_for_the_next(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    record = api(Tag.create, name="a", kind="k", code="c")
    record.name = "b"
    api(record.save, pipe.pipeline, migrate_key=True)
    api(Tag.create, pipeline=pipe.pipeline, name="a", kind="new")
    pipe.execute()
    found = {tag.name: tag.kind for tag in api(Tag.query.all)}
    assert found == {"a": "new", "b": "k"}


def test_a_new_instance_in_a_pipeline_replaces_what_is_stored(
    api: Api, pipe: Pipe, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    api(Shop(**{**FULL, "kind": "wine", "note": None}).save, pipe.pipeline)
    pipe.execute()
    assert api(Shop.query.get, name="a").kind == "wine"
    assert api(Shop.query.count, kind="books") == 0
    assert healthy(redis_client)
