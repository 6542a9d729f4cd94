"""Optimistic locking on request: expected values, and versions that a model keeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

import popoto
from popoto import redis_db
from popoto.exceptions import ConflictError, ModelException, UnsavedError, ValidationError
from tests.driver import Api, RoundTrips


class Ticket(popoto.Model):
    name = popoto.KeyField()
    status = popoto.IndexedField(default="open")
    owner = popoto.StringField()
    effort = popoto.FloatField()
    log = popoto.ListField(max_length=5)


class Page(popoto.Model):
    name = popoto.KeyField()
    text = popoto.StringField()
    tag = popoto.IndexedField()
    views = popoto.IntField(default=0)
    version = popoto.IntField()

    class Meta:
        version_field = "version"


def both() -> tuple[Ticket, Ticket]:
    Ticket.create(name="t", owner="ann")
    mine, theirs = Ticket.query.get(name="t"), Ticket.query.get(name="t")
    assert mine is not None
    assert theirs is not None
    return mine, theirs


# Expected values -------------------------------------------------------------------------


@pytest.mark.parametrize("expected", [True, ["status", "owner"], {"status": "open"}])
def test_a_record_as_expected_is_written(api: Api, expected: Any) -> None:
    mine, _ = both()
    mine.owner = "bob"
    api(mine.save, expected=expected)
    assert Ticket.query.get(name="t").owner == "bob"


@pytest.mark.parametrize("expected", [True, ["status"], {"status": "open"}])
def test_a_record_that_has_changed_is_a_conflict_with_both_sides(api: Api, expected: Any) -> None:
    mine, theirs = both()
    theirs.status = "done"
    theirs.save()
    mine.owner = "bob"
    with pytest.raises(ConflictError, match="status is 'done' and not 'open'") as caught:
        api(mine.save, expected=expected)
    assert caught.value.expected["status"] == "open"
    assert caught.value.stored is not None
    assert caught.value.stored["status"] == "done"
    assert caught.value.mine == {"owner": "bob"}
    assert isinstance(caught.value, ModelException)
    assert Ticket.query.get(name="t").owner == "ann"
    assert mine.owner == "bob"


def test_other_fields_may_change(api: Api) -> None:
    mine, theirs = both()
    theirs.owner = "carl"
    theirs.save()
    mine.status = "done"
    api(mine.save, expected=["status"])
    found = Ticket.query.get(name="t")
    assert (found.status, found.owner) == ("done", "carl")


def test_a_conflict_on_the_field_that_is_written(api: Api) -> None:
    mine, theirs = both()
    theirs.status = "done"
    theirs.save()
    mine.status = "lost"
    with pytest.raises(ConflictError) as caught:
        api(mine.save, expected=["status"])
    assert caught.value.mine == {"status": "lost"}
    assert Ticket.query.filter(status="done").count() == 1
    api(mine.refresh)
    mine.status = "lost"
    api(mine.save, expected=["status"])
    assert Ticket.query.filter(status="lost").count() == 1
    assert not Ticket.query.filter(status="done").count()


def test_partial_saves_too(api: Api) -> None:
    mine, theirs = both()
    theirs.owner = "carl"
    theirs.save()
    mine.effort = 1.0
    with pytest.raises(ConflictError):
        api(mine.save, update_fields=["effort"], expected={"owner": "ann"})
    api(mine.save, update_fields=["effort"], expected={"owner": "carl"})
    assert Ticket.query.get(name="t").effort == 1.0


def test_a_record_that_is_gone_is_a_conflict(
    api: Api,
    redis_client: redis.Redis,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    mine, theirs = both()
    theirs.delete()
    mine.owner = "bob"
    with (
        round_trips() as seen,
        pytest.raises(ConflictError, match="not stored any more") as caught,
    ):
        api(mine.save, expected=True)
    assert seen.sends == 1
    assert caught.value.stored is None
    assert not redis_client.exists("Ticket:t")


def test_values_compare_as_values(api: Api, redis_client: redis.Redis) -> None:
    mine, _ = both()
    redis_client.hset("Ticket:t", "effort", b"\x04")  # as the published package writes 4.0
    mine.owner = "bob"
    api(mine.save, expected={"effort": 4})
    redis_client.hdel("Ticket:t", "effort")
    with pytest.raises(ConflictError):
        api(mine.save, update_fields=["owner"], expected={"effort": 4.0})


def test_the_same_value_in_other_bytes_is_expected_beside_a_field_that_is_missing(
    api: Api, redis_client: redis.Redis
) -> None:
    Ticket.create(name="t", effort=4.0)
    redis_client.hdel("Ticket:t", "owner")
    mine = Ticket.query.get(name="t")
    redis_client.hset("Ticket:t", "effort", b"\x04")
    mine.status = "done"
    api(mine.save, expected=["owner", "effort"])
    assert Ticket.query.get(name="t").status == "done"
    redis_client.hset("Ticket:t", mapping={"effort": b"\xcb" + bytes(8), "owner": b"\xa1x"})
    mine.status = "lost"
    with pytest.raises(ConflictError, match=r"owner is 'x' and not None, effort is 0\.0 and not 4"):
        api(mine.save, expected=["owner", "effort"])


def test_a_field_that_is_missing_is_not_what_is_expected(
    api: Api, redis_client: redis.Redis
) -> None:
    Ticket.create(name="t", effort=4.0, owner="ann")
    mine = Ticket.query.get(name="t")
    redis_client.hdel("Ticket:t", "effort")
    mine.owner = "bob"
    with pytest.raises(ConflictError, match="effort is None and not 4"):
        api(mine.save, expected=["effort"])


def test_a_field_that_was_and_is_missing_is_no_difference(
    api: Api, redis_client: redis.Redis
) -> None:
    Ticket.create(name="t", effort=4.0, owner="ann")
    redis_client.hdel("Ticket:t", "effort")
    mine = Ticket.query.get(name="t")
    redis_client.hset("Ticket:t", "owner", b"\xa1x")
    mine.status = "done"
    with pytest.raises(
        ConflictError, match="writer: owner is 'x' and not 'ann'; nothing"
    ) as caught:
        api(mine.save, expected=["effort", "owner"])
    assert caught.value.expected == {"effort": None, "owner": "ann"}
    assert caught.value.stored["effort"] is None


def test_false_and_none_expect_nothing(api: Api) -> None:
    for expected in (False, None):
        mine, theirs = both()
        theirs.owner = "carl"
        theirs.save()
        mine.owner = "bob"
        api(mine.save, expected=expected)
        assert Ticket.query.get(name="t").owner == "bob"
        mine.delete()
        api(Ticket(name="new").save, expected=expected)


@pytest.mark.parametrize("expected", [5, b"status"])
def test_only_names_can_be_expected(api: Api, expected: Any) -> None:
    mine, _ = both()
    with pytest.raises(ModelException, match="give True, a list of names, or a dict"):
        api(mine.save, expected=expected)


def test_bytes_that_cannot_be_read_are_not_what_is_expected(
    api: Api, redis_client: redis.Redis
) -> None:
    mine, _ = both()
    redis_client.hset("Ticket:t", "effort", b"\xc1")
    mine.owner = "bob"
    with pytest.raises(ConflictError, match="effort is"):
        api(mine.save, expected=["effort"])


@pytest.mark.single_server("its records are of several models, which no step covers on a cluster")
def test_a_transaction_expects_values_and_not_bytes(api: Api, redis_client: redis.Redis) -> None:
    Ticket.create(name="t", effort=4.0)
    expected = Ticket.query.get(name="t")
    redis_client.hset("Ticket:t", "effort", b"\x04")
    transaction = popoto.transaction()
    transaction.expect(expected)
    transaction.create(Page, name="p")
    assert api(transaction.commit)[0] is True
    assert Page.query.count() == 1
    for change in (lambda: Ticket.query.get(name="t").delete(), lambda: None):
        change()
        transaction = popoto.transaction()
        transaction.expect(expected)
        with pytest.raises(ConflictError, match="not stored any more") as caught:
            api(transaction.commit)
        assert caught.value.mine == {}


def test_a_new_instance_may_replace_what_it_expects(api: Api) -> None:
    both()
    api(Ticket(name="t", owner="new").save, expected={"owner": "ann"})
    assert Ticket.query.get(name="t").owner == "new"
    with pytest.raises(ConflictError):
        api(Ticket(name="t", owner="newer").save, expected={"owner": "ann"})
    with pytest.raises(ConflictError):
        api(Ticket(name="u", owner="none").save, expected={"owner": "ann"})


def test_what_cannot_be_expected(api: Api) -> None:
    mine, _ = both()
    with pytest.raises(ModelException, match="Unknown field"):
        api(mine.save, expected=["nothing"])
    with pytest.raises(ModelException, match="capped list"):
        api(mine.save, expected=["log"])
    with pytest.raises(ModelException, match="list of names"):
        api(mine.save, expected="status")
    with pytest.raises(ValidationError):
        api(mine.save, expected={"effort": "much"})
    with pytest.raises(UnsavedError):
        api(Ticket(name="new").save, expected=True)


def test_in_a_pipeline_the_conflict_is_found_when_it_runs() -> None:
    mine, theirs = both()
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    mine.owner = "bob"
    mine.save(pipeline=pipeline, expected=["status"])
    theirs.status = "done"
    theirs.save()
    with pytest.raises(redis.ResponseError, match="holds guard failed"):
        pipeline.execute()
    assert Ticket.query.get(name="t").owner == "ann"


def test_it_costs_no_round_trip_more(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    mine, _ = both()
    mine.owner = "bob"
    with round_trips() as seen:
        api(mine.save, expected=True)
    assert seen.sends == 1


# Versions --------------------------------------------------------------------------------


def test_every_write_counts_the_version(api: Api) -> None:
    page = api(Page.create, name="p", text="1")
    assert page.version == 1
    page.text = "2"
    api(page.save)
    assert page.version == 2
    page.tag = "x"
    api(page.save, update_fields=["tag"])
    assert page.version == 3
    assert api(page.atomic_increment, "views", 1) == 1
    assert page.version == 4
    assert Page.query.get(name="p").version == 4
    assert page.save() == 0
    assert page.version == 4


def test_a_stale_copy_conflicts_whatever_it_writes(api: Api) -> None:
    page = Page.create(name="p", text="1", tag="a")
    stale = Page.query.get(name="p")
    page.text = "2"
    page.save()
    stale.tag = "b"
    for arguments in ({}, {"update_fields": ["tag"]}):
        with pytest.raises(ConflictError) as caught:
            api(stale.save, **arguments)
        assert caught.value.expected == {"version": 1}
        assert caught.value.stored is not None
        assert (caught.value.stored["version"], caught.value.stored["text"]) == (2, "2")
        assert caught.value.mine["tag"] == "b"
    assert Page.query.filter(tag="a").count() == 1
    api(stale.refresh)
    stale.tag = "b"
    api(stale.save)
    assert Page.query.get(name="p").version == 3
    assert Page.query.filter(tag="b").count() == 1


def test_a_new_instance_over_a_stored_record_goes_on_counting(api: Api) -> None:
    page = Page.create(name="p", text="1")
    api(Page(name="p", text="replaced").save)
    assert Page.query.get(name="p").version == 2
    page.text = "stale"
    with pytest.raises(ConflictError):
        api(page.save)


def test_records_from_before_the_version_existed(api: Api, redis_client: redis.Redis) -> None:
    Page.create(name="p", text="1")
    redis_client.hdel("Page:p", "version")
    page, stale = Page.query.get(name="p"), Page.query.get(name="p")
    page.text = "2"
    api(page.save)
    assert page.version == 1
    stale.text = "3"
    with pytest.raises(ConflictError):
        api(stale.save)


@pytest.mark.parametrize(("raw", "version"), [(b"\xc0", 1), (b"\x00", 1), (b"\x07", 8)])
def test_a_version_counts_on_from_the_stored_one(
    api: Api, redis_client: redis.Redis, raw: bytes, version: int
) -> None:
    Page.create(name="p", text="1")
    redis_client.hset("Page:p", "version", raw)
    page = Page.query.get(name="p")
    page.text = "2"
    api(page.save)
    assert page.version == Page.query.get(name="p").version == version
    assert api(page.atomic_increment, "views", 2) == 2
    assert page.version == Page.query.get(name="p").version == version + 1


def test_of_many_writers_of_one_version_one_wins() -> None:
    Page.create(name="p", text="0")
    copies = [Page.query.get(name="p") for _ in range(20)]
    for number, copy in enumerate(copies):
        copy.text = str(number + 1)

    async def save_all() -> list[Any]:
        return await asyncio.gather(*(copy.async_save() for copy in copies), return_exceptions=True)

    outcomes = asyncio.run(save_all())
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 19
    assert Page.query.get(name="p").version == 2


def test_read_change_retry_loses_nothing() -> None:
    Page.create(name="p", views=0)

    def add() -> None:
        for _ in range(10):
            page = Page.query.get(name="p")
            while True:
                page.views += 1
                try:
                    page.save()
                    break
                except ConflictError:
                    page.refresh()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert Page.query.get(name="p").views == 40
    assert Page.query.get(name="p").version == 41


@pytest.mark.parametrize("name", ["nothing", "text", "name", 5])
def test_a_version_field_is_an_int_field(name: Any) -> None:
    meta = type("Meta", (), {"version_field": name})
    fields = {"name": popoto.KeyField(type=int), "text": popoto.StringField()}
    with pytest.raises(ModelException, match="version_field"):
        popoto.ModelBase("Wrong", (popoto.Model,), {**fields, "Meta": meta})
