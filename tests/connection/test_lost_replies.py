"""A reply is lost after the server carried the command out: what is repeated, what is not."""

from __future__ import annotations

import pytest
import redis

from popoto import redis_db
from popoto.exceptions import (
    NothingWrittenError,
    OutcomeUnknownError,
    OutcomeUnknownTimeoutError,
)
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy


def test_a_write_is_carried_out_once_and_its_outcome_unknown(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError, match="may or may not"):
        redis_db.connection().call(("INCR", "n"), repeatable=False)
    assert redis_client.get("n") == b"1"


def test_a_read_is_repeated(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    redis_client.set("n", 5)
    proxy.lose_reply(b"GET", times=2)
    assert redis_db.connection().call(("GET", "n"), repeatable=True) == b"5"


def test_a_read_is_not_repeated_for_ever(proxy: FaultProxy) -> None:
    proxy.lose_reply(b"GET", times=3)
    with pytest.raises(redis.ConnectionError) as caught:
        redis_db.connection().call(("GET", "n"), repeatable=True)
    assert not isinstance(caught.value, OutcomeUnknownError | NothingWrittenError)


def test_a_pipeline_of_writes_is_carried_out_once(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        redis_db.connection().call_many([("INCR", "n"), ("INCR", "n")], repeatable=False)
    assert redis_client.get("n") == b"2"


def test_a_silent_server_is_a_timeout(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, socket_timeout=0.2)
    proxy.stall(b"INCR")
    with pytest.raises(OutcomeUnknownTimeoutError) as caught:
        redis_db.connection().call(("INCR", "n"), repeatable=False)
    assert isinstance(caught.value, redis.TimeoutError)
    assert redis_client.get("n") == b"1"
    # What came too late is not taken for the reply to the next command.
    assert redis_db.connection().call(("GET", "n"), repeatable=True) == b"1"


# More than the buffers between two processes hold.
LARGE = b"x" * 20_000_000


def test_a_command_that_was_not_sent_whole_was_not_carried_out(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    connection = redis_db.connection()
    proxy.cut(b"value", times=2)
    assert connection.call(("SET", "value", LARGE), repeatable=False) == b"OK"
    redis_client.delete("value")
    proxy.cut(b"value", times=3)
    with pytest.raises(NothingWrittenError):
        connection.call(("SET", "value", LARGE), repeatable=False)
    assert redis_client.get("value") is None


def test_of_several_commands_that_were_not_sent_whole_some_may_have_been_carried_out(
    proxy: FaultProxy,
) -> None:
    proxy.cut(b"value")
    commands = [("INCR", "n"), ("SET", "value", LARGE)]
    with pytest.raises(OutcomeUnknownError):
        redis_db.connection().call_many(commands, repeatable=False)


def test_connecting_is_not_tried_again_after_a_timeout(proxy: FaultProxy) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, db=1, socket_timeout=0.1)
    proxy.stall(b"SELECT", times=5)
    with pytest.raises(NothingWrittenError, match="Timeout"):
        redis_db.connection().call(("GET", "n"), repeatable=True)
    assert proxy.accepted == 1


async def test_a_task_does_not_try_to_connect_again_after_a_timeout(proxy: FaultProxy) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, db=1, socket_timeout=0.1)
    proxy.stall(b"SELECT", times=5)
    with pytest.raises(NothingWrittenError, match="Timeout"):
        await (await redis_db.async_connection()).call(("GET", "n"), repeatable=True)
    assert proxy.accepted == 1


def test_direct_use_follows_the_same_policy(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    proxy.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        POPOTO_REDIS_DB.incr("n")
    proxy.lose_reply(b"GET")
    assert POPOTO_REDIS_DB.get("n") == b"1"


@pytest.mark.parametrize("transaction", [True, False])
def test_pipelines_in_direct_use(
    proxy: FaultProxy, redis_client: redis.Redis, transaction: bool
) -> None:
    proxy.lose_reply(b"INCR")
    pipeline = POPOTO_REDIS_DB.pipeline(transaction=transaction)
    pipeline.incr("n")
    with pytest.raises(OutcomeUnknownError):
        pipeline.execute()
    proxy.lose_reply(b"GET")
    pipeline.get("n")
    assert pipeline.execute() == [b"1"]


def test_a_lost_exec_does_not_look_like_a_changed_key(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    def count(pipeline: redis.client.Pipeline) -> None:
        value = int(pipeline.get("n") or 0)
        pipeline.multi()
        pipeline.set("n", value + 1)

    proxy.lose_reply(b"EXEC")
    with pytest.raises(OutcomeUnknownError):
        POPOTO_REDIS_DB.transaction(count, "n")
    assert redis_client.get("n") == b"1"


def test_a_connection_closed_while_idle_is_replaced_unnoticed(proxy: FaultProxy) -> None:
    connection = redis_db.connection()
    for expected in range(1, 6):
        assert connection.call(("INCR", "n"), repeatable=False) == expected
        accepted = proxy.accepted
        proxy.drop_connections()
    assert proxy.accepted == accepted


async def test_async_write_is_carried_out_once(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    proxy.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        await (await redis_db.async_connection()).call(("INCR", "n"), repeatable=False)
    assert redis_client.get("n") == b"1"


async def test_async_read_is_repeated(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    redis_client.set("n", 5)
    proxy.lose_reply(b"GET", times=2)
    assert await (await redis_db.async_connection()).call(("GET", "n"), repeatable=True) == b"5"


async def test_async_silent_server_is_a_timeout(
    proxy: FaultProxy, redis_client: redis.Redis
) -> None:
    redis_db.set_REDIS_DB_settings(host="127.0.0.1", port=proxy.port, socket_timeout=0.2)
    proxy.stall(b"INCR")
    connection = await redis_db.async_connection()
    with pytest.raises(OutcomeUnknownTimeoutError):
        await connection.call(("INCR", "n"), repeatable=False)
    assert await connection.call(("GET", "n"), repeatable=True) == b"1"


async def test_async_direct_use(proxy: FaultProxy, redis_client: redis.Redis) -> None:
    client = await redis_db.get_async_redis_db()
    proxy.lose_reply(b"INCR")
    with pytest.raises(OutcomeUnknownError):
        await client.incr("n")
    proxy.lose_reply(b"GET")
    assert await client.get("n") == b"1"
    proxy.lose_reply(b"EXEC")
    with pytest.raises(OutcomeUnknownError):
        await client.pipeline().incr("n").execute()
    assert redis_client.get("n") == b"2"


async def test_async_connection_closed_while_idle_is_replaced(proxy: FaultProxy) -> None:
    connection = await redis_db.async_connection()
    for expected in range(1, 6):
        assert await connection.call(("INCR", "n"), repeatable=False) == expected
        proxy.drop_connections()
