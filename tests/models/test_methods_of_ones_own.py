"""Methods that a model defines in place of ours are called wherever popoto 1.6 calls them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from popoto import IntField, KeyField, Model, ModelException, SortedField
from popoto.exceptions import BulkError
from tests.driver import Api

CALLED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLED.clear()


class Span(Model):
    name = KeyField()
    begin = IntField(default=0)
    end = IntField(default=0)

    def is_valid(self, null_check: bool = True) -> bool:
        CALLED.append(f"is_valid({null_check})")
        return super().is_valid(null_check=null_check) and self.begin <= self.end


def test_the_constructor_asks_is_valid(api: Api, redis_client: redis.Redis) -> None:
    assert Span(name="a", end=1).end == 1
    assert CALLED == ["is_valid(False)"]
    with pytest.raises(ModelException, match=r"Could not instantiate class Span: .*is invalid"):
        Span(name="a", begin=1)
    for call, arguments in (
        (Span.create, {"name": "a", "begin": 1}),
        (Span.get_or_create, {"name": "a", "defaults": {"begin": 1}}),
        (Span.update_or_create, {"name": "a", "defaults": {"begin": 1}}),
    ):
        with pytest.raises(ModelException, match="Could not instantiate"):
            api(call, **arguments)
    assert redis_client.keys() == []


def test_loading_does_not_ask_it(api: Api, redis_client: redis.Redis) -> None:
    api(Span.create, name="a", end=1)
    redis_client.hset("Span:a", "begin", b"\x05")
    CALLED.clear()
    assert [each.begin for each in api(Span.query.all)] == [5]
    assert api(Span.query.get, name="a").begin == 5
    assert CALLED == []


def test_saves_ask_it(api: Api) -> None:
    span = api(Span.create, name="a", end=1)
    span.begin = 2
    with pytest.raises(ModelException, match=r"Span.is_valid\(\) says that .* is invalid"):
        api(span.save)
    assert api(span.save, ignore_errors=True) is False
    assert api(Span.query.get, name="a").begin == 0


@pytest.mark.parametrize("by_query", [True, False])
def test_bulk_updates_ask_it(api: Api, by_query: bool) -> None:
    for number in range(3):
        api(Span.create, name=str(number), end=number)
    given = Span.query.filter() if by_query else api(Span.query.all)
    with pytest.raises(BulkError, match="is invalid"):
        api(Span.bulk_update, given, begin=2)
    assert [each.begin for each in api(Span.query.all)] == [0, 0, 0]
    refused: list[Any] = []
    assert api(Span.bulk_update, given, begin=2, on_error=refused.append) == 1
    assert [each.begin for each in api(Span.query.all)] == [0, 0, 2]
    assert len(refused) == 2


class Noting:
    """A mixin with methods that note where they run, and go on with what they stand for."""

    @classmethod
    def noted(cls, method: str) -> None:
        CALLED.append(method)
        if threading.current_thread() is threading.main_thread():
            CALLED.append("on the event loop")


def noting(method: str, of_class: bool) -> Any:
    def own(target: Any, *arguments: Any, **options: Any) -> Any:
        target.noted(method)
        base = super(Counter, target)
        return getattr(base, method)(*arguments, **options)

    return classmethod(own) if of_class else own


class Counter(Noting, Model):
    name = KeyField()
    count = SortedField(type=int, default=0)

    load = noting("load", of_class=True)
    get_or_create = noting("get_or_create", of_class=True)
    update_or_create = noting("update_or_create", of_class=True)
    bulk_create = noting("bulk_create", of_class=True)
    bulk_update = noting("bulk_update", of_class=True)
    bulk_delete = noting("bulk_delete", of_class=True)
    delete_all = noting("delete_all", of_class=True)
    raw_update = noting("raw_update", of_class=True)
    rebuild_indexes = noting("rebuild_indexes", of_class=True)
    atomic_increment = noting("atomic_increment", of_class=False)
    refresh = noting("refresh", of_class=False)


class Later(Counter):
    """What its base has made its own is its own."""

    @classmethod
    async def async_load(cls, *arguments: Any, **options: Any) -> Any:
        CALLED.append("async_load")
        return await cls.query.async_get(*arguments, **options)


@pytest.mark.parametrize("model", [Counter, Later])
async def test_a_twin_goes_through_the_method_of_ones_own(model: Any) -> None:
    assert (await model.async_get_or_create(name="a"))[1]
    assert (await model.async_update_or_create(name="a", defaults={"count": 1}))[0].count == 1
    (made,) = await model.async_bulk_create([model(name="b")])
    assert await model.async_bulk_update([made], count=5) == 1
    assert await made.async_atomic_increment("count", 2) == 7
    assert await model.async_raw_update(["Counter:a"] if model is Counter else [], count=3) >= 0
    assert await model.async_rebuild_indexes() == 2
    assert await (await model.async_load(name="b")).async_refresh()
    assert await model.async_bulk_delete([made]) == 1
    assert await model.async_delete_all() == 1
    expected = [
        "get_or_create", "update_or_create", "bulk_create", "bulk_update", "atomic_increment",
        "raw_update", "rebuild_indexes", "load" if model is Counter else "async_load", "refresh",
        "bulk_delete", "delete_all",
    ]  # fmt: skip
    assert expected == CALLED


async def test_twins_of_what_is_ours_need_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_: object) -> None:
        raise AssertionError("a thread")

    monkeypatch.setattr("asyncio.to_thread", no_thread)
    assert (await Span.async_get_or_create(name="a"))[1]
    assert await Span.async_delete_all() == 1
    assert await Counter(name="c").async_save() == 2
    assert (await Counter.async_check_indexes())["total"] == 0
