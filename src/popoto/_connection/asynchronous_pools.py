"""Connections to one server, for the tasks of one event loop."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import redis
import redis.asyncio as redis_asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.connection import Connection as StreamConnection
from redis.asyncio.connection import SSLConnection as StreamSSLConnection
from redis.asyncio.connection import UnixDomainSocketConnection as StreamUnixConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.asyncio.sentinel import SentinelManagedConnection as StreamSentinelConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection as StreamSentinelSSLConnection
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection as SyncAbstractConnection
from redis.sentinel import Sentinel as SyncSentinel
from redis.sentinel import SentinelConnectionPool as SyncSentinelPool
from redis.sentinel import SentinelManagedConnection

from popoto._connection import decisions, policy
from popoto._connection.asynchronous_asking import AsyncSentinels
from popoto._connection.asynchronous_connections import DirectAsyncConnection, direct
from popoto._connection.connections import wants_reconnect
from popoto._connection.eviction import EvictionNotice
from popoto._connection.pools import (
    DEFAULT_WAIT,
    Pool,
    leads_to_primary,
    sentinel_manager_of,
    service_of,
)
from popoto._connection.sentinels import FORCED_ADDRESS, Connected
from popoto._connection.settings import (
    Options,
    Settings,
    accepted_options,
    connect_timeout,
    is_unix,
    pool_arguments,
)
from popoto._connection.steps import Step, carry_out_async
from popoto._connection.urls import describe

__all__ = ["AsyncPool", "make_async_pool", "sync_settings"]

DEFAULT_ASYNC_CONNECTIONS: Final = 50
_NOT_FOR_STREAMS: Final = frozenset(
    {
        "command_packer",
        "connection_class",
        "event_dispatcher",
        "himport_registry",
        "max_connections",
        "parser_class",
        "redis_connect_func",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "timeout",
    }
    # What redis-py adds to the options of a pool for its own use.
    | {
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler",
    }
)


class AsyncPool(redis_asyncio.ConnectionPool):
    """Connections to one server for one event loop.

    When all `max_connections` are in use, tasks wait for one in the order they came,
    for at most `wait` seconds. `_available_connections` and `_in_use_connections` are those of
    redis-py, as in the sync pool.
    """

    def __init__(
        self,
        *,
        url: str,
        connection_class: type[AbstractConnection] = StreamConnection,
        max_connections: int | None = None,
        timeout: float | None = DEFAULT_WAIT,
        locate: Callable[[], Options] | None = None,
        eviction: EvictionNotice | None = None,
        **options: Any,
    ) -> None:
        options["retry"] = Retry(NoBackoff(), 0)
        self.eviction = eviction or EvictionNotice()
        self.url = url
        self.wait = timeout
        self.locate = locate
        self._is_located = False
        self._retired = False
        self._waiters: deque[asyncio.Future[DirectAsyncConnection]] = deque()
        super().__init__(
            connection_class=direct(connection_class),
            max_connections=max_connections or DEFAULT_ASYNC_CONNECTIONS,
            **options,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    async def checkout(self) -> DirectAsyncConnection:
        """A connection that is open and has nothing unread. Raises as the sync pool's."""
        if self._available_connections:
            connection = cast(DirectAsyncConnection, self._available_connections.pop())
            self._in_use_connections.add(connection)
        elif len(self._in_use_connections) < self.max_connections:
            connection = await self._make()
        else:
            connection = await self._wait_for_one()
        try:
            await connection.prepare()
            if self.eviction.is_due:
                await self._ask_for_eviction(connection)
        except (redis.RedisError, OSError) as error:
            await self._connect_again(connection, error)
        except BaseException:
            self._discard(connection)
            raise
        return connection

    def checkin(self, connection: AbstractConnection) -> None:
        """Give a connection back. One that failed must have been dropped."""
        if connection not in self._in_use_connections:
            return
        direct_connection = cast(DirectAsyncConnection, connection)
        if self._retired or wants_reconnect(direct_connection):
            direct_connection.drop()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                # It stays in use: handed over, so that nobody comes in between.
                waiter.set_result(direct_connection)
                return
        self._in_use_connections.discard(connection)
        self._available_connections.append(connection)

    async def get_connection(
        self, command_name: object = None, *keys: object, **options: object
    ) -> AbstractConnection:
        """redis-py's name of `checkout`."""
        return await self.checkout()

    async def release(self, connection: AbstractConnection) -> None:
        """redis-py's name of `checkin`."""
        self.checkin(connection)

    def retire(self) -> None:
        """Close what is idle now, and every other connection when it comes back."""
        self._retired = True
        for connection in self._available_connections:
            cast(DirectAsyncConnection, connection).drop()

    async def _make(self) -> DirectAsyncConnection:
        # Counted before anything is awaited, so that the limit holds.
        connection = cast(DirectAsyncConnection, self.make_connection())
        self._in_use_connections.add(connection)
        if self.locate is not None and not self._is_located:
            try:
                await self._relocate(connection)
            except BaseException:
                self._discard(connection)
                raise
        return connection

    async def _relocate(self, connection: DirectAsyncConnection) -> None:
        if self.locate is not None:
            # Starting a process blocks for a moment, which the loop must not notice.
            located = await asyncio.to_thread(self.locate)
            self.connection_kwargs.update(located)
            self._is_located = True
            for name, value in located.items():
                setattr(connection, name, value)

    async def _wait_for_one(self) -> DirectAsyncConnection:
        waiter: asyncio.Future[DirectAsyncConnection] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.wait):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.checkin(waiter.result())  # came in the moment of giving up
            if isinstance(error, TimeoutError):
                raise policy.all_in_use(self.max_connections, self.url, self.wait) from error
            raise

    async def _ask_for_eviction(self, connection: DirectAsyncConnection) -> None:
        self.eviction.is_due = False
        if self.connection_kwargs.get("protocol") != 3:
            (answer,) = await connection.exchange(self.eviction.QUESTION, 1)
            self.eviction.take(answer, self.url)

    async def _connect_again(self, connection: DirectAsyncConnection, error: Exception) -> None:
        """Try to connect for a little longer, where a little longer is likely to help."""

        async def connect(_: Step) -> None:
            connection.drop()
            await self._relocate(connection)
            await connection.connect()

        patience = connect_timeout(self.connection_kwargs)
        try:
            await carry_out_async(decisions.connect_again(error, self.url, patience), connect)
        except BaseException:
            self._discard(connection)
            raise

    def _discard(self, connection: DirectAsyncConnection) -> None:
        connection.drop()
        self.checkin(connection)


