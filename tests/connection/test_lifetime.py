"""Processes, threads, event loops, cancelled tasks, reconfiguration: no connection crosses over."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock, patch
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio as redis_asyncio

from popoto import redis_db
from popoto.exceptions import ConfigurationError, NothingWrittenError
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.fixture
def path(server_url: str) -> str:
    return urlsplit(server_url).path


# ── No server ────────────────────────────────────────────────────────────────


def test_a_refused_connection_names_url_and_remedies() -> None:
    port = free_port()
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=port, password="secret", db=3)
    began = time.monotonic()
    with pytest.raises(NothingWrittenError) as caught:
        redis_db.connection().call(("SET", "a", 1), repeatable=False)
    assert time.monotonic() - began < 5
    text = str(caught.value)
    assert f"redis://:***@127.0.0.1:{port}/3" in text
    assert "secret" not in text
    for remedy in ("Start a server", "REDIS_URL", "popoto[embedded]", "embedded://"):
        assert remedy in text
    with pytest.raises(NothingWrittenError):
        POPOTO_REDIS_DB.set("a", 1)
    with pytest.raises(NothingWrittenError):
        POPOTO_REDIS_DB.pipeline().set("a", 1).execute()
    assert redis_db.check_connection() is False


async def test_a_refused_connection_async() -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=free_port())
    with pytest.raises(NothingWrittenError):
        await (await redis_db.async_connection()).call(("SET", "a", 1), repeatable=False)
    with pytest.raises(NothingWrittenError):
        await (await redis_db.get_async_redis_db()).set("a", 1)
    assert await redis_db.async_check_connection() is False


def test_a_wrong_password_is_said_as_the_server_says_it(path: str) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, username="nobody", password="wrong")
    with pytest.raises(redis.AuthenticationError):
        redis_db.connection().call(("PING",), repeatable=True)


def test_a_killed_server_and_its_return(path: str) -> None:
    with FaultProxy(f"unix://{path}") as proxy:
        redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port)
        assert redis_db.connection().call(("INCR", "n"), repeatable=False) == 1
        port = proxy.port
    with pytest.raises(redis.ConnectionError):
        redis_db.connection().call(("INCR", "n"), repeatable=False)
    assert redis_db.check_connection() is False
    listener = socket.create_server(("127.0.0.1", port))
    listener.close()
    redis_db.set_REDIS_DB_settings(unix_socket_path=path)
    assert redis_db.connection().call(("INCR", "n"), repeatable=False) == 2


# ── Reconfiguration ──────────────────────────────────────────────────────────


def test_everyone_follows_a_reconfiguration(path: str, redis_client: redis.Redis) -> None:
    before = POPOTO_REDIS_DB
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, db=4)
    assert redis_db.POPOTO_REDIS_DB is before
    assert redis_db.get_REDIS_DB() is before
    assert isinstance(before, redis.Redis)
    before.set("a", 1)
    assert redis_db.connection().call(("GET", "a"), repeatable=True) == b"1"
    assert redis_db.scan_keys("*") == [b"a"]
    assert before.connection_pool.connection_kwargs["db"] == 4
    assert redis_client.get("a") is None


def test_settings_default_to_those_of_redis_py_and_five_seconds() -> None:
    redis_db.set_REDIS_DB_settings()
    options = POPOTO_REDIS_DB.connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["db"]) == ("localhost", 6379, 0)
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 5
    redis_db.set_REDIS_DB_settings("partition", "example", 7000, socket_timeout=None)
    options = POPOTO_REDIS_DB.connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["socket_timeout"]) == ("example", 7000, None)


def test_another_database_of_the_same_server(path: str, redis_client: redis.Redis) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, socket_timeout=2)
    redis_db.use_database(4)
    POPOTO_REDIS_DB.set("a", 1)
    options = POPOTO_REDIS_DB.connection_pool.connection_kwargs
    assert (options["path"], options["db"], options["socket_timeout"]) == (path, 4, 2)
    assert redis_db.connection().url.endswith("db=4")
    redis_db.use_database(0)
    assert POPOTO_REDIS_DB.get("a") is None
    redis_db.set_REDIS_DB_settings(url="embedded://?db=1")
    redis_db.use_database(2)
    POPOTO_REDIS_DB.set("a", 2)
    redis_db.set_REDIS_DB_settings(url="embedded://?db=2")
    assert POPOTO_REDIS_DB.get("a") == b"2"
    redis_db.set_REDIS_DB_settings(url="redis+cluster://a:1")
    with pytest.raises(ConfigurationError, match="database 0"):
        redis_db.use_database(1)


def test_refused_settings_change_nothing() -> None:
    pool = POPOTO_REDIS_DB.connection_pool
    with pytest.raises(TypeError):
        redis_db.set_REDIS_DB_settings(colour="blue")
    with pytest.raises(ConfigurationError, match="decode_responses"):
        redis_db.set_REDIS_DB_settings(decode_responses=True)
    with pytest.raises(ValueError, match="starts with"):
        redis_db.set_REDIS_DB_settings(url="http://localhost")
    with pytest.raises(ConfigurationError, match="decode_responses"):
        redis_db.set_REDIS_DB_settings(connection_pool=redis.ConnectionPool(decode_responses=True))
    assert POPOTO_REDIS_DB.connection_pool is pool


async def test_the_async_side_follows_unless_configured_separately(path: str) -> None:
    first = await redis_db.get_async_redis_db()
    assert first is await redis_db.get_async_redis_db()
    assert first is redis_db._POPOTO_ASYNC_REDIS_DB
    assert first is redis_db.POPOTO_ASYNC_REDIS_DB
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, db=5)
    second = await redis_db.get_async_redis_db()
    assert second is not first
    await second.set("a", 5)
    assert POPOTO_REDIS_DB.get("a") == b"5"
    await redis_db.set_async_redis_db_settings(unix_socket_path=path, db=6)
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, db=7)
    await (await redis_db.get_async_redis_db()).set("a", 6)
    assert await (await redis_db.async_connection()).call(("GET", "a"), repeatable=True) == b"6"
    assert POPOTO_REDIS_DB.get("a") is None
    redis_db._POPOTO_ASYNC_REDIS_DB = None
    assert await (await redis_db.get_async_redis_db()).get("a") is None


async def test_none_forces_a_new_async_client() -> None:
    first = await redis_db.get_async_redis_db()
    redis_db._POPOTO_ASYNC_REDIS_DB = None
    redis_db._async_redis_lock = asyncio.Lock()
    assert await redis_db.get_async_redis_db() is not first


async def test_an_assigned_async_client_is_used(path: str) -> None:
    async with redis_asyncio.Redis(unix_socket_path=path, db=9) as mine:
        redis_db._POPOTO_ASYNC_REDIS_DB = mine
        assert await redis_db.get_async_redis_db() is mine
        await mine.set("a", 9)
        connection = await redis_db.async_connection()
        assert await connection.call(("GET", "a"), repeatable=True) == b"9"
        redis_db._POPOTO_ASYNC_REDIS_DB = None
    redis_db._POPOTO_ASYNC_REDIS_DB = AsyncMock(ping=AsyncMock(side_effect=redis.ConnectionError))
    assert await redis_db.async_check_connection() is False
    redis_db._POPOTO_ASYNC_REDIS_DB = None


def test_patched_attributes_are_used() -> None:
    assert redis_db.check_connection() is True
    with patch.object(POPOTO_REDIS_DB, "ping", side_effect=redis.ConnectionError):
        assert redis_db.check_connection() is False
        redis_db.set_REDIS_DB_settings()
        assert redis_db.check_connection() is False


def test_a_swapped_pool_is_used_by_all(path: str) -> None:
    pool = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path=path, db=8)
    with patch.object(POPOTO_REDIS_DB, "connection_pool", pool):
        POPOTO_REDIS_DB.set("a", 8)
        assert redis_db.connection().call(("GET", "a"), repeatable=True) == b"8"
    assert redis_db.connection().call(("GET", "a"), repeatable=True) is None
    pool.disconnect()


def test_resp3_for_direct_use_leaves_raw_replies_as_they_are(path: str) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, protocol=3)
    POPOTO_REDIS_DB.zadd("z", {"a": 1.5})
    command = ("ZRANGE", "z", 0, -1, "WITHSCORES")
    assert redis_db.connection().call(command, repeatable=True) == [b"a", b"1.5"]


# ── Another server for a while ───────────────────────────────────────────────


def test_using_another_server_in_a_block(server_url: str, redis_client: redis.Redis) -> None:
    with redis_db.using(f"{server_url}?db=3"):
        POPOTO_REDIS_DB.set("a", 3)
        POPOTO_REDIS_DB.pipeline().set("b", 3).execute()
        assert redis_db.connection().call(("GET", "a"), repeatable=True) == b"3"
        assert sorted(redis_db.scan_keys("*")) == [b"a", b"b"]
        with redis_db.using(redis_client):
            assert redis_db.connection().call(("GET", "a"), repeatable=True) is None
        assert redis_db.get_REDIS_DB().get("a") == b"3"
    assert redis_client.get("a") is None
    assert POPOTO_REDIS_DB.get("a") is None


async def test_using_is_local_to_a_task(server_url: str) -> None:
    async def write(database: int) -> bytes | None:
        with redis_db.using(f"{server_url}?db={database}"):
            client = await redis_db.get_async_redis_db()
            await client.set("a", database)
            await asyncio.sleep(0)
            connection = await redis_db.async_connection()
            reply = await connection.call(("GET", "a"), repeatable=True)
            assert isinstance(reply, bytes)
            return reply

    assert await asyncio.gather(*map(write, range(2, 8))) == [b"%d" % n for n in range(2, 8)]
    assert await (await redis_db.get_async_redis_db()).get("a") is None


def test_a_bad_url_is_refused_before_the_block() -> None:
    with pytest.raises(ConfigurationError), redis_db.using("ftp://example"):
        pytest.fail("the block ran")


# ── Event loops and tasks ────────────────────────────────────────────────────


def test_every_event_loop_has_its_own_client() -> None:
    async def count() -> int:
        connection = await redis_db.async_connection()
        reply = await connection.call(("INCR", "n"), repeatable=False)
        assert isinstance(reply, int)
        return reply

    assert [asyncio.run(count()) for _ in range(3)] == [1, 2, 3]
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(asyncio.run(count()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(seen) == [4, 5, 6, 7]


def test_a_finished_loop_leaves_no_connection(redis_client: redis.Redis) -> None:
    async def use() -> None:
        connection = await redis_db.async_connection()
        await asyncio.gather(*(connection.call(("PING",), repeatable=True) for _ in range(20)))

    before = len(redis_client.client_list())
    for _ in range(3):
        asyncio.run(use())
    deadline = time.monotonic() + 60
    while len(redis_client.client_list()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(redis_client.client_list()) == before


async def test_many_tasks_share_few_connections(path: str, redis_client: redis.Redis) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, max_connections=8)
    connection = await redis_db.async_connection()
    before = len(redis_client.client_list())
    replies = await asyncio.gather(
        *(connection.call(("INCR", "n"), repeatable=False) for _ in range(600))
    )
    assert sorted(replies) == list(range(1, 601))
    assert len(redis_client.client_list()) - before <= 8
    client = await redis_db.get_async_redis_db()
    assert len(await asyncio.gather(*(client.incr("n") for _ in range(600)))) == 600
    assert len(redis_client.client_list()) - before <= 8


async def test_waiting_for_a_connection_ends(server_url: str) -> None:
    with redis_db.using(f"{server_url}?max_connections=1&timeout=0.1"):
        connection = await redis_db.async_connection()
        blocked = asyncio.create_task(connection.call(("BLPOP", "l", 2), repeatable=False))
        await asyncio.sleep(0.02)
        with pytest.raises(NothingWrittenError, match="max_connections"):
            await connection.call(("PING",), repeatable=True)
        await (await _other()).call(("LPUSH", "l", "x"), repeatable=False)
        assert await blocked == [b"l", b"x"]


async def _other() -> redis_db.AsyncConnection:
    token = redis_db._override.set(None)
    try:
        return await redis_db.async_connection()
    finally:
        redis_db._override.reset(token)


async def test_cancelled_tasks_leave_no_half_read_connection(path: str) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, max_connections=2)
    connection = await redis_db.async_connection()
    await connection.call(("SET", "big", "x" * 1_000_000), repeatable=False)
    for turn in range(200):
        task = asyncio.create_task(connection.call(("GET", "big"), repeatable=True))
        waiting = asyncio.create_task(connection.call(("GET", "big"), repeatable=True))
        for _ in range(turn % 9):
            await asyncio.sleep(0)
        task.cancel()
        if turn % 2:
            waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
        assert await connection.call(("ECHO", turn), repeatable=True) == b"%d" % turn
    assert (
        len(await asyncio.gather(*(connection.call(("PING",), repeatable=True) for _ in "12345")))
        == 5
    )


def wait_for_a_blocked_client(client: redis.Redis) -> None:
    while not client.info("clients")["blocked_clients"]:
        pass  # each look is a round trip


async def test_the_connections_of_a_reconfigured_client_end_with_their_commands(
    path: str, redis_client: redis.Redis
) -> None:
    connection = await redis_db.async_connection()
    blocked = asyncio.create_task(
        connection.call(("BLPOP", "l", 0), repeatable=False, blocks_for=60)
    )
    await asyncio.to_thread(wait_for_a_blocked_client, redis_client)
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, db=2)
    await (await redis_db.async_connection()).call(("PING",), repeatable=True)
    del connection
    gc.collect()
    redis_client.lpush("l", "x")
    assert await blocked == [b"l", b"x"]


# ── Threads and processes ────────────────────────────────────────────────────


def test_threads_wait_for_a_connection(path: str, redis_client: redis.Redis) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, max_connections=3)
    before = len(redis_client.client_list())
    highest = 0

    def count() -> None:
        nonlocal highest
        for _ in range(50):
            redis_db.connection().call(("INCR", "n"), repeatable=False)

    threads = [threading.Thread(target=count) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert redis_client.get("n") == b"600"
    assert len(redis_client.client_list()) - before <= 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own() -> None:
    connection = redis_db.connection()
    connection.call(("SET", "parent", 1), repeatable=False)
    child = os.fork()
    if child == 0:
        try:
            values = [connection.call(("ECHO", f"c{n}"), repeatable=True) for n in range(200)]
            os._exit(0 if values == [b"c%d" % n for n in range(200)] else 1)
        except BaseException:  # noqa: BLE001
            os._exit(2)
    values = [connection.call(("ECHO", f"p{n}"), repeatable=True) for n in range(200)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert values == [b"p%d" % n for n in range(200)]


def test_a_command_that_blocks_is_waited_for(path: str, redis_client: redis.Redis) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, socket_timeout=0.1)
    connection = redis_db.connection()
    assert connection.call(("BLPOP", "l", 0.2), repeatable=False, blocks_for=0.2) is None
    with pytest.raises(redis.TimeoutError):
        connection.call(("BLPOP", "l", 1), repeatable=False)


async def test_an_async_command_that_blocks_is_waited_for(path: str) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, socket_timeout=0.1)
    connection = await redis_db.async_connection()
    assert await connection.call(("BLPOP", "l", 0.2), repeatable=False, blocks_for=0.2) is None
    with pytest.raises(redis.TimeoutError):
        await connection.call(("BLPOP", "l", 1), repeatable=False)


def test_a_client_with_one_connection_of_its_own() -> None:
    with POPOTO_REDIS_DB.client() as single:
        single.set("a", 1)
        assert single.pipeline().get("a").execute() == [b"1"]


# ── Renewed credentials ──────────────────────────────────────────────────────


class Badge(redis.CredentialProvider):
    """Credentials that change while connections are open, as those of a cloud do."""

    def __init__(self) -> None:
        self.user = "first"

    def get_credentials(self) -> tuple[str, str]:
        return self.user, "secret"


@pytest.fixture
def badge(path: str, redis_client: redis.Redis) -> Iterator[Badge]:
    users = ("first", "second")
    for user in users:
        redis_client.acl_setuser(
            user, enabled=True, passwords="+secret", commands=["+@all"], keys=["*"]
        )
    badge = Badge()
    redis_db.set_REDIS_DB_settings(unix_socket_path=path, credential_provider=badge)
    yield badge
    redis_client.acl_deluser(*users)


def ask_to_reconnect(connection: Any) -> Any:
    """As redis-py since 7.0 does it. Before, all that could be done was to close it."""
    return getattr(connection, "mark_for_reconnect", connection.disconnect)()


def test_a_connection_in_use_takes_renewed_credentials_when_it_is_free(badge: Badge) -> None:
    who = ("ACL", "WHOAMI")
    assert redis_db.connection().call(who, repeatable=True) == b"first"
    pool = POPOTO_REDIS_DB.connection_pool
    connection = pool.get_connection()
    badge.user = "second"
    ask_to_reconnect(connection)
    pool.release(connection)
    assert redis_db.connection().call(who, repeatable=True) == b"second"
    # Once is enough.
    own = redis_db.connection()
    assert len({own.call(("CLIENT", "ID"), repeatable=True) for _ in range(3)}) == 1


async def test_so_does_a_connection_of_an_event_loop(badge: Badge) -> None:
    who = ("ACL", "WHOAMI")
    own = await redis_db.async_connection()
    assert await own.call(who, repeatable=True) == b"first"
    pool = (await redis_db.get_async_redis_db()).connection_pool
    connection = await pool.get_connection()
    badge.user = "second"
    closing = ask_to_reconnect(connection)
    if closing is not None:
        await closing
    await pool.release(connection)
    assert await own.call(who, repeatable=True) == b"second"
    assert len({await own.call(("CLIENT", "ID"), repeatable=True) for _ in range(3)}) == 1


# ── Small functions ──────────────────────────────────────────────────────────


@pytest.fixture
def many_keys(redis_client: redis.Redis) -> set[bytes]:
    names = {b"k:%d" % n for n in range(500)}
    redis_client.mset(dict.fromkeys(names, b""))
    return names


async def test_scan_keys_finds_each_key_once(many_keys: set[bytes]) -> None:
    for found in (redis_db.scan_keys("k:*", count=10), await redis_db.async_scan_keys("k:*", 10)):
        assert len(found) == len(set(found))
        assert set(found) == many_keys
    assert redis_db.scan_keys("absent*") == []


def test_print_redis_info_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="POPOTO-REDIS_DB"):
        redis_db.print_redis_info()
    assert "redis_version" in caplog.text


def test_errors_of_the_server_are_raised_or_returned(redis_client: redis.Redis) -> None:
    redis_client.set("text", "x")
    connection = redis_db.connection()
    with pytest.raises(redis.ResponseError, match="not an integer"):
        connection.call(("INCR", "text"), repeatable=False)
    replies = connection.call_many([("INCR", "text"), ("GET", "text")], repeatable=False)
    assert isinstance(replies[0], redis.ResponseError)
    assert replies[1] == b"x"
    assert connection.call_many([], repeatable=True) == []
    with pytest.raises(redis.DataError):
        connection.call(("SET", "a", None), repeatable=False)  # type: ignore[list-item]
