"""Sending commands and reading raw replies, for threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis
from redis.exceptions import BusyLoadingError, RedisError

from popoto._connection import decisions, policy, redirections
from popoto._connection.decisions import Failure
from popoto._connection.pools import Pool, SentinelPool, pool_for_engine
from popoto._connection.refusals import refused
from popoto._connection.resending import resend
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address, Options, Settings
from popoto._connection.steps import Ask, Send, Step, carry_out, waiting
from popoto._connection.waiting import Wait, fewest

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

    wait: Wait | None = None
    """For how many replicas writes wait, unless the model or the writer says otherwise."""

    def __init__(self, client: redis.Redis, wait: Wait | None = None) -> None:
        self._client = client
        self.wait = wait

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
        again, up to twice, if the connection is lost. `blocks_for` are the seconds that the command
        may block on the server, to be waited for beyond `socket_timeout`. One round trip.

        Raises the server's error (redis.ResponseError), which is a NothingWrittenError too if
        the server takes no writes; NothingWrittenError if the server
        cannot be reached; OutcomeUnknownError or OutcomeUnknownTimeoutError if the
        connection fails after a command was sent that is not repeatable, else
        redis.ConnectionError or redis.TimeoutError; redis.DataError for an argument
        that is not bytes, str, int or float.
        """
        data = pack((args,))
        reply = exchange(self._pool, data, 1, repeatable=repeatable, blocks_for=blocks_for)[0]
        if isinstance(reply, RedisError):
            decision = decisions.after_refusal(
                reply,
                has_sentinels=isinstance(self._pool, SentinelPool),
                repeatable=repeatable,
                again=Send(data, 1, repeatable, blocks_for),
            )
            return carry_out(decision, self._perform)
        return reply

    def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """Send commands together, not as a transaction, and return their raw replies in order.

        A server's error takes the place of its command's reply and is not raised.
        Errors of the connection are raised as by `call`. One round trip.

        With `wait`, replicas are waited for, and one more reply says how many have it all.
        """
        if not commands:
            return []
        sent = waiting(Send(pack(commands), len(commands), repeatable), wait)
        replies = self._send(sent)
        if isinstance(replies[0], BusyLoadingError):
            decision = decisions.until_loaded(replies, repeatable=repeatable, again=sent)
            replies = carry_out(decision, self._perform)
        if isinstance(self._pool, SentinelPool):
            again = resend(commands, replies, repeatable=repeatable, wait=wait)
            carry_out(again, self._perform)
        return replies

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary, for what has to visit all of them, such as SCAN."""
        return [self]

    def _perform(self, step: Step) -> list[Reply] | None:
        if isinstance(step, Send):
            return self._send(step)
        pool = self._pool
        if isinstance(pool, SentinelPool):
            pool.seek_primary()
        return None

    def _send(self, sent: Send) -> list[Reply]:
        return exchange(
            self._pool,
            sent.data,
            sent.count,
            repeatable=sent.repeatable,
            blocks_for=sent.blocks_for,
        )


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
        self.wait = settings.wait
        self.topology = Topology(settings.addresses, settings.migration_timeout)
        self._pools: dict[Address, Pool] = {}

    @property
    def url(self) -> str:
        """The URL that names the first nodes, with the password masked."""
        return self._settings.url

    def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """As for one server. Follows the redirections of the cluster."""
        reply = self._call(args, repeatable=repeatable, blocks_for=blocks_for)
        if isinstance(reply, RedisError):
            raise refused(reply, repeatable=repeatable)
        return reply

    def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """As for one server, in one round trip per node that is concerned."""
        self._refresh()
        replies: list[Reply] = [redirections.UNASKED] * len(commands)
        told: list[Reply] = []
        tail = None if wait is None else told
        since = time.monotonic()
        for address, indexes in self.topology.by_node(commands).items():
            data = pack([commands[index] for index in indexes])
            ask = waiting(Ask(address, data, len(indexes), repeatable), wait)
            try:
                answers = self._ask(ask)
                for index, answer in zip(indexes, answers, strict=wait is None):
                    replies[index] = answer
                left = redirections.not_carried_out(replies, indexes)
                if wait is not None and len(left) < len(indexes):
                    told.append(answers[-1])
                for index in left:
                    replies[index] = self._call(
                        commands[index], repeatable=repeatable, wait=wait, told=tail, since=since
                    )
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self.topology.stale = True
                raise redirections.of_several(
                    error, replies=replies, repeatable=repeatable
                ) from error
        return replies if wait is None else [*replies, fewest(told)]

    def transaction(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry commands out as one transaction on the node of their keys. Never repeated.

        Raises what the server answers to a command that it cannot queue.
        """
        return carry_out(redirections.transact(self.topology, commands), self._perform)

    def per_node(self) -> list[SyncConnection]:
        """One connection per primary."""
        self._refresh()
        return [_NodeConnection(self.node_pool(address)) for address in self.topology.primaries]

    def replicas_for(self, commands: Sequence[Command]) -> Sequence[Address]:
        """The replicas that may be asked for this, of one shard."""
        self.topology.look_for_replicas()
        self._refresh()
        return self.topology.replicas(slot_of(commands[0]))

    def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in list(self._pools.values()):
            pool.disconnect(inuse_connections=False)

    def _call(
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
        moved_by = (now if since is None else since) + self.topology.migration_timeout
        slot = slot_of(args)
        self._refresh()
        asked = waiting(
            Ask(self.topology.node(slot), pack((args,)), 1, repeatable, blocks_for), wait
        )

        perform = self._perform if told is None else self._telling(told)
        outcome: Reply | Failure
        try:
            outcome = (perform(asked) or [None])[0]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            outcome = Failure(error)
        if not isinstance(outcome, (Failure, RedisError)):
            return outcome
        decision = redirections.follow(self.topology, slot, asked, outcome, deadline, moved_by)
        return carry_out(decision, perform)

    def _telling(self, told: list[Reply]) -> Callable[[Step], list[Reply] | None]:
        """As `_perform`, where each command is followed by WAIT: its answer goes to `told`."""

        def perform(step: Step) -> list[Reply] | None:
            replies = self._perform(step)
            if replies is not None:
                last = replies.pop()
                if not isinstance(replies[-1], RedisError):
                    told.append(last)
            return replies

        return perform

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
                carry_out(redirections.learn_nodes(self.topology, self.url), self._perform)
        finally:
            if is_locked:
                self.topology.lock.release()
