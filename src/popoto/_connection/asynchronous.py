"""Sending commands and reading raw replies, for the tasks of one event loop.

The twin of `sync`, awaiting where that waits. What is decided is decided in `policy`
and `routing`, once for both.
"""

# redis-py leaves many of its methods without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from popoto._connection import policy
from popoto._connection.asynchronous_pools import AsyncPool, AsyncSentinelPool
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options
from popoto._connection.sync import (
    ASKING,
    CLUSTER_SLOTS,
    MOST_REDIRECTIONS,
    NOT_CARRIED_OUT,
    transaction_replies,
)
from popoto.exceptions import NothingWrittenError

__all__ = ["AsyncClusterConnection", "AsyncConnection", "exchange"]


async def exchange(
    pool: AsyncPool, data: bytes, count: int, *, repeatable: bool, blocks_for: float = 0.0
) -> list[Reply]:
    """Send packed commands on a pooled connection and read `count` replies. As `sync.exchange`.

    A task that is cancelled while it waits leaves no half-read connection behind.
    """
    attempts: policy.Attempts | None = None
    while True:
        connection = await pool.checkout()
        try:
            return await connection.exchange(data, count, blocks_for)
        except (RedisError, OSError, ValueError) as error:
            connection.drop()
            if attempts is None:
                attempts = policy.Attempts(pool.url, repeatable=repeatable)
            attempts.failed(error, sent=connection.sent)
        except BaseException:
            connection.drop()
            raise
        finally:
            pool.checkin(connection)


