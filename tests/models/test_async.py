"""The asyncio twins: the same calls and results, no worker threads, any event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from popoto import IndexedField, KeyField, ListField, Model, Relationship
from popoto.models.db_key import DB_key
from popoto.models.query import Query
from popoto.models.query_builder import QueryBuilder
from popoto.models.transactions import Transaction
from tests.driver import RoundTrips


class Thing(Model):
    name = KeyField()
    kind = IndexedField()
    log = ListField(max_length=2)
    other = Relationship(model="self")


ASKED = [Model, Query, QueryBuilder, Transaction]
TWINS = [
    (owner, name) for owner in ASKED for name in sorted(dir(owner)) if name.startswith("async_")
]


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(method).parameters.values()
    ]


@pytest.mark.parametrize(("owner", "name"), TWINS, ids=lambda part: getattr(part, "__name__", part))
def test_twins_take_the_same_arguments_with_the_same_defaults(owner: Any, name: str) -> None:
    twin = getattr(owner, name)
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)
    assert parameters(twin) == parameters(getattr(owner, name.removeprefix("async_")))


def test_what_talks_to_the_server_has_a_twin() -> None:
    names = {name for _, name in TWINS}
    for name in ("create", "save", "delete", "load", "get_or_create", "update_or_create",
                 "bulk_create", "bulk_update", "bulk_delete", "raw_update", "delete_all",
                 "check_indexes", "clean_indexes", "rebuild_indexes", "atomic_increment",
                 "refresh", "expire_field", "field_ttl", "get", "get_many", "filter", "all",
                 "count", "keys", "first", "last", "exists", "iterator", "sum", "avg", "min",
                 "max", "group_count", "update", "explain", "commit"):  # fmt: skip
        assert f"async_{name}" in names


async def everything() -> None:
    thing = await Thing.async_create(name="a", kind="x", log=[1])
    thing.kind = "y"
    await thing.async_save()
    await thing.async_save(update_fields=["kind"])
    await thing.log.async_push(2)
    await Thing.async_create(name="b", other="Thing:a")
    assert (await Thing.async_load("Thing:a")).kind == "y"
    assert (await Thing.async_load(db_key=DB_key("Thing", "a"))).log == [2, 1]
    assert (await Thing.query.async_get("Thing:a")).kind == "y"
    assert (await Thing.query.async_get(name="b")).other.kind == "y"
    assert len(await Thing.query.async_filter(kind="y")) == 1
    assert await Thing.query.async_count() == 2
    assert sorted(await Thing.query.async_keys()) == [b"Thing:a", b"Thing:b"]
    assert (await Thing.async_get_or_create(name="a"))[1] is False
    assert (await Thing.async_update_or_create(name="c", defaults={"kind": "z"}))[1] is True
    for each in await Thing.query.async_all():
        assert await each.async_delete() is True


async def test_referenced_records_come_along(
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    """In an event loop, an attribute is no place to wait for the server."""
    await Thing.async_create(name="a", kind="x")
    for name in "bc":
        await Thing.async_create(name=name, other="Thing:a")
    await Thing.query.async_filter(kind="x")
    for read, sends in (
        (lambda: Thing.query.async_get("Thing:b"), 2),
        (lambda: Thing.query.async_get(name="b"), 2),
        (lambda: Thing.async_load("Thing:b"), 2),
        (lambda: Thing.query.async_get_many(["Thing:b", "Thing:c"]), 2),
    ):
        with round_trips() as seen:
            found = await read()
        assert seen.sends == sends
        with round_trips() as seen:
            things = found if isinstance(found, list) else [found]
            assert {each.other.kind for each in things} == {"x"}
        assert seen.sends == 0


def test_no_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a worker thread was asked for")

    monkeypatch.setattr(asyncio, "to_thread", refuse)
    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", refuse)
    before = threading.active_count()
    asyncio.run(everything())
    assert threading.active_count() == before


def test_one_loop_after_the_other() -> None:
    for _ in range(3):
        asyncio.run(everything())


def test_loops_in_parallel() -> None:
    problems: list[BaseException] = []

    async def some(number: int) -> None:
        names = [f"{number}-{each}" for each in range(20)]
        await asyncio.gather(*(Thing.async_create(name=name, kind=str(number)) for name in names))
        found = await Thing.query.async_filter(kind=str(number))
        assert sorted(each.name for each in found) == sorted(names)

    def run(number: int) -> None:
        try:
            asyncio.run(some(number))
        except BaseException as problem:
            problems.append(problem)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []
    assert Thing.query.count() == 80


def test_a_cancelled_save_leaves_the_connection_usable() -> None:
    async def cancel() -> None:
        task = asyncio.create_task(Thing.async_create(name="a"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await Thing.async_create(name="b")
        assert (await Thing.query.async_get(name="b")).name == "b"

    asyncio.run(cancel())


def test_automatic_keys_of_many_threads_are_different() -> None:
    class Auto(Model):
        kind = IndexedField()

    found: list[str] = []

    def make() -> None:
        found.extend([Auto()._auto_key for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(set(found)) == 8000
