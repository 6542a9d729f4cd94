"""`only`: records that are loaded with some of their fields, and what becomes of the others."""

from __future__ import annotations

import asyncio
import copy
import datetime
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
import redis

from popoto import (
    DatetimeField,
    DictField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    QueryException,
    Relationship,
    SortedField,
    StringField,
)
from popoto.exceptions import BlockingReadError, ConflictError, ModelException, NotStoredError
from tests.driver import Api, RoundTrips
from tests.truth.oracle import violations

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Author(Model):
    name = KeyField()


class Page(Model):
    name = KeyField()
    title = StringField()
    text = StringField(null=False)
    extra = DictField(default=dict)
    kind = IndexedField(default="plain")
    rank = SortedField(type=int, default=0)
    views = IntField(default=0)
    recent = ListField(max_length=3)
    author = Relationship(model=Author)
    changed = DatetimeField(auto_now=True)
    made = DatetimeField(auto_now_add=True)


class Versioned(Model):
    name = KeyField()
    text = StringField()
    note = StringField()
    version = IntField()

    class Meta:
        version_field = "version"


@pytest.fixture
def pages(redis_client: redis.Redis) -> None:
    author = Author.create(name="ann")
    for number, name in enumerate("abc"):
        Page.create(
            name=name,
            title=f"Title {name}",
            text=name * 10_000,
            extra={"n": number},
            kind="plain",
            rank=number,
            views=number,
            recent=[1, 2],
            author=author,
        )


def stored(name: str) -> Page:
    found = Page.query.get(name=name)
    assert found is not None
    return found


@pytest.mark.usefixtures("pages")
def test_other_fields_are_not_transferred(api: Api, redis_client: redis.Redis) -> None:
    def sent() -> int:
        return cast("dict[str, int]", redis_client.info("stats"))["total_net_output_bytes"]

    before = sent()
    found = api(Page.query.only("title").order_by("-rank").limit(2).all)
    assert [(page.name, page.title) for page in found] == [("c", "Title c"), ("b", "Title b")]
    assert sent() - before < 10_000
    assert api(Page.query.filter(kind="plain").only("title").count) == 3
    assert api(Page.query.only("title").first) == stored("a")
    assert [page.title for page in Page.query.only("title").iterator(chunk_size=2)] == [
        "Title a",
        "Title b",
        "Title c",
    ]


@pytest.mark.usefixtures("pages")
def test_a_field_that_was_left_out_is_read_when_it_is_looked_at(
    round_trips: Counter, redis_client: redis.Redis
) -> None:
    page = Page.query.only("title")[0]
    with round_trips() as seen:
        assert (page.name, page.title, page.kind, page.rank) == ("a", "Title a", "plain", 0)
    assert seen.sends == 0
    with round_trips() as seen:
        assert page.text == "a" * 10_000
        assert page.text == "a" * 10_000
    assert seen.sends == 1
    assert (page.extra, page.views, list(page.recent)) == ({"n": 0}, 0, [1, 2])
    assert page.to_dict() == stored("a").to_dict()
    # What a hash lacks is the default, as ever.
    redis_client.hdel("Page:b", "views")
    other = Page.query.only("title")[1]
    with round_trips() as seen:
        assert (other.views, other.views) == (0, 0)
    assert seen.sends == 1
    assert [page.author.name for page in Page.query.only("title").select_related("author")] == [
        "ann"
    ] * 3


@pytest.mark.usefixtures("pages")
def test_a_save_leaves_alone_what_was_not_loaded(api: Api, redis_client: redis.Redis) -> None:
    page = api(Page.query.only("title").first)
    theirs = stored("a")
    theirs.text, theirs.views = "theirs", 7
    theirs.save()
    page.title, page.rank, page.kind = "mine", 5, "new"
    made, changed = stored("a").made, stored("a").changed
    api(page.save)
    found = stored("a")
    assert (found.title, found.text, found.views, found.rank) == ("mine", "theirs", 7, 5)
    assert (found.extra, list(found.recent), found.author) == ({"n": 0}, [1, 2], Author(name="ann"))
    assert found.made == made
    assert changed is not None
    assert found.changed is not None
    assert found.changed > changed
    # What is set is written, without a look at it; an empty list as well.
    page.text, page.recent = "set", []
    api(page.save)
    assert (stored("a").text, list(stored("a").recent), stored("a").views) == ("set", [], 7)
    page.extra = {"n": 9}
    api(page.save, update_fields=["extra", "views"])
    assert (stored("a").extra, stored("a").views) == ({"n": 9}, 7)
    assert api(page.atomic_increment, "views", 1) == 8
    assert not violations(redis_client, Page)


@pytest.mark.usefixtures("pages")
def test_a_save_sends_once(api: Api, round_trips: Counter) -> None:
    page = api(Page.query.only("title").first)
    page.title = page.kind = "new"
    with round_trips() as seen:
        api(page.save)
    assert seen.sends == 1


@pytest.mark.usefixtures("pages")
def test_a_loaded_field_that_is_read_in_place_is_saved(api: Api) -> None:
    page = Page.query.only("title")[0]
    page.extra["n"] = 5
    page.recent.push(9)
    api(page.save)
    assert (stored("a").extra, list(stored("a").recent)) == ({"n": 5}, [9, 1, 2])


