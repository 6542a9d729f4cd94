"""A server that is there and not ready: it loads its data, or is a replica by now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, ListField, Model, ModelException, redis_db
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.driver import Api

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
READONLY = b"-READONLY You can't write against a read only replica.\r\n"


class Berth(Model):
    name = KeyField()
    kind = IndexedField()
    log = ListField(max_length=3)


def test_a_write_waits_for_a_server_that_loads(api: Api, proxy: FaultProxy) -> None:
    """Nothing was carried out, so it may be sent again, whatever it is."""
    api(Berth.create, name="warm")
    proxy.answer(LOADING, b"EVALSHA", times=2)
    api(Berth.create, name="a", kind="quay")
    assert api(Berth.query.count, kind="quay") == 1


def test_several_commands_wait_together(
    api: Api, proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    berth = api(Berth.create, name="a", kind="quay", log=["x"])
    redis_client.hset("Berth:a", "kind", b"\xa4pier")
    proxy.answer(LOADING * 2, b"HGETALL")
    proxy.answer(LOADING * 2, b"HMGET")
    api(berth.refresh)
    assert (berth.kind, list(berth.log)) == ("pier", ["x"])


class Buoy(Model):
    name = KeyField()


#: What is stored of the buoy "b", as the server gives it to HMGET.
BUOY_B = b"*1\r\n$2\r\n\xa1b\r\n"


async def refreshed_together(proxy: FaultProxy, *replies: bytes, lost: int = 0) -> list[Any]:
    """What two tasks get that refresh at the same moment, if the proxy answers so to both.

    After that, as many replies are `lost`.
    """
    buoys = [await Buoy.async_create(name=name) for name in "ab"]
    proxy.answer(b"".join(replies), b"HMGET")
    proxy.lose_reply(b"HMGET", times=lost)
    together = (buoy.async_refresh() for buoy in buoys)
    return list(await asyncio.gather(*together, return_exceptions=True))


def test_a_task_does_not_wait_for_what_another_has_to_wait_for(proxy: FaultProxy) -> None:
    first, second = asyncio.run(refreshed_together(proxy, LOADING, BUOY_B))
    assert (first.name, second.name) == ("a", "b")


def test_a_task_beside_one_that_waited_in_vain(proxy: FaultProxy) -> None:
    first, second = asyncio.run(refreshed_together(proxy, LOADING, BUOY_B, lost=3))
    assert isinstance(first, redis.ConnectionError)
    assert second.name == "b"


def test_an_error_is_for_the_task_that_it_concerns(proxy: FaultProxy) -> None:
    wrong = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    first, second = asyncio.run(refreshed_together(proxy, wrong, BUOY_B))
    assert isinstance(first, redis.ResponseError)
    assert second.name == "b"


def test_an_error_after_waiting_is_for_the_task_that_waited(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    async def both() -> list[Any]:
        buoys = [await Buoy.async_create(name=name) for name in "ab"]
        redis_client.delete("Buoy:a")
        redis_client.set("Buoy:a", "no hash")
        proxy.answer(LOADING + BUOY_B, b"HMGET")
        together = (buoy.async_refresh() for buoy in buoys)
        return list(await asyncio.gather(*together, return_exceptions=True))

    first, second = asyncio.run(both())
    assert isinstance(first, ModelException)
    assert "holds a string" in str(first)
    assert second.name == "b"


def test_direct_use_waits_too(proxy: FaultProxy) -> None:
    proxy.answer(LOADING, b"INCR")
    assert POPOTO_REDIS_DB.incr("n") == 1
    proxy.answer(LOADING, b"GET")
    assert POPOTO_REDIS_DB.get("n") == b"1"


async def test_direct_use_waits_too_async(proxy: FaultProxy) -> None:
    client = await redis_db.get_async_redis_db()
    proxy.answer(LOADING, b"INCR")
    assert await client.incr("n") == 1
    proxy.answer(LOADING, b"GET")
    assert await client.get("n") == b"1"


def test_a_replica_is_no_server_to_wait_for(api: Api, proxy: FaultProxy) -> None:
    """Without a sentinel nobody says who else could take the write."""
    api(Berth.create, name="warm")
    proxy.answer(READONLY, b"EVALSHA")
    with pytest.raises(redis.exceptions.ReadOnlyError):
        api(Berth.create, name="a")
    assert api(Berth.query.count) == 1
