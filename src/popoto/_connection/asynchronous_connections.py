"""A connection to one server, for the tasks of one event loop. The twin of `connections`."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import redis
from redis.asyncio.connection import AbstractConnection

from popoto._connection.connections import readable
from popoto._connection.hiding import secrets_of, without_secrets
from popoto._connection.resp import (
    LARGEST_READ,
    READ_SIZE,
    Reply,
    ReplyReader,
    check_nothing_left,
    cut_off,
    reply_reader,
    take,
)

__all__ = ["DirectAsyncConnection", "direct"]

# Beyond this many unsent bytes a task waits for the socket before it goes on.
_DRAIN_ABOVE: Final = 1 << 16
# redis-py 7.0 knows the wish to reconnect, and cannot be told that it has been met.
_KNOWS_RESET: Final = hasattr(AbstractConnection, "reset_should_reconnect")


class DirectAsyncConnection(AbstractConnection):
    """A redis-py stream connection that can also send packed commands and read raw replies.

    redis-py has no public names for its streams, `_reader` and `_writer`.
    """

    sent = False
    """Whether the server may have carried out a command of the last `exchange`."""

    _own_stream: asyncio.StreamReader | None = None
    _replies: ReplyReader
    _readable: Callable[[], bool]
    _plain: bool

    async def connect(self) -> None:
        """As redis-py's. What it raises tells no password."""
        try:
            await super().connect()
        except (redis.RedisError, OSError) as error:
            failure = without_secrets(_answered(error), secrets_of(self))
            if failure is error:
                raise
        else:
            return
        raise failure

    async def prepare(self) -> None:
        """Connect, or find out that the server has closed the connection, and reconnect."""
        if self._writer is None:
            await self.connect()
        elif self._has_input() or not await self._healthy():
            await self.disconnect(nowait=True)
            await self.connect()

    def _has_input(self) -> bool:
        """Whether something lies unread: a reply nobody asked for, or the end of the stream."""
        stream = self._reader
        if stream is not self._own_stream:
            self._adopt()
        # The loop may not have had a turn since the server closed, so the socket is asked too.
        # Only the stream's own `_buffer` tells what has been received; redis-py looks there too.
        return (
            stream is None
            or stream.at_eof()
            or bool(getattr(stream, "_buffer", b""))
            or self._closed_by_server()
        )

    def _closed_by_server(self) -> bool:
        return self._plain and self._readable()

    async def _healthy(self) -> bool:
        if not self.health_check_interval or time.monotonic() <= self.next_health_check:
            return True
        try:
            await self.check_health()
        except (redis.RedisError, OSError):
            return False
        return True

    def _adopt(self) -> None:
        self._own_stream = self._reader
        self._replies = reply_reader()
        writer = self._writer
        # Bytes on a TLS socket may be records of its own, so only a plain one is asked.
        self._plain = writer is not None and writer.get_extra_info("ssl_object") is None
        if writer is not None and self._plain:
            own_socket: socket.socket = writer.get_extra_info("socket")
            self._readable = readable(own_socket)

    async def exchange(self, data: bytes, count: int, blocks_for: float = 0.0) -> list[Reply]:
        """Send packed commands and read `count` replies.

        `blocks_for` are seconds to wait beyond `socket_timeout`. After any exception,
        cancellation included, the connection has to be dropped.
        """
        self.sent = False
        if self._reader is not self._own_stream:
            self._adopt()
        stream, writer, reader = self._reader, self._writer, self._replies
        if stream is None or writer is None:
            raise redis.ConnectionError("Connection closed by server.")
        replies: list[Reply] = []
        size = READ_SIZE
        limit = None if self.socket_timeout is None else self.socket_timeout + blocks_for
        async with asyncio.timeout(limit):
            writer.write(data)
            self.sent = True
            if writer.transport.get_write_buffer_size() > _DRAIN_ABOVE:
                await writer.drain()
            while len(replies) < count:
                chunk = await stream.read(size)
                if not chunk:
                    raise cut_off(replies)
                reader.feed(chunk)
                if len(chunk) == size:
                    size = LARGEST_READ
                take(reader, replies, count)
        check_nothing_left(reader)
        if self.health_check_interval:
            self.next_health_check = time.monotonic() + self.health_check_interval
        return replies

    def drop(self) -> None:
        """Close at once, without waiting: usable while a task is being cancelled.

        redis-py's own `disconnect` is a coroutine.
        """
        writer = self._writer
        self._reader = self._writer = None
        if _KNOWS_RESET:
            self.reset_should_reconnect()
        if writer is not None:
            # RuntimeError: its loop is closed, and the socket with it.
            with suppress(RuntimeError):
                writer.transport.abort()


def direct(connection_class: type[AbstractConnection]) -> type[DirectAsyncConnection]:
    """The connection class with `exchange` added to it."""
    if issubclass(connection_class, DirectAsyncConnection):
        return connection_class
    name = f"Direct{connection_class.__name__}"
    return _direct_classes.setdefault(
        connection_class, type(name, (DirectAsyncConnection, connection_class), {})
    )


_direct_classes: dict[type[AbstractConnection], type[DirectAsyncConnection]] = {}


def _answered(error: Exception) -> Exception:
    """What the server has answered to a login or a SELECT, without the redis-py around it.

    As an error of the connection it would say that there is no server.
    """
    cause = error.__cause__
    is_wrapped = type(error) is redis.ConnectionError and isinstance(cause, redis.ResponseError)
    return cause if is_wrapped and isinstance(cause, Exception) else error
