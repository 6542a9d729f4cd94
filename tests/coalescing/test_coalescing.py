"""What waits in the same turn of the event loop goes as one pipeline, each with its own answer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

import popoto
from popoto import redis_db
from popoto._connection.asynchronous import AsyncClusterConnection
from popoto.engine import coalescing
from popoto.engine.request import Request
from popoto.engine.run import asend
from popoto.exceptions import NothingWrittenError, OutcomeUnknownError, UniquenessError
from popoto.testing.faults import FaultProxy
from tests.driver import RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Product(popoto.Model):
    name = popoto.KeyField()
    code = popoto.UniqueField()
    price = popoto.SortedField(type=float)


def product(name: str, code: str | None = None) -> Product:
    return Product(name=name, code=code or f"code {name}", price=1.0)


async def test_gathered_operations_leave_as_one_pipeline(round_trips: Counter) -> None:
    one, two, three = product("one"), product("two"), product("three")
    await one.async_save()
    await Product.query.async_count()  # the server knows the scripts from now on
    with round_trips() as seen:
        saved, again, found, count = await asyncio.gather(
            two.async_save(),
            three.async_save(),
            Product.query.async_get(name="one"),
            Product.query.async_count(),
        )
    assert seen.sends == 1
    assert (saved, again) == (3, 3)
    assert found == one
    assert count == 3


async def test_a_thousand_saves_are_few_pipelines(round_trips: Counter) -> None:
    records = [product(str(number)) for number in range(coalescing.MOST_COMMANDS + 1)]
    await records[0].async_save()  # the server knows the script from now on
    with round_trips() as seen:
        await asyncio.gather(*(record.async_save() for record in records))
    assert seen.sends == 2
    assert await Product.query.async_count() == len(records)


async def test_an_operation_alone_is_sent_alone(round_trips: Counter) -> None:
    await product("zero").async_save()
    with round_trips() as seen:
        await product("one").async_save()
    assert seen.sends == 1


async def test_errors_belong_to_their_operation() -> None:
    await product("taken", "code").async_save()
    outcomes = await asyncio.gather(
        product("fine").async_save(),
        product("not unique", "code").async_save(),
        asend(Request.of(("INCR", "Product:taken"), shard="Product")),
        product("fine too").async_save(),
        return_exceptions=True,
    )
    assert outcomes[0] == outcomes[3] == 3
    assert isinstance(outcomes[1], UniquenessError)
    assert isinstance(outcomes[2], redis.ResponseError)
    assert "WRONGTYPE" in str(outcomes[2])


async def test_what_cannot_be_sent_harms_nobody_else() -> None:
    outcomes = await asyncio.gather(
        product("fine").async_save(),
        asend(Request.of(("SET", "a", object()), shard="Product")),  # type: ignore[arg-type]
        product("fine too").async_save(),
        return_exceptions=True,
    )
    assert outcomes[0] == outcomes[2] == 3
    assert isinstance(outcomes[1], Exception)
    assert await Product.query.async_count() == 2


async def test_a_cancelled_waiter_takes_nothing_from_the_others() -> None:
    for cancelled in range(3):
        for turns in range(4):
            names = [f"{cancelled} {turns} {number}" for number in range(3)]
            tasks = [asyncio.create_task(product(name).async_save()) for name in names]
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[cancelled].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes.pop(cancelled), asyncio.CancelledError)
            assert outcomes == [3, 3]


async def test_who_is_cancelled_before_anything_was_sent_writes_nothing() -> None:
    first = asyncio.create_task(product("first").async_save())
    second = asyncio.create_task(product("second").async_save())
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.sleep(0)
    assert await Product.query.async_count() == 0


async def test_scripts_that_the_server_forgot_are_taught_once(
    redis_client: redis.Redis, round_trips: Counter
) -> None:
    redis_client.script_flush()
    with round_trips() as seen:
        await asyncio.gather(*(product(str(number)).async_save() for number in range(20)))
    assert seen.sends == 2
    assert seen.commands["eval"] == 1
    assert await Product.query.async_count() == 20


async def test_other_servers_are_other_pipelines(
    server_url: str, redis_client: redis.Redis
) -> None:
    async def elsewhere() -> None:
        with redis_db.using(f"{server_url}?db=3"):
            await product("elsewhere").async_save()

    await asyncio.gather(product("here").async_save(), elsewhere())
    assert [found.name for found in await Product.query.async_all()] == ["here"]
    with redis_db.using(f"{server_url}?db=3"):
        assert [found.name for found in await Product.query.async_all()] == ["elsewhere"]


def test_every_event_loop_gathers_for_itself() -> None:
    async def save_some() -> None:
        await asyncio.gather(*(product(str(number)).async_save() for number in range(5)))
        assert not (await redis_db.async_connection()).under_way

    for _ in range(3):
        asyncio.run(save_some())
    assert Product.query.count() == 5
    assert not coalescing._gathering


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_closed_with_work_under_way_is_not_kept(proxy: FaultProxy) -> None:
    async def begin() -> weakref.ref[redis_db.AsyncConnection]:
        await product("first").async_save()
        proxy.stall()
        for number in range(2):
            task = asyncio.ensure_future(product(str(number)).async_save())
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # as is meant here
        await asyncio.sleep(0.02)
        connection = await redis_db.async_connection()
        (sending,) = connection.under_way
        sending._log_destroy_pending = False  # type: ignore[attr-defined]
        return weakref.ref(connection)

    async def use_another() -> None:
        assert await Product.query.async_count() >= 1

    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(begin())
    loop.close()
    del loop
    proxy.calm()
    asyncio.run(use_another())
    gc.collect()
    assert left() is None


async def test_after_a_lost_reply_reads_are_repeated_and_writes_are_in_doubt(
    proxy: FaultProxy,
) -> None:
    await product("one").async_save()
    proxy.lose_reply(b"Product:new")
    found, saved, count = await asyncio.gather(
        Product.query.async_get(name="one"),
        product("new").async_save(),
        Product.query.async_count(),
        return_exceptions=True,
    )
    assert found == product("one")
    assert isinstance(saved, OutcomeUnknownError)
    assert count == 2


async def test_no_server_is_told_to_everyone(proxy: FaultProxy) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=1)
    outcomes = await asyncio.gather(
        product("one").async_save(), Product.query.async_count(), return_exceptions=True
    )
    assert all(isinstance(outcome, NothingWrittenError) for outcome in outcomes)
    assert outcomes[0] is not outcomes[1]
    for outcome in outcomes:
        # Each tells by itself why there is none.
        assert isinstance(outcome.__cause__, redis.ConnectionError)
        assert "127.0.0.1:1." in str(outcome.__cause__)


# Cluster ---------------------------------------------------------------------------------


class Person(popoto.Model):
    name = popoto.KeyField()


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("on_the_cluster")
async def test_on_a_cluster_each_shard_has_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    call_many = AsyncClusterConnection.call_many

    async def counted(self: AsyncClusterConnection, commands: Any, **options: Any) -> Any:
        sent.append(len(commands))
        return await call_many(self, commands, **options)

    monkeypatch.setattr(AsyncClusterConnection, "call_many", counted)
    await asyncio.gather(
        *(product(str(number)).async_save() for number in range(10)),
        *(Person(name=str(number)).async_save() for number in range(20)),
    )
    # The nodes had to be taught the script; one node of several shards perhaps only once.
    assert sorted(sent[:2]) == [10, 20]
    assert len(sent) <= 4
    products, people = await asyncio.gather(Product.query.async_count(), Person.query.async_count())
    assert (products, people) == (10, 20)
