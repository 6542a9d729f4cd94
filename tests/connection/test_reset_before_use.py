"""A connection that is reset before anything was sent on it is opened anew."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import redis.asyncio

from popoto._connection.asynchronous_connections import DirectAsyncConnection, direct
from popoto._connection.connections import readable
from popoto.testing.faults import FaultProxy


async def reset_connection(proxy: FaultProxy) -> DirectAsyncConnection:
    """One that the event loop has closed, since its server was gone, before its first use."""
    connection = direct(redis.asyncio.Connection)(host="127.0.0.1", port=proxy.port)
    await connection.connect()
    stream = connection._reader
    assert stream is not None
    await asyncio.to_thread(proxy.drop_connections, reset=True)
    with suppress(ConnectionResetError):
        await stream.read()
    await asyncio.sleep(0)  # for the socket to be closed
    return connection


def test_it_is_prepared_by_connecting_again(proxy: FaultProxy) -> None:
    async def use() -> list[object]:
        connection = await reset_connection(proxy)
        await connection.prepare()
        try:
            return await connection.exchange(b"*1\r\n$4\r\nPING\r\n", 1)
        finally:
            connection.drop()

    assert asyncio.run(use()) == [b"PONG"]


def test_what_is_sent_on_it_ends_in_an_error_of_the_connection(proxy: FaultProxy) -> None:
    async def use() -> str:
        connection = await reset_connection(proxy)
        try:
            await connection.exchange(b"*1\r\n$4\r\nPING\r\n", 1)
        except (OSError, redis.ConnectionError):
            return "an error of the connection"
        finally:
            connection.drop()
        return "a reply"

    assert asyncio.run(use()) == "an error of the connection"


def test_a_closed_socket_counts_as_readable() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not readable(one)()
        other.close()
        assert readable(one)()
        one.close()
        assert readable(one)()
