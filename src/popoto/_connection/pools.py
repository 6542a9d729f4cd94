"""Connections to one server, for threads.

The pool is redis-py's, so pub/sub, pipelines and monitors of redis-py run on it.
Replaced are the two calls that every command makes: taking a connection costs
about 1 us here and 15 us there, which counts metrics and asks the socket four times.
"""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from popoto._connection import decisions, embedded_source, policy
from popoto._connection.resp import (
    LARGEST_READ,
    READ_SIZE,
    Reply,
    ReplyReader,
    check_nothing_left,
    reply_reader,
    take,
)
from popoto._connection.settings import (
    Options,
    Settings,
    connect_timeout,
    describe,
    pool_arguments,
)
from popoto._connection.steps import Step, carry_out

__all__ = ["DirectConnection", "Pool", "make_pool", "pool_for_engine"]

DEFAULT_CONNECTIONS: Final = 100
DEFAULT_WAIT: Final = 20.0
"""Seconds to wait for a free connection when all are in use."""


class DirectConnection(AbstractConnection):
    """A redis-py connection that can also send packed commands and read raw replies.

    redis-py opens it (addresses, TLS, passwords, SELECT); `exchange` then talks to
    the socket itself. Both ways may alternate, as each leaves no reply unread.
    """

    sent: bool = False
    """Whether the server may have carried out a command of the last `exchange`."""

    # redis-py's, and without a public name there.
    _sock: socket.socket | None  # type: ignore[assignment]  # read from an unannotated None
    _own_socket: socket.socket | None = None
    _replies: ReplyReader
    _readable: Callable[[], bool]

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
        self.disconnect()  # pyright: ignore[reportUnknownMemberType]

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
        own_socket.sendall(data)
        self.sent = True
        replies: list[Reply] = []
        size = READ_SIZE
        while len(replies) < count:
            chunk = own_socket.recv(size)
            if not chunk:
                raise redis.ConnectionError("Connection closed by server.")
            reader.feed(chunk)
            if len(chunk) == size:
                size = LARGEST_READ
            take(reader, replies, count)
        if blocks_for:
            self._set_timeout(own_socket, 0.0)
        check_nothing_left(reader)
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