class AsyncConnection:
    """One server, for one event loop."""

    is_cluster = False
    """Whether keys are spread over several nodes."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    @property
    def url(self) -> str:
        """Where the server is, with the password masked."""
        return self._pool.url

    async def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """Send one command and return its raw reply. As `SyncConnection.call`."""
        reply = (
            await exchange(
                self._pool, pack((args,)), 1, repeatable=repeatable, blocks_for=blocks_for
            )
        )[0]
        if isinstance(reply, RedisError):
            return await self._after_error(reply, args, repeatable=repeatable)
        return reply

    async def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """Send commands together and return their raw replies. As `SyncConnection.call_many`."""
        if not commands:
            return []
        data = pack(commands)
        deadline = 0.0
        attempt = 0
        while True:
            replies = await exchange(self._pool, data, len(commands), repeatable=repeatable)
            if not all(isinstance(reply, BusyLoadingError) for reply in replies):
                return replies
            deadline = deadline or time.monotonic() + policy.PATIENCE
            pause = policy.waiting_pause(attempt, deadline)
            if pause is None:
                return replies
            attempt += 1
            await asyncio.sleep(pause)

    async def per_node(self) -> list[AsyncConnection]:
        """One connection per primary, for what has to visit all of them, such as SCAN."""
        return [self]

    def pools(self) -> list[AsyncPool]:
        """The pools in use, one per node."""
        return [self._pool]

    async def close(self) -> None:
        """Close every connection."""
        for pool in self.pools():
            await pool.disconnect()

    async def _after_error(self, error: RedisError, args: Command, *, repeatable: bool) -> Reply:
        deadline = time.monotonic() + policy.PATIENCE
        attempt = 0
        while True:
            pause = policy.waiting_pause(attempt, deadline)
            demoted = isinstance(error, ReadOnlyError) and isinstance(self._pool, AsyncSentinelPool)
            if pause is None or not (demoted or isinstance(error, BusyLoadingError)):
                raise error
            if demoted:
                await self._pool.disconnect(inuse_connections=False)
            attempt += 1
            await asyncio.sleep(pause)
            reply = (await exchange(self._pool, pack((args,)), 1, repeatable=repeatable))[0]
            if not isinstance(reply, RedisError):
                return reply
            error = reply


class AsyncClusterConnection(AsyncConnection):
    """A cluster, for one event loop."""

    is_cluster = True

    def __init__(
        self,
        url: str,
        topology: Topology,
        make_pool: Callable[[Address], AsyncPool],
        options: Options,
    ) -> None:
        self.options = options
        """What redis-py's own cluster client takes to reach the same cluster."""
        self._url = url
        self._topology = topology
        self._make_pool = make_pool
        self._pools: dict[Address, AsyncPool] = {}
        self._asking = asyncio.Lock()

    @property
    def url(self) -> str:
        """The URL that names the first nodes, with the password masked."""
        return self._url

    @property
    def seeds(self) -> tuple[Address, ...]:
        """The addresses that the URL names."""
        return self._topology.seeds

    async def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """As for one server. Follows the redirections of the cluster."""
        reply = await self._call(args, repeatable=repeatable, blocks_for=blocks_for)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """As for one server; the nodes that are concerned are asked at the same time."""
        await self._refresh()
        groups: dict[Address, list[int]] = {}
        for index, command in enumerate(commands):
            groups.setdefault(self._topology.node(slot_of(command)), []).append(index)
        replies: list[Reply] = [None] * len(commands)

        async def ask(address: Address, indexes: list[int]) -> None:
            data = pack([commands[index] for index in indexes])
            answers = await exchange(
                self._node_pool(address), data, len(indexes), repeatable=repeatable
            )
            for index, answer in zip(indexes, answers, strict=True):
                not_there = isinstance(answer, NOT_CARRIED_OUT)
                replies[index] = (
                    await self._call(commands[index], repeatable=repeatable)
                    if not_there
                    else answer
                )

        # Every group is waited for, so that none is still writing when an error is raised.
        outcomes = await asyncio.gather(
            *(ask(*group) for group in groups.items()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                self._topology.stale = True
                raise outcome
        return replies

    async def transaction(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry commands out as one transaction on the node of their keys. Never repeated."""
        slot = next((slot for slot in map(slot_of, commands) if slot is not None), None)
        data = pack([("MULTI",), *commands, ("EXEC",)])
        for attempt in range(MOST_REDIRECTIONS):
            if attempt == 0:
                await self._refresh()
            address = self._topology.node(slot)
            answers = await exchange(
                self._node_pool(address), data, len(commands) + 2, repeatable=False
            )
            if self._topology.moved_transaction(answers, address):
                continue
            return transaction_replies(answers)
        raise redis.ConnectionError(
            f"The cluster at {self.url} redirected a transaction without end."
        )

    async def per_node(self) -> list[AsyncConnection]:
        """One connection per primary."""
        await self._refresh()
        return [AsyncConnection(self._node_pool(address)) for address in self._topology.primaries]

    def pools(self) -> list[AsyncPool]:
        """The pools in use, one per node."""
        return list(self._pools.values())

    async def _call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        slot = slot_of(args)
        data = pack((args,))
        deadline = time.monotonic() + policy.PATIENCE
        asked: Address | None = None
        reply: Reply = None
        for attempt in range(MOST_REDIRECTIONS):
            # After a redirection the node that gave it knows best.
            if not isinstance(reply, AskError):
                await self._refresh()
            address = asked or self._topology.node(slot)
            pool = self._node_pool(address)
            try:
                if asked:
                    reply = (await exchange(pool, ASKING + data, 2, repeatable=repeatable))[1]
                else:
                    reply = (
                        await exchange(pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)
                    )[0]
            except NothingWrittenError:
                self._topology.stale = True
                asked = reply = None
                pause = policy.waiting_pause(attempt, deadline)
                if pause is None or attempt >= policy.REPEATS:
                    raise
                await asyncio.sleep(pause)
                continue
            except (redis.ConnectionError, redis.TimeoutError):
                self._topology.stale = True
                raise
            asked = None
            if isinstance(reply, AskError):
                target = self._topology.redirected(reply, address)
                asked = None if isinstance(reply, MovedError) else target
            elif isinstance(reply, (TryAgainError, ClusterDownError, BusyLoadingError)):
                self._topology.stale = self._topology.stale or isinstance(reply, ClusterDownError)
                pause = policy.waiting_pause(attempt, deadline)
                if pause is None:
                    return reply
                await asyncio.sleep(pause)
            else:
                return reply
        return reply

    def _node_pool(self, address: Address) -> AsyncPool:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._make_pool(address)
        return pool

    async def _refresh(self) -> None:
        """Ask the nodes who serves what, if that is not known well."""
        topology = self._topology
        if not topology.stale:
            return
        async with self._asking:  # one task asks for all that wait
            if not topology.stale:
                return
            failure: Exception | None = None
            for address in topology.candidates():
                try:
                    replies = await exchange(
                        self._node_pool(address), CLUSTER_SLOTS, 1, repeatable=True
                    )
                    topology.learn(replies[0], address)
                    if topology.primaries:
                        return
                except (redis.RedisError, OSError) as error:
                    failure = error
            if not topology.primaries:
                raise policy.connect_failure(
                    failure or redis.ConnectionError("no node serves slots"), self.url
                )
