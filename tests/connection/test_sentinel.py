"""Sentinels say which server is the primary; commands follow at once when that changes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

import pytest
from redis.sentinel import Sentinel

from popoto import IndexedField, KeyField, Model, redis_db
from popoto._connection.sentinels import FRESH
from popoto.exceptions import NothingWrittenError
from popoto.redis_db import POPOTO_REDIS_DB
from tests.cluster_nodes import node, wait_until
from tests.replica_nodes import Group, group_of

pytestmark = [pytest.mark.slow]

#: How long a former primary may be taken for the primary.
WINDOW = 1.0


class Order(Model):
    number = KeyField(type=int)
    state = IndexedField(default="new")


@pytest.fixture(params=[(1, 1)])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """So many replicas and sentinels."""
    with group_of(*request.param) as group:
        yield group


@pytest.fixture(autouse=True)
def _by_sentinels(group: Group, _fresh_server: None) -> Iterator[None]:
    redis_db.set_REDIS_DB_settings(url=group.url)
    yield
    redis_db.set_REDIS_DB_settings()


def fail_over(group: Group) -> None:
    """As soon as a sentinel names another primary; the old one does not know yet."""
    group.fail_over()
    wait_until(
        lambda: _named(group.sentinels[0]) != group.primary, time.monotonic() + 120, "no failover"
    )
    assert group.role(group.primary) == "master"


def _named(sentinel: int) -> int:
    with node(sentinel) as client:
        return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])


class Writers:
    """Every way of writing, without a pause, and when each write was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, float] = {}
        self.errors: list[BaseException] = []
        self.is_over = False
        ways = (self._records, self._commands, self._pipelines, self._tasks, self._tasks)
        self._threads = [
            threading.Thread(target=self._guarded, args=(way, f"{place}"))
            for place, way in enumerate(ways, 1)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.go_on(50)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        for thread in self._threads:
            thread.join(30)

    def go_on(self, writes: int) -> None:
        before = len(self.acknowledged)
        wait_until(
            lambda: len(self.acknowledged) > before + writes or bool(self.errors),
            time.monotonic() + 30,
            "nobody writes",
        )

    def _guarded(self, way: Callable[[str], None], name: str) -> None:
        try:
            way(name)
        except BaseException as error:  # noqa: BLE001
            self.errors.append(error)

    def _note(self, *keys: str) -> None:
        self.acknowledged.update(dict.fromkeys(keys, time.monotonic()))

    def _numbers(self, name: str) -> Iterator[int]:
        number = int(name) * 1_000_000
        while not self.is_over:
            number += 1
            yield number

    def _records(self, name: str) -> None:
        for number in self._numbers(name):
            Order.create(number=number)
            self._note(f"Order:{number}")

    def _commands(self, name: str) -> None:
        for number in self._numbers(name):
            POPOTO_REDIS_DB.set(f"c:{number}", 1)
            self._note(f"c:{number}")

    def _pipelines(self, name: str) -> None:
        for number in self._numbers(name):
            POPOTO_REDIS_DB.pipeline().set(f"p:{number}", 1).set(f"q:{number}", 1).execute()
            self._note(f"p:{number}", f"q:{number}")

    def _tasks(self, name: str) -> None:
        async def write() -> None:
            client = await redis_db.get_async_redis_db()
            for number in self._numbers(name):
                orders = [Order(number=number * 10 + n) for n in range(3)]
                await asyncio.gather(*(order.async_save() for order in orders))
                await client.set(f"a:{number}", 1)
                self._note(*(f"Order:{each.number}" for each in orders), f"a:{number}")

        asyncio.run(write())


@pytest.mark.parametrize("group", [(2, 3)], indirect=True)
def test_a_planned_failover_takes_nobodys_writes_along(group: Group) -> None:
    """Threads and loops that never pause. The old primary goes on taking writes for ten seconds."""
    with Writers() as writers:
        fail_over(group)
        writers.go_on(200)
    assert writers.errors == []
    with node(_named(group.sentinels[0])) as now_primary:
        stored = {key.decode() for key in now_primary.keys("*")}
    lost = [at for key, at in writers.acknowledged.items() if key not in stored]
    assert not lost or max(lost) - min(lost) < WINDOW
    assert len(writers.acknowledged) > 300


def test_what_was_idle_does_not_wake_up_on_the_old_primary(group: Group) -> None:
    """Nothing was sent for a while, in which another server became the primary."""

    async def both() -> int:
        order = await Order.async_create(number=1)
        Order.create(number=2)
        await asyncio.to_thread(group.wait_for_replicas)
        await asyncio.to_thread(fail_over, group)
        order.state = "paid"
        await order.async_save()
        Order.create(number=3)
        return await Order.query.async_count(state="new")

    assert asyncio.run(both()) == 2
    assert stored_after(group) == {1, 2, 3}


def stored_after(group: Group) -> set[int]:
    """The orders that the new primary has."""
    with node(_named(group.sentinels[0])) as now_primary:
        return {int(key.decode().partition(":")[2]) for key in now_primary.keys("Order:*")}


def insist_on(number: int) -> None:
    """To fork a large process takes a busy machine longer than a sentinel is waited for."""
    while True:
        with suppress(NothingWrittenError):
            Order.create(number=number)
            return


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_asks_for_itself(group: Group) -> None:
    """Also one that is forked while a thread of its parent waits for an answer."""
    Order.create(number=1)
    fail_over(group)
    asking = threading.Thread(target=insist_on, args=(2,))
    time.sleep(FRESH)  # then the thread has to ask
    with group.stalled(*group.sentinels):
        asking.start()
        asking.join(FRESH)
        child = os.fork()
        if not child:
            try:
                Order.create(number=3)
                os._exit(0)
            finally:
                os._exit(1)
    try:
        ended = lambda: os.waitpid(child, os.WNOHANG) == (child, 0)  # noqa: E731
        wait_until(ended, time.monotonic() + 120, "the child waits for ever")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    asking.join()
    Order.create(number=4)
    assert stored_after(group) == {1, 2, 3, 4}


def test_connections_of_another_kind_follow_too(group: Group) -> None:
    manager = Sentinel([("127.0.0.1", port) for port in group.sentinels], socket_timeout=5)
    places = (f"{group.url}?protocol=3", manager.master_for("main"))

    async def write(*numbers: int) -> None:
        for place, number in zip(places, numbers, strict=True):
            with redis_db.using(place):
                Order.create(number=number)
                await Order.async_create(number=number + 1)

    async def follow() -> None:
        await write(1, 3)
        await asyncio.to_thread(fail_over, group)
        await write(5, 7)

    asyncio.run(follow())
    assert stored_after(group) == set(range(1, 9))


@pytest.mark.parametrize("group", [(1, 3)], indirect=True)
def test_a_sentinel_that_does_not_answer_delays_little(group: Group) -> None:
    Order.create(number=1)
    with group.stalled(group.sentinels[0]):
        start = time.monotonic()
        while time.monotonic() - start < 2:
            Order.create(number=Order.query.count() + 1)
    assert Order.query.count() > 100


async def test_nobody_to_ask_while_the_primary_is_there(group: Group) -> None:
    Order.create(number=1)
    await Order.async_create(number=2)
    with group.stalled(*group.sentinels):
        await asyncio.sleep(FRESH)  # then what is known is too old to act on
        Order.create(number=3)
        await Order.async_create(number=4)
        assert Order.query.count() == 4