class AsyncSentinelPool(AsyncPool, SentinelConnectionPool):
    """Connections to the primary that the sentinels name, on a word that is always fresh."""

    def __init__(self, *, service_name: str, manager: Sentinel, **options: Any) -> None:
        self.sentinels = AsyncSentinels(manager, service_name)
        super().__init__(service_name=service_name, sentinel_manager=self.sentinels, **options)

    async def checkout(self) -> DirectAsyncConnection:
        """As of any pool. Connections to a primary that was replaced are closed first."""
        watch = self.sentinels.watch
        while True:
            if watch.address is not None and watch.is_due():
                await self.get_master_address()  # else it is asked for when connecting
            connection = await super().checkout()
            if watch.is_led_to(cast(Connected, connection)):
                return connection
            # Another task has just heard of it, and not closed yet what is idle.
            self._discard(connection)

    def checkin(self, connection: AbstractConnection) -> None:
        """Give a connection back; one to a former primary is closed."""
        address = (cast(StreamConnection, connection).host, cast(StreamConnection, connection).port)
        if self.is_master and self.master_address != address:
            cast(DirectAsyncConnection, connection).drop()
        super().checkin(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close what is idle, or every connection, those to the sentinels among them."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinels.drop()

    def retire(self) -> None:
        """Close what is idle now, and every other connection when it comes back."""
        super().retire()
        self.sentinels.drop()

    def seek_primary(self) -> None:
        """Close what is idle, and believe whatever the sentinels say next."""
        self.sentinels.watch.forget()
        for connection in self._available_connections:
            cast(DirectAsyncConnection, connection).drop()

    async def _relocate(self, connection: DirectAsyncConnection) -> None:
        """Whoever cannot be reached may have been replaced."""
        self.sentinels.watch.forget()


def make_async_pool(pool: redis.ConnectionPool, url: str) -> AsyncPool:
    """A pool for the running loop that leads where a sync pool leads. Opens nothing."""
    options = pool_arguments(pool)
    connection_class = _stream_class(pool.connection_class, options)
    accepted = accepted_options(connection_class) - _NOT_FOR_STREAMS
    stream_options = {name: value for name, value in options.items() if name in accepted}
    # The sync limit of connections is a limit of threads. A caller's own choice holds for both.
    limit = pool.max_connections if not isinstance(pool, Pool) or pool.limited else None
    wait = pool.wait if isinstance(pool, Pool) else DEFAULT_WAIT
    eviction = pool.eviction if isinstance(pool, Pool) else None
    if isinstance(pool, SyncSentinelPool) and leads_to_primary(pool):
        return AsyncSentinelPool(
            url=url,
            connection_class=connection_class,
            max_connections=limit,
            timeout=wait,
            eviction=eviction,
            service_name=service_of(pool),
            manager=_async_manager(sentinel_manager_of(pool)),
            **stream_options,
        )
    return AsyncPool(
        url=url,
        connection_class=connection_class,
        max_connections=limit,
        timeout=wait,
        eviction=eviction,
        locate=pool.locate if isinstance(pool, Pool) else None,
        **stream_options,
    )


def _async_manager(manager: SyncSentinel) -> Sentinel:
    """For tasks, what leads to the same sentinels."""
    clients: list[redis.Redis] = manager.sentinels
    places = [one.connection_pool.connection_kwargs for one in clients]
    made = Sentinel(
        [(str(place["host"]), int(place["port"])) for place in places],
        min_other_sentinels=manager.min_other_sentinels,
        sentinel_kwargs=cast(Options, manager.sentinel_kwargs) | {"retry": Retry(NoBackoff(), 0)},
    )
    forced: str | None = getattr(manager, FORCED_ADDRESS, None)
    if forced is not None:
        setattr(made, FORCED_ADDRESS, forced)
    return made


def sync_settings(pool: redis_asyncio.ConnectionPool) -> Settings:
    """Settings for threads that lead where an asyncio pool leads."""
    secure = issubclass(pool.connection_class, StreamSSLConnection)
    connection_class: type[Any] = redis.SSLConnection if secure else redis.Connection
    if issubclass(pool.connection_class, StreamUnixConnection):
        connection_class = redis.UnixDomainSocketConnection
    accepted = accepted_options(connection_class) - _NOT_FOR_STREAMS
    options = {name: value for name, value in pool.connection_kwargs.items() if name in accepted}
    options["connection_class"] = connection_class
    options["max_connections"] = pool.max_connections
    return Settings("single", describe(options), options)


def _stream_class(
    connection_class: type[SyncAbstractConnection], options: Options
) -> type[AbstractConnection]:
    secure = issubclass(connection_class, redis.SSLConnection)
    if issubclass(connection_class, SentinelManagedConnection):
        return StreamSentinelSSLConnection if secure else StreamSentinelConnection
    if is_unix(options):
        return StreamUnixConnection
    return StreamSSLConnection if secure else StreamConnection
