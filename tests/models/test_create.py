"""`create`, `load`, `get_or_create`, `update_or_create`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    IntField,
    KeyField,
    KeyMutationError,
    Model,
    ModelException,
    QueryException,
    StringField,
    UniqueField,
)
from popoto.exceptions import AlreadyExistsError, UniquenessError
from popoto.models.db_key import DB_key
from tests.driver import Api

from .shop import FULL, Shop, healthy, plain


class Item(Model):
    name = KeyField()
    text = StringField()
    size = IntField(default=1)


class Coded(Model):
    uid = AutoKeyField()
    code = UniqueField()
    text = StringField()


# create ---------------------------------------------------------------------------------------


def test_create_constructs_and_saves(api: Api) -> None:
    item = api(Item.create, name="a", text="t")
    assert (item.name, item.size, item._is_persisted) == ("a", 1, True)
    assert api(Item.query.get, name="a").text == "t"


def test_create_under_a_stored_key_is_refused(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    with pytest.raises(AlreadyExistsError, match="already exists") as caught:
        api(Shop.create, name="a", code="c9", note="other")
    assert isinstance(caught.value, ModelException)
    assert all(name in str(caught.value) for name in ("save()", "update_or_create()", "overwrite"))
    assert plain(api(Shop.query.get, name="a"))["note"] == "n"
    assert healthy(redis_client)


def test_overwrite_replaces_a_stored_record(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, **FULL)
    api(Shop.create, overwrite=True, name="a", kind="wine", code="c8")
    found = api(Shop.query.get, name="a")
    assert (found.kind, found.note, found.log) == ("wine", None, [])
    assert healthy(redis_client)


def test_create_of_invalid_values_writes_nothing(api: Api, redis_client: redis.Redis) -> None:
    with pytest.raises(ModelException):
        api(Item.create, name="a", size="many")
    with pytest.raises(ModelException, match="null"):
        api(Coded.create, text="t")
    assert redis_client.keys("*") == []


# load -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["Item:a", b"Item:a", DB_key("Item", "a")])
def test_load_by_key(api: Api, key: Any) -> None:
    api(Item.create, name="a", text="t")
    assert api(Item.load, key).text == "t"
    assert api(Item.load, db_key=key).text == "t"


def test_load_by_key_values(api: Api) -> None:
    api(Item.create, name="a:b", text="t")
    assert api(Item.load, name="a:b").text == "t"
    assert api(Item.load, name="x") is None
    assert api(Item.load, "Item:x") is None


# get_or_create ----------------------------------------------------------------------------------


def test_get_or_create_creates_once(api: Api) -> None:
    created = api(Item.get_or_create, name="a", defaults={"text": "t", "size": 5})
    assert (created[0].text, created[0].size, created[1]) == ("t", 5, True)
    found = api(Item.get_or_create, name="a", defaults={"text": "u"})
    assert (found[0].text, found[1]) == ("t", False)
    assert api(Item.query.count) == 1


def test_defaults_win_over_the_lookup(api: Api) -> None:
    record, created = api(Item.get_or_create, name="a", size=3, defaults={"size": 4})
    assert (record.size, created) == (4, True)


def test_get_or_create_by_another_field(api: Api) -> None:
    first, created = api(Coded.get_or_create, code="c", defaults={"text": "t"})
    second, again = api(Coded.get_or_create, code="c")
    assert (created, again) == (True, False)
    assert first.pk == second.pk


def test_several_matches_are_a_query_exception(api: Api) -> None:
    api(Item.create, name="a", size=7)
    api(Item.create, name="b", size=7)
    with pytest.raises(QueryException, match="found more than one"):
        api(Item.get_or_create, size=7)
    with pytest.raises(QueryException, match="found more than one"):
        api(Item.update_or_create, size=7)


def test_a_uniqueness_failure_that_is_no_race_is_raised(api: Api) -> None:
    api(Coded.create, code="c")
    with pytest.raises(UniquenessError):
        api(Coded.get_or_create, text="other", defaults={"code": "c"})


def test_of_many_threads_one_creates() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(
                lambda number: Item.get_or_create(name="a", defaults={"size": number}), range(16)
            )
        )
    assert [created for _, created in results].count(True) == 1
    assert len({record.size for record, _ in results}) == 1


def test_of_many_tasks_one_creates(api: Api, redis_client: redis.Redis) -> None:
    async def race() -> list[Any]:
        return await asyncio.gather(*(Coded.async_get_or_create(code="c") for _ in range(16)))

    results = api.run(race())
    assert [created for _, created in results].count(True) == 1
    assert len({record.pk for record, _ in results}) == 1
    assert redis_client.scard("$Class:Coded") == 1


# update_or_create ---------------------------------------------------------------------------------


def test_update_or_create(api: Api, redis_client: redis.Redis) -> None:
    record, created = api(Shop.update_or_create, name="a", defaults={**FULL, "name": "a"})
    assert created is True
    record, created = api(Shop.update_or_create, name="a", defaults={"kind": "tea", "log": [1]})
    assert (record.kind, created) == ("tea", False)
    found = api(Shop.query.get, name="a")
    assert (found.kind, found.note, found.log) == ("tea", "n", [1])
    assert healthy(redis_client)


def test_key_fields_cannot_be_updated(api: Api) -> None:
    api(Item.create, name="a", size=3)
    with pytest.raises(KeyMutationError):
        api(Item.update_or_create, size=3, defaults={"name": "b"})
    assert api(Item.query.get, name="a").size == 3


def test_concurrent_updates_all_land(api: Api) -> None:
    async def race() -> list[Any]:
        return await asyncio.gather(
            *(Item.async_update_or_create(name="a", defaults={"size": n}) for n in range(8))
        )

    results = api.run(race())
    assert [created for _, created in results].count(True) == 1
    assert api(Item.query.count) == 1


def test_round_trips(api: Api, round_trips: Any) -> None:
    api(Item.create, name="warm")
    api(Item.query.get, name="warm")
    for call, sends in (
        (lambda: api(Item.create, name="a"), 1),
        (lambda: api(Item.get_or_create, name="a"), 1),
        (lambda: api(Item.get_or_create, name="b"), 2),
        (lambda: api(Item.update_or_create, name="a", defaults={"size": 9}), 2),
        (lambda: api(Item.load, name="a"), 1),
    ):
        with round_trips() as seen:
            call()
        assert seen.sends == sends
