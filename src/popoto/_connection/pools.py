"""Connections to one server, for threads.

The pool is redis-py's, so pub/sub, pipelines and monitors of redis-py run on it.
Replaced are the two calls that every command makes: taking a connection costs
about 1 us here and 15 us there, which counts metrics and asks the socket four times.
"""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from popoto._connection import decisions, embedded_source, policy
from popoto._connection.asking import Sentinels
from popoto._connection.connections import DirectConnection, direct, wants_reconnect
from popoto._connection.eviction import EvictionNotice
from popoto._connection.sentinels import Connected
from popoto._connection.settings import (
    Options,
    Settings,
    connect_timeout,
    pool_arguments,
)
from popoto._connection.steps import Step, carry_out
from popoto._connection.urls import describe

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:  # before redis-py 7.0
    MaintNotificationsConfig = None  # type: ignore[assignment,misc]

__all__ = [
    "Pool",
    "SentinelPool",
    "leads_to_primary",
    "make_pool",
    "pool_for_engine",
    "sentinel_manager_of",
    "service_of",
]

DEFAULT_CONNECTIONS: Final = 100
DEFAULT_WAIT: Final = 20.0
"""Seconds to wait for a free connection when all are in use."""


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
        if MaintNotificationsConfig is not None and issubclass(
            connection_class, UnixDomainSocketConnection
        ):
            # There is no host of which a server could tell that it moves. Some releases want one.
            options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
        self.url = url
        self.wait = timeout
        self.locate = locate
        self._is_located = False
        self.limited = max_connections is not None
        self.speaks_resp2 = options.get("protocol") != 3
        self._waiting = 0
        self._returned = threading.Condition()
        self.eviction = EvictionNotice()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
            connection_class=cast(type[redis.Connection], direct(connection_class)),
            max_connections=max_connections or DEFAULT_CONNECTIONS,
            **options,
        )
        _pools.add(self)

    def __repr__(self) -> str:
        # Releases of redis-py tell all options there, passwords too.
        return f"<{type(self).__name__} {self.url}>"

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
            if self.eviction.is_due:
                self._ask_for_eviction(connection)
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
        if (
            connection.unanswered
            or wants_reconnect(connection)
            or not self.owns_connection(connection)
        ):
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

    def _ask_for_eviction(self, connection: DirectConnection) -> None:
        self.eviction.is_due = False
        if self.speaks_resp2:
            self.eviction.take(connection.exchange(self.eviction.QUESTION, 1)[0], self.url)

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
    """Connections to the primary that the sentinels name, on a word that is always fresh."""

    def __init__(self, *, service_name: str, manager: Sentinel, **options: Any) -> None:
        self.sentinels = Sentinels(manager, service_name)
        super().__init__(service_name=service_name, sentinel_manager=self.sentinels, **options)

    def checkout(self) -> DirectConnection:
        """As of any pool. Connections to a primary that was replaced are closed first."""
        watch = self.sentinels.watch
        while True:
            if watch.address is not None and watch.is_due():
                self.get_master_address()  # else it is asked for when connecting
            connection = super().checkout()
            if watch.is_led_to(cast(Connected, connection)):
                return connection
            # Another thread has just heard of it, and not closed yet what is idle.
            self._discard(connection)

    def seek_primary(self) -> None:
        """Close what is idle, and believe whatever the sentinels say next."""
        self.sentinels.watch.forget()
        self.disconnect(inuse_connections=False)

    def forget_after_fork(self) -> None:
        """Start afresh in a child process."""
        self.sentinels.forget_after_fork()
        super().forget_after_fork()

    def _relocate(self, connection: DirectConnection) -> None:
        """Whoever cannot be reached may have been replaced."""
        self.sentinels.watch.forget()


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
            manager=sentinel,
            **options,
        )
    if settings.kind == "embedded":
        locate = embedded_source.locator(settings.directory)
        return Pool(url=settings.url, locate=locate, **options)
    return Pool(url=settings.url, **options)


# redis-py has no types for what a pool knows of its sentinels.


def leads_to_primary(pool: SentinelConnectionPool) -> bool:
    """Whether it is for the primary, and not for a replica."""
    return bool(pool.is_master)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def service_of(pool: SentinelConnectionPool) -> str:
    """The name by which its sentinels know the primary."""
    return str(pool.service_name)  # pyright: ignore[reportUnknownArgumentType]


def sentinel_manager_of(pool: SentinelConnectionPool) -> Sentinel:
    """redis-py's manager of the sentinels that a pool asks."""
    manager: Sentinel | Sentinels = pool.sentinel_manager
    return manager.manager if isinstance(manager, Sentinels) else manager


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
        if isinstance(pool, SentinelConnectionPool) and leads_to_primary(pool):
            del options["connection_pool"]
            manager, service = sentinel_manager_of(pool), service_of(pool)
            sibling = SentinelPool(url=url, service_name=service, manager=manager, **options)
        else:
            sibling = Pool(url=url, **options)
        _engine_pools[pool] = sibling
    return sibling
