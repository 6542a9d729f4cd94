"""Several saves into one pipeline that is never executed: the next save writes what is missing."""

from __future__ import annotations

from typing import Any

import pytest
import redis

import popoto
from popoto import IndexedField, IntField, KeyField, ListField, Model, StringField
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db
from tests.driver import Api
from tests.truth.oracle import violations


class Page(Model):
    name = KeyField()
    topic = IndexedField()
    text = StringField()
    links = ListField(max_length=5)
    visits = IntField(default=0)


def pipeline_of(api: Api) -> Any:
    if not api.is_async:
        return POPOTO_REDIS_DB.pipeline()

    async def make() -> Any:
        return (await get_async_redis_db()).pipeline()

    return api.run(make())


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


def test_a_second_instance_of_the_record_believes_nothing_of_the_first(api: Api) -> None:
    api(Page.create, name="a", text="one", links=["one"])
    dropped = pipeline_of(api)
    api(Page(name="a", text="two", links=["two"]).save, pipeline=dropped)
    second = Page(name="a", topic="t", text="two", links=["two"])
    api(second.save, pipeline=dropped, update_fields=["topic"])
    api(second.save)
    found = api(Page.query.get, name="a")
    assert (found.text, list(found.links or ())) == ("two", ["two"])


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
