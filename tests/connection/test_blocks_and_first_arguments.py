"""Blocks that are never entered, and servers named in the place that has no effect."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from popoto import KeyField, Model, clock, redis_db
from popoto.exceptions import ConfigurationError, NothingWrittenError

NOWHERE = "redis://localhost:1/0"


class Visit(Model):
    name = KeyField()


@pytest.fixture
def _kept_server() -> Iterator[None]:
    settings = redis_db._client.current_settings()
    yield
    redis_db._client.become(redis_db.make_client(settings))


def test_a_coroutine_function_runs_in_the_block_that_decorates_it() -> None:
    @redis_db.using(NOWHERE)
    async def elsewhere() -> None:
        await Visit.async_create(name="a")

    with pytest.raises(NothingWrittenError):
        asyncio.run(elsewhere())
    assert Visit.query.count() == 0

    @clock.using(5)
    async def moment() -> float:
        await asyncio.sleep(0)
        return clock.now()

    assert asyncio.run(moment()) == 5


def test_plain_functions_do_so_too_each_time() -> None:
    @clock.using(7)
    def moment() -> float:
        return clock.now()

    assert (moment(), moment()) == (7, 7)
    assert clock.now() > 7


@pytest.mark.parametrize(("begin", "where"), [(redis_db.using, NOWHERE), (clock.using, 5)])
def test_a_block_that_is_not_entered_is_told_of(begin: Any, where: Any) -> None:
    with pytest.warns(UserWarning, match=r"using\(\) was called and not entered"):
        begin(where)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with begin(where):
            pass
        gc.collect()


def test_a_clock_may_be_left_elsewhere_than_it_was_set() -> None:
    block = clock.using(9)

    async def enter() -> None:
        block.__enter__()

    asyncio.run(enter())
    assert clock.now() == 9
    block.__exit__(None, None, None)
    assert clock.now() > 9


@pytest.mark.usefixtures("_kept_server")
def test_a_host_as_first_argument_is_told_of() -> None:
    wrong: Any = {"host": "other"}
    for first in ("otherhost", wrong):
        with pytest.warns(UserWarning, match="first argument, which has no effect"):
            redis_db.set_REDIS_DB_settings(first)
    with pytest.raises(ConfigurationError, match="give host='otherhost', port=7000 by name"):
        redis_db.set_REDIS_DB_settings("otherhost", 7000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        redis_db.set_REDIS_DB_settings("shop", "otherhost", 7000)
        assert redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs["host"] == "otherhost"
        redis_db.set_REDIS_DB_settings("shop", host="third")
        redis_db.set_REDIS_DB_settings()


async def test_so_it_is_on_the_side_of_asyncio() -> None:
    with pytest.raises(ConfigurationError, match="by name"):
        await redis_db.set_async_redis_db_settings("otherhost", 7000)
