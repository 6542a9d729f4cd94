"""Several saves into one pipeline that is never executed: the next save writes what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis

import popoto
from popoto import IndexedField, IntField, KeyField, ListField, Model, StringField
from popoto.engine.batch import Batch
from popoto.exceptions import ConflictError
from popoto.models.writing.saving import Saving
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from tests.driver import Api
from tests.truth.oracle import violations


class Page(Model):
    name = KeyField()
    topic = IndexedField()
    author = IndexedField()
    text = StringField()
    links = ListField(max_length=5)
    visits = IntField(default=0)


class Pair(Model):
    name = KeyField()
    left = StringField()
    right = StringField()

    class Meta:
        indexes = ((("left", "right"), False),)


def pipeline_of(api: Api) -> Any:
    if not api.is_async:
        return POPOTO_REDIS_DB.pipeline()

    async def make() -> Any:
        return (await get_async_redis_db()).pipeline()

    return api.run(make())


def execute(api: Api, pipeline: Any) -> None:
    if api.is_async:
        api.run(pipeline.execute())
    else:
        pipeline.execute()


@pytest.mark.parametrize(
    ("name", "first", "second", "third"),
    [
        ("text", "one", "two", "three"),
        ("topic", "one", "two", "three"),
        ("links", ["one"], ["two"], ["three"]),
        ("text", "one", "two", "two"),
        ("text", None, "two", "three"),
    ],
)
def test_the_last_value_is_written_by_the_next_save(
    api: Api, redis_client: redis.Redis, name: str, first: Any, second: Any, third: Any
) -> None:
    api(Page.create, name="a", **{name: first})
    page = api(Page.query.get, name="a")
    dropped = pipeline_of(api)
    for value in (second, third):
        setattr(page, name, value)
        api(page.save, pipeline=dropped)
    api(page.save)
    found = getattr(api(Page.query.get, name="a"), name)
    assert (list(found) if name == "links" else found) == third
    assert violations(redis_client, Page) == []


@pytest.mark.parametrize(("name", "value"), [("text", "two"), ("topic", "two"), ("links", ["two"])])
@pytest.mark.parametrize("then", ["executed", "dropped", "part"])
def test_a_save_on_another_pipeline_writes_it_too(
    api: Api, redis_client: redis.Redis, name: str, value: Any, then: str
) -> None:
    """A full one; one of other fields leaves it waiting for the next full save."""
    api(Page.create, name="a", topic="one", text="one", links=["one"])
    page = api(Page.query.get, name="a")
    setattr(page, name, value)
    api(page.save, pipeline=pipeline_of(api))
    second = pipeline_of(api)
    if then == "part":
        api(page.save, update_fields=["visits"])
        api(page.save, pipeline=second, update_fields=["visits"])
    else:
        api(page.save, pipeline=second)
    if then != "dropped":
        execute(api, second)
    if then != "executed":
        api(page.save)
    found = getattr(api(Page.query.get, name="a"), name)
    assert (list(found) if name == "links" else found) == value
    assert violations(redis_client, Page) == []


@pytest.mark.parametrize("name", ["text", "topic"])
def test_what_another_instance_has_queued_on_that_pipeline_stays(api: Api, name: str) -> None:
    api(Page.create, name="a", text="one", topic="one")
    page, other = api(Page.query.get, name="a"), api(Page.query.get, name="a")
    setattr(page, name, "two")
    api(page.save, pipeline=pipeline_of(api))
    setattr(other, name, "theirs")
    pipeline = pipeline_of(api)
    api(other.save, pipeline=pipeline)
    api(page.save, pipeline=pipeline)
    execute(api, pipeline)
    assert getattr(api(Page.query.get, name="a"), name) == "theirs"


def test_a_part_that_meets_the_old_value_keeps_the_one_that_waits(
    api: Api, redis_client: redis.Redis
) -> None:
    """The guard on the composite fails, and tells of a topic that was to be another one."""
    pair = api(Pair.create, name="a", left="one", right="one")
    pair.left = "two"
    waiting = pipeline_of(api)
    api(pair.save, pipeline=waiting)
    pair.right = "two"
    api(pair.save, update_fields=["right"])
    assert pair.left == "two"
    assert api(Pair.query.get, name="a").left == "one"
    api(pair.save)
    found = api(Pair.query.get, name="a")
    assert (found.left, found.right) == ("two", "two")
    assert violations(redis_client, Pair) == []


@pytest.mark.parametrize("before", ["one", None])
def test_what_waits_is_not_written_over_what_others_stored_after_it(
    api: Api, redis_client: redis.Redis, before: str | None
) -> None:
    """A part has met the old value, then the pipeline was executed after all."""
    page = api(Page.create, name="a", topic=before, author="one")
    if before is None:
        # As a class without this field has stored it.
        redis_client.hdel("Page:a", "topic")
        page = api(Page.query.get, name="a")
    page.topic = "two"
    waiting = pipeline_of(api)
    api(page.save, pipeline=waiting)
    api(Page.query.filter(name="a").update, author="theirs")
    page.author = "two"
    api(page.save, update_fields=["author"])
    execute(api, waiting)
    other = api(Page.query.get, name="a")
    assert other.topic == "two"
    other.topic = "theirs"
    api(other.save)
    api(page.save)
    assert api(Page.query.get, name="a").topic == "theirs"


def test_an_old_value_that_another_writer_restores_is_that_writers(api: Api) -> None:
    """Once a save has found out that the pipeline was executed."""
    pair = api(Pair.create, name="a", left="one", right="one")
    pair.left = "two"
    waiting = pipeline_of(api)
    api(pair.save, pipeline=waiting)
    execute(api, waiting)
    pair.right = "two"
    meanwhile = [partial(Pair.query.filter(name="a").update, left="one")]
    with pytest.MonkeyPatch.context() as patch:
        build = Saving.batch

        def batch(saving: Saving) -> Batch:
            built = build(saving)
            if meanwhile:
                meanwhile.pop()()
            return built

        patch.setattr(Saving, "batch", batch)
        api(pair.save)
    assert (pair.left, pair.right) == ("one", "two")
    found = api(Pair.query.get, name="a")
    assert (found.left, found.right) == ("one", "two")


@pytest.mark.parametrize("named", [None, ["left"]])
def test_once_a_save_has_written_it_nothing_waits_any_more(
    api: Api, named: list[str] | None
) -> None:
    pair = api(Pair.create, name="a", left="one", right="one")
    pair.left = "two"
    api(pair.save, pipeline=pipeline_of(api))
    api(pair.save, update_fields=named)
    assert api(Pair.query.get, name="a").left == "two"
    # The value from before the pipeline is another writer's by now.
    api(Pair.query.filter(name="a").update, left="one")
    pair.right = "two"
    api(pair.save)
    found = api(Pair.query.get, name="a")
    assert (found.left, found.right) == ("one", "two")


def test_a_part_that_is_saved_lets_the_rest_wait(api: Api) -> None:
    pair = api(Pair.create, name="a", left="one", right="one")
    pair.left = pair.right = "two"
    api(pair.save, pipeline=pipeline_of(api))
    api(pair.save, update_fields=["left"])
    api(pair.save)
    found = api(Pair.query.get, name="a")
    assert (found.left, found.right) == ("two", "two")


def test_a_part_that_meets_another_writers_value_takes_it_over(api: Api) -> None:
    pair = api(Pair.create, name="a", left="one", right="one")
    pair.left = "two"
    api(pair.save, pipeline=pipeline_of(api))
    other = api(Pair.query.get, name="a")
    other.left = "theirs"
    api(other.save)
    pair.right = "two"
    api(pair.save, update_fields=["right"])
    assert pair.left == "theirs"


def test_a_record_that_moves_in_the_pipeline_takes_what_was_queued_along(api: Api) -> None:
    page = api(Page.create, name="a")
    page.links = ["two"]
    pipeline = pipeline_of(api)
    api(page.save, pipeline=pipeline)
    page.name = "b"
    api(page.save, pipeline=pipeline, migrate_key=True)
    commands = len(pipeline)
    api(page.save, pipeline=pipeline)
    assert "two" not in str(pipeline.command_stack[commands:])
    execute(api, pipeline)
    assert [list(each.links or ()) for each in api(Page.query.all)] == [["two"]]


def test_what_another_writer_stored_meanwhile_stays(api: Api) -> None:
    """It is neither what was queued nor what stood there before."""
    page = api(Page.create, name="a", text="one")
    dropped = pipeline_of(api)
    for text in ("two", "three"):
        page.text = text
        api(page.save, pipeline=dropped)
    other = api(Page.query.get, name="a")
    other.text = "theirs"
    api(other.save)
    page.topic = "t"
    api(page.save)
    assert api(Page.query.get, name="a").text == "theirs"


def test_a_save_after_a_deletion_that_was_dropped_as_well_writes_what_was_changed(api: Api) -> None:
    """In that pipeline the save had to write the record whole."""
    page = api(Page.create, name="a", text="one", links=["one"])
    other = api(Page.query.get, name="a")
    other.links = ["theirs"]
    api(other.save)
    dropped = pipeline_of(api)
    api(other.delete, pipeline=dropped)
    page.text = "two"
    api(page.save, pipeline=dropped, recreate=True)
    api(page.save)
    found = api(Page.query.get, name="a")
    assert (found.text, list(found.links or ())) == ("two", ["theirs"])


def test_a_second_instance_of_the_record_believes_nothing_of_the_first(api: Api) -> None:
    api(Page.create, name="a", text="one", links=["one"])
    dropped = pipeline_of(api)
    api(Page(name="a", text="two", links=["two"]).save, pipeline=dropped)
    second = Page(name="a", topic="t", text="two", links=["two"])
    api(second.save, pipeline=dropped, update_fields=["topic"])
    api(second.save)
    found = api(Page.query.get, name="a")
    assert (found.text, list(found.links or ())) == ("two", ["two"])


@pytest.mark.traced(200)
@pytest.mark.parametrize("how", ["delete", "bulk_delete", "transaction", "expect", "increment"])
def test_whatever_follows_a_dropped_pipeline_starts_from_what_is_stored(
    api: Api, redis_client: redis.Redis, how: str
) -> None:
    page = api(Page.create, name="a", text="one", topic="t")
    page.topic = "dropped"
    api(page.save, pipeline=pipeline_of(api))
    if how == "delete":
        assert api(page.delete) is True
    elif how == "bulk_delete":
        assert api(Page.bulk_delete, [page]) == 1
    elif how == "increment":
        assert api(page.atomic_increment, "visits", 2) == 2
        assert api(Page.query.get, name="a").topic == "t"
    else:
        transaction = popoto.transaction()
        if how == "transaction":
            transaction.delete(page)
        else:
            transaction.expect(page, {"topic": "t"})
        assert api(transaction.commit) == [True]
    assert api(Page.query.count) == (how in ("expect", "increment"))
    assert violations(redis_client, Page) == []


def save(api: Api, page: Page) -> None:
    api(page.save)


def save_in_bulk(api: Api, page: Page) -> None:
    api(Page.bulk_create, [page])


def save_in_a_transaction(api: Api, page: Page) -> None:
    transaction = popoto.transaction()
    transaction.save(page)
    api(transaction.commit)


def move(api: Api, page: Page) -> None:
    page.name = "b"
    api(page.save, migrate_key=True)


@pytest.mark.parametrize("how", [save, save_in_bulk, save_in_a_transaction, move])
@pytest.mark.parametrize("fate", ["dropped", "late"])
def test_of_a_creation_that_came_to_nothing_another_creators_values_stay(
    api: Api, redis_client: redis.Redis, fate: str, how: Callable[[Api, Page], None]
) -> None:
    """Whether the pipeline was executed, and they came after it, nobody can tell."""
    page = Page(name="a", topic="mine", text="mine", links=["mine"], visits=5)
    pipeline = pipeline_of(api)
    api(page.save, pipeline=pipeline)
    api(Page.create, name="a", topic="theirs", text="theirs", links=["theirs"], visits=1)
    if fate == "late":
        with pytest.raises(redis.ResponseError, match="nothing was written"):
            execute(api, pipeline)
    how(api, page)
    for each in (page, api(Page.query.get, name=page.name)):
        assert (each.topic, each.text, each.links, each.visits) == (
            *("theirs", "theirs"),
            *(["theirs"], 1),
        )
    assert violations(redis_client, Page) == []
    page.topic = page.text = "mine, again"
    api(page.save)
    found = api(Page.query.get, name=page.name)
    assert (found.topic, found.text, found.links) == ("mine, again", "mine, again", ["theirs"])
    assert violations(redis_client, Page) == []


def test_what_was_assigned_since_is_written_over_another_creators_value(api: Api) -> None:
    page = Page(name="a", topic="mine", text="mine")
    api(page.save, pipeline=pipeline_of(api))
    api(Page.create, name="a", topic="theirs", text="theirs")
    page.text = "mine, again"
    api(page.save)
    assert (page.topic, page.text) == ("theirs", "mine, again")
    found = api(Page.query.get, name="a")
    assert (found.topic, found.text) == ("theirs", "mine, again")


def test_a_save_that_is_refused_takes_nothing_over(api: Api) -> None:
    page = Page(name="a", topic="mine", text="mine")
    api(page.save, pipeline=pipeline_of(api))
    api(Page.create, name="a", topic="theirs", text="theirs")
    with pytest.raises(ConflictError):
        api(page.save, expected={"visits": 7})
    assert (page.topic, page.text) == ("mine", "mine")
