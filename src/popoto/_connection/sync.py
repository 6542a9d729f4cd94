"""Sending commands and reading raw replies, for threads."""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis
from redis.exceptions import BusyLoadingError, RedisError

from popoto._connection import decisions, policy
from popoto._connection.decisions import NOT_CARRIED_OUT, Failure
from popoto._connection.pools import Pool, SentinelPool, pool_for_engine
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options, Settings
from popoto._connection.steps import Ask, SeekPrimary, Step, carry_out

__all__ = ["ClusterConnection", "SyncConnection", "exchange"]


def exchange(
    pool: Pool, data: bytes, count: int, *, repeatable: bool, blocks_for: float = 0.0
) -> list[Reply]:
    """Send packed commands on a pooled connection and read `count` replies.

    The hot path. Errors of the server are among the replies; errors of the
    connection are raised, after as many repetitions as the policy allows.
    """
    outcome = _try(pool, data, count, blocks_for)
    if isinstance(outcome, Failure):
        decision = decisions.after_failure(outcome, pool.url, repeatable=repeatable)
        return carry_out(decision, lambda _: _try(pool, data, count, blocks_for))
    return outcome


def _try(pool: Pool, data: bytes, count: int, blocks_for: float) -> list[Reply] | Failure:
    connection = pool.checkout()
    try:
        return connection.exchange(data, count, blocks_for)
    except (RedisError, OSError, ValueError) as error:
        connection.drop()
        return Failure(error, connection.sent)
    except BaseException:
        connection.drop()
        raise
    finally:
        pool.checkin(connection)


class SyncConnection:
    """One server, reached through the pool that a client has at the time of each call."""

    is_cluster = False
    """Whether keys are spread over several nodes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """Where the server is, with the password masked."""
        return self._pool.url

    @property
    def _pool(self) -> Pool:
        pool = self._client.connection_pool
        return pool if type(pool) is Pool and pool.speaks_resp2 else pool_for_engine(pool)

    def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """Send one command and return its raw reply: bytes, int, None or a list of these.

        `repeatable` says that carrying it out twice does no harm; it is then sent
        again, up to twice, if the reply is lost. `blocks_for` are the seconds that the command
        may block on the server, to be waited for beyond `socket_timeout`. One round trip.

        Raises the server's error (redis.ResponseError); NothingWrittenError if the server
        cannot be reached; OutcomeUnknownError or OutcomeUnknownTimeoutError if the
        connection fails after a command was sent that is not repeatable, else
        redis.ConnectionError or redis.TimeoutError; redis.DataError for an argument
        that is not bytes, str, int or float.
        """
        data = pack((args,))
        reply = exchange(self._pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)[0]
        if isinstance(reply, RedisError):
            return self._after_refusal(reply, data, repeatable=repeatable, blocks_for=blocks_for)
        return reply

    def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """Send commands together, not as a transaction, and return their raw replies in order.

        A server's error takes the place of its command's reply and is not raised.
        Errors of the connection are raised as by `call`. One round trip.
        """
        if not commands:
            return []
        data = pack(commands)

        def send(_: object = None) -> list[Reply]:
            return exchange(self._pool, data, len(commands), repeatable=repeatable)

        replies = send()
        if isinstance(replies[0], BusyLoadingError):
            return carry_out(decisions.until_loaded(replies), send)
        return replies

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary, for what has to visit all of them, such as SCAN."""
        return [self]

    def _after_refusal(
        self, error: RedisError, data: bytes, *, repeatable: bool, blocks_for: float
    ) -> Reply:
        def perform(step: Step) -> list[Reply] | None:
            if isinstance(step, SeekPrimary):
                if isinstance(pool, SentinelPool):
                    pool.seek_primary()
                return None
            return exchange(self._pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)

        pool = self._pool
        has_sentinels = isinstance(pool, SentinelPool)
        return carry_out(decisions.after_refusal(error, has_sentinels=has_sentinels), perform)


class _NodeConnection(SyncConnection):
    """One node of a cluster."""

    def __init__(self, pool: Pool) -> None:
        self._node_pool = pool

    @property
    def _pool(self) -> Pool:
        return self._node_pool


class ClusterConnection(SyncConnection):
    """A cluster. Each command goes to the node of its first key, where its others must be."""

    is_cluster = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.topology = Topology(settings.addresses)
        self._pools: dict[Address, Pool] = {}

    @property
    def url(self) -> str:
        """The URL that names the first nodes, with the password masked."""
        return self._settings.url

    def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """As for one server. Follows the redirections of the cluster."""
        reply = self._call(args, repeatable=repeatable, blocks_for=blocks_for)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """As for one server, in one round trip per node that is concerned."""
        self._refresh()
        replies: list[Reply] = [None] * len(commands)
        for address, indexes in self.topology.by_node(commands).items():
            data = pack([commands[index] for index in indexes])
            try:
                answers = exchange(
                    self.node_pool(address), data, len(indexes), repeatable=repeatable
                )
            except (redis.ConnectionError, redis.TimeoutError):
                self.topology.stale = True
                raise
            for index, answer in zip(indexes, answers, strict=True):
                not_there = isinstance(answer, NOT_CARRIED_OUT)
                replies[index] = (
                    self._call(commands[index], repeatable=repeatable) if not_there else answer
                )
        return replies

    def transaction(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry commands out as one transaction on the node of their keys. Never repeated.

        Raises what the server answers to a command that it cannot queue.
        """
        return carry_out(decisions.transact(self.topology, commands, self.url), self._perform)

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary."""
        self._refresh()
        return [_NodeConnection(self.node_pool(address)) for address in self.topology.primaries]

    def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in list(self._pools.values()):
            pool.disconnect(inuse_connections=False)

    def _call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        deadline = time.monotonic() + policy.PATIENCE
        slot = slot_of(args)
        self._refresh()
        asked = Ask(self.topology.node(slot), pack((args,)), 1, repeatable, blocks_for)
        outcome: Reply | Failure
        try:
            outcome = self._ask(asked)[0]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            outcome = Failure(error)
        if not isinstance(outcome, (Failure, RedisError)):
            return outcome
        decision = decisions.follow(self.topology, slot, asked, outcome, deadline)
        return carry_out(decision, self._perform)

    def _perform(self, step: Step) -> list[Reply] | None:
        if isinstance(step, Ask):
            return self._ask(step)
        self._refresh()
        return None

    def _ask(self, ask: Ask) -> list[Reply]:
        return exchange(
            self.node_pool(ask.address),
            ask.data,
            ask.count,
            repeatable=ask.repeatable,
            blocks_for=ask.blocks_for,
        )

    def node_pool(self, address: Address) -> Pool:
        """The connections to one node."""
        pool = self._pools.get(address)
        if pool is None:
            host, port = address
            options: Options = self._settings.options | {"host": host, "port": port}
            pool = Pool(url=f"{self._settings.url} (node {host}:{port})", **options)
            pool = self._pools.setdefault(address, pool)
        return pool

    def _refresh(self) -> None:
        """Ask the nodes who serves what, if that is not known well. One round trip then."""
        if not self.topology.stale:
            return
        # Bounded: in a forked child the lock may be held by a thread that does not exist there.
        is_locked = self.topology.lock.acquire(timeout=policy.PATIENCE)
        try:
            if self.topology.stale:
                carry_out(decisions.learn_nodes(self.topology, self.url), self._perform)
        finally:
            if is_locked:
                self.topology.lock.release()
