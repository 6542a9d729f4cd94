"""Sending commands and reading raw replies, for threads."""

# redis-py leaves many of its methods without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

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
from popoto._connection.pools import Pool, SentinelPool, pool_for_engine
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options, Settings
from popoto.exceptions import NothingWrittenError

__all__ = [
    "ASKING",
    "CLUSTER_SLOTS",
    "MOST_REDIRECTIONS",
    "NOT_CARRIED_OUT",
    "ClusterConnection",
    "SyncConnection",
    "exchange",
]

ASKING: Final = pack([("ASKING",)])
CLUSTER_SLOTS: Final = pack([("CLUSTER", "SLOTS")])
MOST_REDIRECTIONS: Final = 16
NOT_CARRIED_OUT: Final = (AskError, TryAgainError, ClusterDownError, BusyLoadingError)
"""Answers of a node that is not the one, or not yet the one, to carry a command out."""


def exchange(
    pool: Pool, data: bytes, count: int, *, repeatable: bool, blocks_for: float = 0.0
) -> list[Reply]:
    """Send packed commands on a pooled connection and read `count` replies.

    The hot path. Errors of the server are among the replies; errors of the
    connection are raised, after as many repetitions as the policy allows.
    """
    attempts: policy.Attempts | None = None
    while True:
        connection = pool.checkout()
        try:
            return connection.exchange(data, count, blocks_for)
        except (RedisError, OSError, ValueError) as error:
            connection.disconnect()
            if attempts is None:
                attempts = policy.Attempts(pool.url, repeatable=repeatable)
            # The server runs a command once it has all of its bytes. If the system would not
            # even take them, a single command cannot have been run.
            attempts.failed(error, sent=connection.sent or count > 1)
        except BaseException:
            connection.disconnect()
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
        reply = exchange(
            self._pool, pack((args,)), 1, repeatable=repeatable, blocks_for=blocks_for
        )[0]
        if isinstance(reply, RedisError):
            return self._after_error(reply, args, repeatable=repeatable)
        return reply

    def call_many(self, commands: Sequence[Command], *, repeatable: bool) -> list[Reply]:
        """Send commands together, not as a transaction, and return their raw replies in order.

        A server's error takes the place of its command's reply and is not raised.
        Errors of the connection are raised as by `call`. One round trip.
        """
        if not commands:
            return []
        data = pack(commands)
        deadline = 0.0
        attempt = 0
        while True:
            replies = exchange(self._pool, data, len(commands), repeatable=repeatable)
            if not all(isinstance(reply, BusyLoadingError) for reply in replies):
                return replies
            deadline = deadline or time.monotonic() + policy.PATIENCE
            pause = policy.waiting_pause(attempt, deadline)
            if pause is None:
                return replies
            attempt += 1
            time.sleep(pause)

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary, for what has to visit all of them, such as SCAN."""
        return [self]

    def _after_error(self, error: RedisError, args: Command, *, repeatable: bool) -> Reply:
        """Wait for a server that is loading; look for the new primary; or raise."""
        deadline = time.monotonic() + policy.PATIENCE
        attempt = 0
        while True:
            pause = policy.waiting_pause(attempt, deadline)
            pool = self._pool
            demoted = isinstance(error, ReadOnlyError) and isinstance(pool, SentinelPool)
            if pause is None or not (demoted or isinstance(error, BusyLoadingError)):
                raise error
            if demoted:
                pool.disconnect(inuse_connections=False)
            attempt += 1
            time.sleep(pause)
            reply = exchange(pool, pack((args,)), 1, repeatable=repeatable)[0]
            if not isinstance(reply, RedisError):
                return reply
            error = reply


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
        groups: dict[Address, list[int]] = {}
        for index, command in enumerate(commands):
            groups.setdefault(self.topology.node(slot_of(command)), []).append(index)
        replies: list[Reply] = [None] * len(commands)
        for address, indexes in groups.items():
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
        slot = next((slot for slot in map(slot_of, commands) if slot is not None), None)
        data = pack([("MULTI",), *commands, ("EXEC",)])
        for attempt in range(MOST_REDIRECTIONS):
            if attempt == 0:
                self._refresh()
            address = self.topology.node(slot)
            answers = exchange(self.node_pool(address), data, len(commands) + 2, repeatable=False)
            if self.topology.moved_transaction(answers, address):
                continue
            return transaction_replies(answers)
        raise redis.ConnectionError(
            f"The cluster at {self.url} redirected a transaction without end."
        )

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary."""
        self._refresh()
        return [_NodeConnection(self.node_pool(address)) for address in self.topology.primaries]

    def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in list(self._pools.values()):
            pool.disconnect(inuse_connections=False)

    def _call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        slot = slot_of(args)
        data = pack((args,))
        deadline = time.monotonic() + policy.PATIENCE
        asked: Address | None = None
        reply: Reply = None
        for attempt in range(MOST_REDIRECTIONS):
            # After a redirection the node that gave it knows best.
            if not isinstance(reply, AskError):
                self._refresh()
            address = asked or self.topology.node(slot)
            pool = self.node_pool(address)
            try:
                if asked:
                    reply = exchange(pool, ASKING + data, 2, repeatable=repeatable)[1]
                else:
                    reply = exchange(pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)[0]
            except NothingWrittenError:
                # The node may be gone and another one have its slots.
                self.topology.stale = True
                asked = reply = None
                pause = policy.waiting_pause(attempt, deadline)
                if pause is None or attempt >= policy.REPEATS:
                    raise
                time.sleep(pause)
                continue
            except (redis.ConnectionError, redis.TimeoutError):
                self.topology.stale = True
                raise
            asked = None
            if isinstance(reply, AskError):
                target = self.topology.redirected(reply, address)
                asked = None if isinstance(reply, MovedError) else target
            elif isinstance(reply, (TryAgainError, ClusterDownError, BusyLoadingError)):
                self.topology.stale = self.topology.stale or isinstance(reply, ClusterDownError)
                pause = policy.waiting_pause(attempt, deadline)
                if pause is None:
                    return reply
                time.sleep(pause)
            else:
                return reply
        return reply

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
                self._ask_who_serves_what()
        finally:
            if is_locked:
                self.topology.lock.release()

    def _ask_who_serves_what(self) -> None:
        failure: Exception | None = None
        for address in self.topology.candidates():
            try:
                answer = exchange(self.node_pool(address), CLUSTER_SLOTS, 1, repeatable=True)[0]
                self.topology.learn(answer, address)
                if self.topology.primaries:
                    return
            except (redis.RedisError, OSError) as error:
                failure = error
        if not self.topology.primaries:
            failure = failure or redis.ConnectionError("no node serves slots")
            raise policy.connect_failure(failure, self.url)


def transaction_replies(answers: list[Reply]) -> list[Reply]:
    """The replies among the answers to MULTI, the commands and EXEC. Raises the first refusal."""
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    replies = answers[-1]
    if not isinstance(replies, list):
        raise redis.RedisError("Unexpected answer to EXEC.")
    return replies