@pytest.mark.usefixtures("pages")
def test_moved_deleted_and_gone_records(api: Api, redis_client: redis.Redis) -> None:
    page = api(Page.query.only("title").first)
    page.name = "z"
    api(page.save, migrate_key=True)
    assert (stored("z").text, list(stored("z").recent)) == ("a" * 10_000, [1, 2])
    assert api(page.delete) is True
    assert page.title == "Title a"
    with pytest.raises(NotStoredError, match="left out by only"):
        _ = page.text
    with pytest.raises(ModelException):
        api(page.save)
    assert Page.query.get(name="z") is None
    gone = Page.query.only("title")[0]
    redis_client.delete("Page:b", "Page:b::recent")
    with pytest.raises(NotStoredError, match="left out by only"):
        _ = gone.text
    gone.title = "x"
    with pytest.raises(NotStoredError):
        api(gone.save, recreate=True)
    assert redis_client.exists("Page:b") == 0


@pytest.mark.usefixtures("pages")
def test_expectations_are_on_what_was_loaded(api: Api) -> None:
    page = api(Page.query.only("title").first)
    theirs = stored("a")
    theirs.text = "theirs"
    theirs.save(skip_auto_now=True)
    page.views = 3
    api(page.save, expected=True, skip_auto_now=True)
    theirs.title = "theirs"
    theirs.save(skip_auto_now=True)
    page.views = 4
    with pytest.raises(ConflictError):
        api(page.save, expected=True)
    record = Versioned.create(name="a", text="x")
    partly = api(Versioned.query.only("text").first)
    partly.text = "y"
    api(partly.save)
    assert partly.version == 2
    record.note = "stale"
    with pytest.raises(ConflictError):
        api(record.save)


@pytest.mark.usefixtures("pages")
def test_refreshed_copied_and_pickled(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    page = api(Page.query.only("title").first)
    for twin in (copy.copy(page), pickle.loads(pickle.dumps(page))):
        assert twin.text == "a" * 10_000
        twin.title = "twin"
        twin.save()
        assert stored("a").views == 0
    api(page.refresh, ["text"])
    theirs = stored("a")
    theirs.text, theirs.views = "new", 3
    theirs.save()
    assert (page.text, page.views) == ("a" * 10_000, 3)
    redis_client.hdel("Page:a", "title", "extra")
    page = api(Page.query.only("views").first)
    api(page.refresh)
    with round_trips() as seen:
        assert (page.title, page.extra) == (None, {})
    assert seen.sends == 0
    assert page.to_dict() == stored("a").to_dict()


@pytest.mark.usefixtures("pages")
def test_an_event_loop_is_not_blocked(round_trips: Counter) -> None:
    async def read() -> tuple[str, Page]:
        page = (await Page.query.only("title"))[0]
        with pytest.raises(BlockingReadError, match="async_refresh"):
            _ = page.text
        await page.async_refresh(["text"])
        text = page.text
        page.title = "new"
        await page.async_save()
        return text, page

    text, page = asyncio.run(read())
    assert text == "a" * 10_000
    assert (stored("a").title, stored("a").text, stored("a").views) == ("new", text, 0)
    assert page.views == 0


@pytest.mark.usefixtures("pages")
def test_bulk_changes_of_such_a_query_are_those_of_the_records(api: Api) -> None:
    assert api(Page.query.only("title").update, views=9) == 3
    assert api(Page.bulk_update, Page.query.only("title").all(), title="x") == 3
    assert {(page.title, page.views, page.text[:1]) for page in Page.query} == {
        ("x", 9, "a"),
        ("x", 9, "b"),
        ("x", 9, "c"),
    }
    records = Page.query.only("title").all()
    records[0].title = "y"
    api(Page.bulk_create, records)
    assert (stored("a").title, stored("a").text[:1]) == ("y", "a")
    assert api(Page.query.only("title").delete) == 3


class Checked(Model):
    name = KeyField()
    text = StringField()
    size = IntField()

    def pre_save(self, **kwargs: Any) -> Any:
        self.size = len(self.text)
        return super().pre_save(**kwargs)


def test_a_query_is_changed_with_all_fields_at_hand(api: Api) -> None:
    Checked.create(name="a", text="abc")
    assert api(Checked.query.only("name").update, size=0) == 1
    assert [record.size for record in Checked.query] == [3]


@pytest.mark.usefixtures("pages")
def test_what_is_refused(api: Api) -> None:
    with pytest.raises(QueryException, match="only names 'txet'"):
        api(Page.query.only("txet").all)
    with pytest.raises(QueryException, match="only needs"):
        Page.query.only()
    with pytest.raises(TypeError, match=r"values\(\)"):
        Page.query.values("title").only("title")
    # The last one counts where records were asked for first.
    assert api(Page.query.only("text").values("name").first) == {"name": "a"}
    assert api(Page.query.only("text").only("title").first).title == "Title a"
    assert api(Page.query.only(cast("Any", Page.title)).first)._deferred > {"text", "views"}
    assert "pk" in api(Page.query.only("pk", "title").values("pk").first)
    assert isinstance(stored("a").made, datetime.datetime)
