"""Reads of replicas, for the tasks of one event loop. The twin of `replicas`."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import redis
import redis.asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from popoto._connection.asynchronous import AsyncClusterConnection, AsyncConnection, exchange
from popoto._connection.asynchronous_pools import AsyncPool, make_async_pool
from popoto._connection.pools import Pool, make_pool
from popoto._connection.refusals import refused
from popoto._connection.replicas import (
    CONFIGURED,
    READONLY,
    Known,
    Turns,
    node_options,
    settings_of_replica,
    told_replicas,
    url_of_replica,
)
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.settings import Address, Settings
from popoto._connection.waiting import Wait

__all__ = ["AsyncReplicaReads", "make_async_replica_reads"]


class AsyncReplicaReads(AsyncConnection):
    """Reads only. What no replica answers now, the primary does."""

    def __init__(
        self,
        primary: AsyncConnection,
        find: Callable[[Sequence[Command]], Awaitable[Sequence[Address]]],
        make_pool_of: Callable[[Address], AsyncPool],
    ) -> None:
        self.primary = primary
        self.is_cluster = primary.is_cluster
        self.under_way = set()
        self._find = find
        self._make_pool_of = make_pool_of
        self._pools: dict[Address, AsyncPool] = {}
        self._turns = Turns()

    @property
    def url(self) -> str:
        """Where the primary is, with the password masked."""
        return self.primary.url

    async def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """The reply to one read. Raises as any connection."""
        replies = await self._read((args,))
        if replies is None:
            return await self.primary.call(args, repeatable=repeatable, blocks_for=blocks_for)
        if isinstance(replies[0], RedisError):
            raise refused(replies[0], repeatable=True)
        return replies[0]

    async def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """The replies to reads of one shard, from one server."""
        replies = await self._read(commands) if commands else []
        if replies is None:
            return await self.primary.call_many(commands, repeatable=repeatable, wait=wait)
        return replies

    def pools(self) -> list[AsyncPool]:
        """The pools in use, one per replica."""
        return list(self._pools.values())

    async def _read(self, commands: Sequence[Command]) -> list[Reply] | None:
        """What a replica answers; None if none does now."""
        address = self._turns.choose(await self._find(commands))
        if address is None:
            return None
        head = READONLY if self.is_cluster else b""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._make_pool_of(address)
        try:
            replies = await exchange(
                pool, head + pack(commands), len(commands) + bool(head), repeatable=True
            )
        except AuthenticationError:
            raise
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._turns.failed(address, pool.url, error)
            return None
        return self._turns.judged(replies[bool(head) :], address, pool.url)


def make_async_replica_reads(
    primary: AsyncConnection, settings: Settings | None
) -> AsyncReplicaReads:
    """Reads of the replicas of a primary. Opens nothing. Raises ConfigurationError."""
    if isinstance(primary, AsyncClusterConnection):
        return AsyncReplicaReads(primary, primary.replicas_for, primary.make_pool)
    if settings is not None and settings.kind == "sentinel":
        return _of_sentinels(primary, settings)
    pool = make_pool(settings_of_replica(settings, primary.url))

    async def find(_: Sequence[Command]) -> Sequence[Address]:
        return (CONFIGURED,)

    return AsyncReplicaReads(primary, find, lambda _: make_async_pool(pool, pool.url))


def _of_sentinels(primary: AsyncConnection, settings: Settings) -> AsyncReplicaReads:
    known, asking = Known(), asyncio.Lock()
    options = dict(settings.sentinel_options) | {"retry": Retry(NoBackoff(), 0)}
    manager = Sentinel(list(settings.addresses), sentinel_kwargs=options)

    async def find(_: Sequence[Command]) -> Sequence[Address]:
        if known.is_due():
            async with asking:  # one task asks for all that wait
                if known.is_due():
                    known.take(await _told_by(manager, settings.service))
        return known.addresses

    def pool_of(address: Address) -> AsyncPool:
        url = url_of_replica(settings, address)
        return make_async_pool(Pool(url=url, **node_options(settings, address)), url)

    return AsyncReplicaReads(primary, find, pool_of)


async def _told_by(manager: Sentinel, service: str) -> list[Address]:
    sentinels: list[redis_asyncio.Redis] = manager.sentinels
    for sentinel in sentinels:
        try:
            states = await sentinel.sentinel_slaves(service)
        except RedisError:
            continue
        finally:
            # Every word is asked for on a connection of its own: nothing is left open in a loop.
            await sentinel.aclose()
        found = told_replicas(states)
        if found:
            return found
    return []
