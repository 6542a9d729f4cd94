"""A connection to one server, for threads: redis-py's, with a direct way to its socket."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis
from redis.connection import AbstractConnection

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
    without_numbers,
)

__all__ = ["DirectConnection", "direct", "readable", "wants_reconnect"]


class DirectConnection(AbstractConnection):
    """A redis-py connection that can also send packed commands and read raw replies.

    redis-py opens it (addresses, TLS, passwords, SELECT); `exchange` then talks to
    the socket itself. Both ways may alternate, as each leaves no reply unread.
    """

    sent: bool = False
    """Whether the server may have carried out a command of the last `exchange`."""

    unanswered: int = 0
    """How many commands were made for it whose replies have not been read. Whoever was interrupted
    between the two, by a signal, must not leave a reply to the next one."""

    # redis-py's, and without a public name there.
    _sock: socket.socket | None  # type: ignore[assignment]  # read from an unannotated None
    _own_socket: socket.socket | None = None
    _replies: ReplyReader
    _readable: Callable[[], bool]

    def connect(self) -> None:
        """As redis-py's. What it raises tells no password."""
        try:
            super().connect()
        except (redis.RedisError, OSError) as error:
            failure = without_secrets(error, secrets_of(self))
            if failure is error:
                raise
        else:
            return
        raise failure

    def prepare(self) -> None:
        """Connect, or find out that the server has closed the connection, and reconnect."""
        if self._sock is None:
            self.connect()
        elif self._has_input() or not self._healthy():
            self.drop()
            self.connect()

    def _has_input(self) -> bool:
        """Whether something lies unread: a reply nobody asked for, or the end of the stream."""
        if self._sock is not None and self._sock is not self._own_socket:
            self._adopt(self._sock)
        if not self._readable():
            return False
        try:
            # TLS sends records of its own that are no input. redis-py tells them apart.
            return bool(self.can_read(timeout=0))
        except (redis.RedisError, OSError):
            return True

    def _healthy(self) -> bool:
        if not self.health_check_interval or time.monotonic() <= self.next_health_check:
            return True
        try:
            self.check_health()
        except (redis.RedisError, OSError):
            return False
        return True

    def _set_timeout(self, own_socket: socket.socket, blocks_for: float) -> None:
        if self.socket_timeout is not None:
            own_socket.settimeout(self.socket_timeout + blocks_for)

    def _adopt(self, own_socket: socket.socket) -> None:
        self._own_socket = own_socket
        self._replies = reply_reader()
        self._readable = readable(own_socket)

    def drop(self) -> None:
        """Close. The next command connects again."""
        self.disconnect()

    def disconnect(self, *args: Any) -> None:
        """As redis-py's."""
        super().disconnect(*args)
        self.unanswered = 0

    def send_command(self, *args: Any, **kwargs: Any) -> None:
        """As redis-py's."""
        self.unanswered += 1
        super().send_command(*without_numbers(args), **kwargs)

    def pack_command(self, *args: Any) -> Any:
        """As redis-py's."""
        self.unanswered += 1
        return super().pack_command(*without_numbers(args))

    def pack_commands(self, commands: Iterable[Any]) -> Any:
        """As redis-py's."""
        packed = [without_numbers(command) for command in commands]
        self.unanswered += len(packed)
        return super().pack_commands(packed)

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """As redis-py's."""
        try:
            reply = super().read_response(*args, **kwargs)
        except redis.ResponseError:
            self.unanswered -= 1
            raise
        self.unanswered -= 1
        return reply

    def exchange(self, data: bytes, count: int, blocks_for: float = 0.0) -> list[Reply]:
        """Send packed commands and read `count` replies.

        `blocks_for` are seconds to wait beyond `socket_timeout`. After any exception the
        connection has to be dropped.
        """
        self.sent = False
        own_socket = self._sock
        if own_socket is None:
            raise redis.ConnectionError("Connection closed by server.")
        if own_socket is not self._own_socket:
            self._adopt(own_socket)
        reader = self._replies
        if blocks_for:
            self._set_timeout(own_socket, blocks_for)
        # A command is carried out once all of its bytes are there. If the system would not even
        # take them, a single one cannot have been.
        self.sent = count > 1
        self.unanswered = count
        own_socket.sendall(data)
        self.sent = True
        replies: list[Reply] = []
        size = READ_SIZE
        while len(replies) < count:
            chunk = own_socket.recv(size)
            if not chunk:
                raise cut_off(replies)
            reader.feed(chunk)
            if len(chunk) == size:
                size = LARGEST_READ
            take(reader, replies, count)
        if blocks_for:
            self._set_timeout(own_socket, 0.0)
        check_nothing_left(reader)
        self.unanswered = 0
        if self.health_check_interval:
            self.next_health_check = int(time.monotonic() + self.health_check_interval)
        return replies


# redis-py knows since 7.0: credentials were renewed, or the server is about to move.
KNOWS_WISHES: Final = hasattr(AbstractConnection, "should_reconnect")


def wants_reconnect(connection: Any) -> bool:
    """Whether redis-py asks for the connection to be closed once it is free."""
    return KNOWS_WISHES and bool(connection.should_reconnect())


def readable(own_socket: socket.socket) -> Callable[[], bool]:
    """A function that says whether a socket has something to read, or has been closed."""
    if own_socket.fileno() < 0:
        # An event loop closes what was reset as soon as it notices, even if nobody has read yet.
        return lambda: True
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([own_socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(own_socket.fileno(), select.POLLIN)
    return lambda: bool(poll.poll(0))


def direct(connection_class: type[AbstractConnection]) -> type[DirectConnection]:
    """The connection class with `exchange` added to it."""
    if issubclass(connection_class, DirectConnection):
        return connection_class
    name = f"Direct{connection_class.__name__}"
    return _direct_classes.setdefault(
        connection_class, type(name, (DirectConnection, connection_class), {})
    )


_direct_classes: dict[type[AbstractConnection], type[DirectConnection]] = {}
