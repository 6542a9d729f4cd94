"""Sending commands and reading raw replies, for the tasks of one event loop.

The twin of `sync`, awaiting where that waits. What is decided is decided in `policy`
and `routing`, once for both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import redis
from redis.exceptions import BusyLoadingError, RedisError

from popoto._connection import decisions, policy, redirections
from popoto._connection.asynchronous_pools import AsyncPool, AsyncSentinelPool
from popoto._connection.decisions import Failure
from popoto._connection.refusals import refused
from popoto._connection.resending import resend
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options
from popoto._connection.steps import Ask, Send, Step, carry_out_async, waiting
from popoto._connection.waiting import Wait, fewest

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

    wait: Wait | None = None
    """For how many replicas writes wait, unless the model or the writer says otherwise."""

    def __init__(self, pool: AsyncPool, wait: Wait | None = None) -> None:
        self._pool = pool
        self.wait = wait
        self.under_way: set[asyncio.Task[None]] = set()
        """What sends for others: an event loop keeps only weak references to its tasks. Here they
        go with a loop that is closed before they are done."""

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
            decision = decisions.after_refusal(
                reply,
                has_sentinels=isinstance(self._pool, AsyncSentinelPool),
                repeatable=repeatable,
                again=Send(data, 1, repeatable, blocks_for),
            )
            return await carry_out_async(decision, self._perform)
        return reply

    async def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """Send commands together and return their raw replies. As `SyncConnection.call_many`."""
        if not commands:
            return []
        sent = waiting(Send(pack(commands), len(commands), repeatable), wait)
        replies = await self._send(sent)
        if isinstance(replies[0], BusyLoadingError):
            decision = decisions.until_loaded(replies, repeatable=repeatable, again=sent)
            replies = await carry_out_async(decision, self._perform)
        if isinstance(self._pool, AsyncSentinelPool):
            again = resend(commands, replies, repeatable=repeatable, wait=wait)
            await carry_out_async(again, self._perform)
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

    async def _perform(self, step: Step) -> list[Reply] | None:
        if isinstance(step, Send):
            return await self._send(step)
        pool = self._pool
        if isinstance(pool, AsyncSentinelPool):
            pool.seek_primary()
        return None

    async def _send(self, sent: Send) -> list[Reply]:
        return await exchange(
            self._pool,
            sent.data,
            sent.count,
            repeatable=sent.repeatable,
            blocks_for=sent.blocks_for,
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
        wait: Wait | None = None,
    ) -> None:
        self.wait = wait
        self.options = options
        """What redis-py's own cluster client takes to reach the same cluster."""
        self._url = url
        self._topology = topology
        self.make_pool = make_pool
        """Makes the connections to one node."""
        self._pools: dict[Address, AsyncPool] = {}
        self.under_way = set()
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
            raise refused(reply, repeatable=repeatable)
        return reply

    async def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """As for one server; the nodes that are concerned are asked at the same time."""
        await self._refresh()
        groups = self._topology.by_node(commands)
        replies: list[Reply] = [redirections.UNASKED] * len(commands)
        told: list[Reply] = []
        tail = None if wait is None else told
        since = time.monotonic()

        async def ask(address: Address, indexes: list[int]) -> None:
            data = pack([commands[index] for index in indexes])
            answers = await self._ask(waiting(Ask(address, data, len(indexes), repeatable), wait))
            for index, answer in zip(indexes, answers, strict=wait is None):
                replies[index] = answer
            left = redirections.not_carried_out(replies, indexes)
            if wait is not None and len(left) < len(indexes):
                told.append(answers[-1])
            for index in left:
                replies[index] = await self._call(
                    commands[index], repeatable=repeatable, wait=wait, told=tail, since=since
                )

        # Every group is waited for, so that none is still writing when an error is raised.
        outcomes = await asyncio.gather(
            *(ask(*group) for group in groups.items()), return_exceptions=True
        )
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            self._topology.stale = True
            raise redirections.of_several(*errors, replies=replies, repeatable=repeatable)
        return replies if wait is None else [*replies, fewest(told)]

    async def transaction(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry commands out as one transaction on the node of their keys. Never repeated."""
        decision = redirections.transact(self._topology, commands)
        return await carry_out_async(decision, self._perform)

    async def per_node(self) -> list[AsyncConnection]:
        """One connection per primary."""
        await self._refresh()
        return [AsyncConnection(self.node_pool(address)) for address in self._topology.primaries]

    async def replicas_for(self, commands: Sequence[Command]) -> Sequence[Address]:
        """The replicas that may be asked for this, of one shard."""
        self._topology.look_for_replicas()
        await self._refresh()
        return self._topology.replicas(slot_of(commands[0]))

    def pools(self) -> list[AsyncPool]:
        """The pools in use, one per node."""
        return list(self._pools.values())

    async def _call(
        self,
        args: Command,
        *,
        repeatable: bool,
        blocks_for: float = 0.0,
        wait: Wait | None = None,
        told: list[Reply] | None = None,
        since: float | None = None,
    ) -> Reply:
        """The reply to one command. What WAIT is answered then goes to `told`.

        `since` (of `time.monotonic`) is when the time began that all may take.
        """
        now = time.monotonic()
        deadline = now + policy.PATIENCE
        moved_by = (now if since is None else since) + self._topology.migration_timeout
        slot = slot_of(args)
        await self._refresh()
        asked = waiting(
            Ask(self._topology.node(slot), pack((args,)), 1, repeatable, blocks_for), wait
        )
        perform = self._perform if told is None else self._telling(told)
        outcome: Reply | Failure
        try:
            outcome = (await perform(asked) or [None])[0]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            outcome = Failure(error)
        if not isinstance(outcome, (Failure, RedisError)):
            return outcome
        decision = redirections.follow(self._topology, slot, asked, outcome, deadline, moved_by)
        return await carry_out_async(decision, perform)

    def _telling(self, told: list[Reply]) -> Callable[[Step], Awaitable[list[Reply] | None]]:
        """As `_perform`, where each command is followed by WAIT: its answer goes to `told`."""

        async def perform(step: Step) -> list[Reply] | None:
            replies = await self._perform(step)
            if replies is not None:
                last = replies.pop()
                if not isinstance(replies[-1], RedisError):
                    told.append(last)
            return replies

        return perform

    async def _perform(self, step: Step) -> list[Reply] | None:
        if isinstance(step, Ask):
            return await self._ask(step)
        await self._refresh()
        return None

    async def _ask(self, ask: Ask) -> list[Reply]:
        return await exchange(
            self.node_pool(ask.address),
            ask.data,
            ask.count,
            repeatable=ask.repeatable,
            blocks_for=ask.blocks_for,
        )

    def node_pool(self, address: Address) -> AsyncPool:
        """The connections to one node."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self.make_pool(address)
        return pool

    async def _refresh(self) -> None:
        """Ask the nodes who serves what, if that is not known well."""
        topology = self._topology
        if not topology.stale:
            return
        async with self._asking:  # one task asks for all that wait
            if topology.stale:
                decision = redirections.learn_nodes(topology, self.url)
                await carry_out_async(decision, self._perform)