class Pool(redis.ConnectionPool):
    """Connections to one server. At most `max_connections`; more callers wait for `wait` seconds.

    Safe among threads. After a fork the child starts with an empty pool.
    `url` is for messages.
    """

    # redis-py's lists, which its own methods walk through to close connections and to give
    # them renewed credentials.
    _available_connections: list[DirectConnection]
    _in_use_connections: set[DirectConnection]

    def __init__(
        self,
        *,
        url: str,
        connection_class: type[AbstractConnection] = redis.Connection,
        max_connections: int | None = None,
        timeout: float | None = DEFAULT_WAIT,
        locate: Callable[[], Options] | None = None,
        **options: Any,
    ) -> None:
        options["retry"] = Retry(NoBackoff(), 0)
        options["retry_on_error"] = []
        self.url = url
        self.wait = timeout
        self.locate = locate
        self._is_located = False
        self.limited = max_connections is not None
        self.speaks_resp2 = options.get("protocol") != 3
        self._waiting = 0
        self._returned = threading.Condition()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            connection_class=cast(type[redis.Connection], direct(connection_class)),
            max_connections=max_connections or DEFAULT_CONNECTIONS,
            **options,
        )
        _pools.add(self)

    def checkout(self) -> DirectConnection:
        """A connection that is open and has nothing unread.

        Raises NothingWrittenError; and as redis-py does, wrong passwords and what the
        server answers to SELECT.
        """
        try:
            connection = self._available_connections.pop()
        except IndexError:
            connection = self._make_or_wait()
        self._in_use_connections.add(connection)
        try:
            connection.prepare()
        except (redis.RedisError, OSError) as error:
            self._connect_again(connection, error)
        except BaseException:
            self._discard(connection)
            raise
        return connection

    def checkin(self, connection: Any) -> None:
        """Give a connection back. One that failed must have been dropped."""
        try:
            self._in_use_connections.remove(connection)
        except KeyError:
            return  # of the parent process, or of before a reset
        if wants_reconnect(connection) or not self.owns_connection(connection):
            connection.drop()
        self._available_connections.append(connection)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def get_connection(self, command_name: object = None, *keys: object, **options: object) -> Any:
        """redis-py's name of `checkout`."""
        return self.checkout()

    def release(self, connection: Any) -> None:
        """redis-py's name of `checkin`."""
        self.checkin(connection)

    def _connect_again(self, connection: DirectConnection, error: Exception) -> None:
        """Try to connect for a little longer, where a little longer is likely to help."""

        def connect(_: Step) -> None:
            connection.drop()
            self._relocate(connection)
            connection.connect()

        patience = connect_timeout(self.connection_kwargs)
        try:
            carry_out(decisions.connect_again(error, self.url, patience), connect)
        except BaseException:
            self._discard(connection)
            raise

    def _discard(self, connection: DirectConnection) -> None:
        connection.drop()
        self.checkin(connection)

    def _make_or_wait(self) -> DirectConnection:
        deadline = None if self.wait is None else time.monotonic() + self.wait
        with self._returned:
            self._waiting += 1
            try:
                while True:
                    if self._available_connections:
                        try:
                            return self._available_connections.pop()
                        except IndexError:
                            pass  # another thread was quicker
                    made = self._make()
                    if made is not None:
                        return made
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise policy.all_in_use(self.max_connections, self.url, self.wait)
                    self._returned.wait(left)
            finally:
                self._waiting -= 1

    def _make(self) -> DirectConnection | None:
        if self.locate is not None and not self._is_located:
            self.connection_kwargs.update(self.locate())
            self._is_located = True
        try:
            return cast(DirectConnection, self.make_connection())
        except redis.ConnectionError:
            return None  # as many as there may be

    def _relocate(self, connection: DirectConnection) -> None:
        """Follow an embedded server that was started again, perhaps elsewhere."""
        if self.locate is not None:
            for name, value in self.locate().items():
                setattr(connection, name, value)

    def forget_after_fork(self) -> None:
        """Start afresh in a child process. The parent keeps its sockets and locks."""
        # redis-py's locks, without a public name: a thread of the parent may have held one.
        self._lock = threading.RLock()
        self._fork_lock = threading.RLock()
        self._returned = threading.Condition()
        self._waiting = 0
        self._is_located = False
        self.reset()


class SentinelPool(Pool, SentinelConnectionPool):
    """Connections to the primary that the sentinels name at the time of connecting."""


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_engine_pools: weakref.WeakKeyDictionary[redis.ConnectionPool, Pool] = weakref.WeakKeyDictionary()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def make_pool(settings: Settings) -> Pool:
    """The pool for one server, or for the primary of a sentinel group. Opens nothing."""
    options = dict(settings.options)
    if settings.kind == "sentinel":
        secure = "SSL" in getattr(options.pop("connection_class", None), "__name__", "")
        connection_class = SentinelManagedSSLConnection if secure else SentinelManagedConnection
        sentinel = Sentinel(
            list(settings.addresses), sentinel_kwargs=dict(settings.sentinel_options)
        )
        return SentinelPool(
            url=settings.url,
            connection_class=connection_class,
            service_name=settings.service,
            sentinel_manager=sentinel,
            **options,
        )
    if settings.kind == "embedded":
        locate = embedded_source.locator(settings.directory)
        return Pool(url=settings.url, locate=locate, **options)
    return Pool(url=settings.url, **options)


def pool_for_engine(pool: redis.ConnectionPool) -> Pool:
    """The pool itself, or one to the same server that reads raw RESP2 replies.

    The second case is a caller's own pool, put in the place of ours, or protocol=3.
    """
    if isinstance(pool, Pool) and pool.speaks_resp2:
        return pool
    sibling = _engine_pools.get(pool)
    if sibling is None:
        options: Options = pool_arguments(pool) | {"protocol": 2}
        url = pool.url if isinstance(pool, Pool) else describe(options)
        sibling = Pool(url=url, **options)
        _engine_pools[pool] = sibling
    return sibling
