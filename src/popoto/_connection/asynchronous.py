"""Sending commands and reading raw replies, for the tasks of one event loop.

The twin of `sync`, awaiting where that waits. What is decided is decided in `policy`
and `routing`, once for both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import redis
from redis.exceptions import BusyLoadingError, RedisError

from popoto._connection import decisions, policy
from popoto._connection.asynchronous_pools import AsyncPool, AsyncSentinelPool
from popoto._connection.decisions import NOT_CARRIED_OUT, Failure
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options
from popoto._connection.steps import Ask, SeekPrimary, Step, carry_out_async

__all__ = ["AsyncClusterConnection", "AsyncConnection", "exchange"]


async def exchange(
    pool: AsyncPool, data: bytes, count: int, *, repeatable: bool, blocks_for: float = 0.0
) -> list[Reply]:
    """Send packed commands on a pooled connection and read `count` replies. As `sync.exchange`.

    A task that is cancelled while it waits leaves no half-read connection behind.
    """
    outcome = await _try(pool, data, count, blocks_for)
    if isinstance(outcome, Failure):
        decision = decisions.after_failure(outcome, pool.url, repeatable=repeatable)
        return await carry_out_async(decision, lambda _: _try(pool, data, count, blocks_for))
    return outcome


async def _try(
    pool: AsyncPool, data: bytes, count: int, blocks_for: float
) -> list[Reply] | Failure:
    connection = await pool.checkout()
    try:
        return await connection.exchange(data, count, blocks_for)
    except (RedisError, OSError, ValueError) as error:
        connection.drop()
        return Failure(error, connection.sent)
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
        data = pack((args,))
        replies = await exchange(self._pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)
        reply = replies[0]
        if isinstance(reply, RedisError):
            return await self._after_refusal(
                reply, data, repeatable=repeatable, blocks_for=blocks_for
            )
        return reply

    async def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """Send commands together and return their raw replies. As `SyncConnection.call_many`."""
        if not commands:
            return []
        data = pack(commands)

        async def send(_: object = None) -> list[Reply]:
            return await exchange(self._pool, data, len(commands), repeatable=repeatable)

        replies = await send()
        if isinstance(replies[0], BusyLoadingError):
            return await carry_out_async(decisions.until_loaded(replies), send)
        return replies

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

    async def _after_refusal(
        self, error: RedisError, data: bytes, *, repeatable: bool, blocks_for: float
    ) -> Reply:
        async def perform(step: Step) -> list[Reply] | None:
            if isinstance(step, SeekPrimary):
                if isinstance(pool, AsyncSentinelPool):
                    pool.seek_primary()
                return None
            return await exchange(pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)

        pool = self._pool
        has_sentinels = isinstance(pool, AsyncSentinelPool)
        return await carry_out_async(
            decisions.after_refusal(error, has_sentinels=has_sentinels), perform
        )


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
        groups = self._topology.by_node(commands)
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
        decision = decisions.transact(self._topology, commands, self.url)
        return await carry_out_async(decision, self._perform)

    async def per_node(self) -> list[AsyncConnection]:
        """One connection per primary."""
        await self._refresh()
        return [AsyncConnection(self._node_pool(address)) for address in self._topology.primaries]

    def pools(self) -> list[AsyncPool]:
        """The pools in use, one per node."""
        return list(self._pools.values())

    async def _call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        deadline = time.monotonic() + policy.PATIENCE
        slot = slot_of(args)
        await self._refresh()
        asked = Ask(self._topology.node(slot), pack((args,)), 1, repeatable, blocks_for)
        outcome: Reply | Failure
        try:
            outcome = (await self._ask(asked))[0]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            outcome = Failure(error)
        if not isinstance(outcome, (Failure, RedisError)):
            return outcome
        decision = decisions.follow(self._topology, slot, asked, outcome, deadline)
        return await carry_out_async(decision, self._perform)

    async def _perform(self, step: Step) -> list[Reply] | None:
        if isinstance(step, Ask):
            return await self._ask(step)
        await self._refresh()
        return None

    async def _ask(self, ask: Ask) -> list[Reply]:
        return await exchange(
            self._node_pool(ask.address),
            ask.data,
            ask.count,
            repeatable=ask.repeatable,
            blocks_for=ask.blocks_for,
        )

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
            if topology.stale:
                decision = decisions.learn_nodes(topology, self.url)
                await carry_out_async(decision, self._perform)
