"""redis-py's client and pipeline under our policy, for direct use.

redis-py's own default client repeats every command after a lost reply, an INCR as
well as a GET. These repeat reads only.
"""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import redis
import redis.client
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException, RedisError, WatchError
from redis.retry import Retry

from popoto._connection import decisions, policy
from popoto._connection.hiding import passwords, without_secrets
from popoto._connection.pools import Pool, make_pool
from popoto._connection.refusals import with_remedy
from popoto._connection.replicas import ReplicaReads, make_replica_reads
from popoto._connection.resp import Command, Reply
from popoto._connection.routing import slot_of
from popoto._connection.settings import Address, Options, Settings, pool_arguments
from popoto._connection.steps import Steps, carry_out
from popoto._connection.sync import ClusterConnection, SyncConnection
from popoto._connection.urls import describe
from popoto._connection.waiting import Wait

__all__ = ["Client", "Pipeline", "make_client"]

T = TypeVar("T")

Queued: TypeAlias = tuple[Sequence[Any], Mapping[str, Any]]
"""A command in a pipeline of redis-py, and the options of its response callback."""


class Client(redis.Redis):
    """A redis-py client that repeats reads only, and says what it knows after a failure.

    `raw` sends commands past redis-py's response callbacks.
    """

    raw: SyncConnection
    settings: Settings | None = None
    """What it was made from; None on a pool that was made elsewhere."""

    override: Callable[[], Client | None] | None = None
    """For the global client: finds the one to use instead in this context."""

    target: object = None
    """For `targets`, which knows what it keeps here."""

    cluster_options: Options | None = None
    """What redis-py's own cluster client takes; None if this is no cluster."""

    _cluster_client: RedisCluster | None = None
    _replica_reads: tuple[SyncConnection, object, ReplicaReads] | None = None

    def _current(self) -> Client:
        return (self.override() if self.override is not None else None) or self

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command, and again if it is a read whose reply was lost."""
        current = self._current()
        send: Callable[..., Any] = (
            redis.Redis.execute_command if current.cluster_options is None else Client._ask_cluster
        )
        return under_policy(
            partial(send, current, *args, **options),
            current.raw.url,
            repeatable=policy.is_read(args),
        )

    def pipeline(
        self, transaction: bool = True, shard_hint: str | None = None
    ) -> redis.client.Pipeline:
        """A pipeline as redis-py's. It is repeated only if it holds nothing but reads."""
        current = self._current()
        arguments = (current.connection_pool, current.response_callbacks, transaction, shard_hint)
        if isinstance(current.raw, ClusterConnection):
            return ClusterPipeline(current.raw, *arguments)
        return Pipeline(current.raw, *arguments)

    def pubsub(self, **kwargs: Any) -> redis.client.PubSub:
        """redis-py's subscriber, on a connection of its own."""
        current = self._current()
        if current.cluster_options is not None:
            subscriber: redis.client.PubSub = current._cluster().pubsub(**kwargs)
            return subscriber
        own: redis.client.PubSub = redis.Redis.pubsub(current, **kwargs)
        return own

    def scan_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The keys of the database; on a cluster, of all its nodes."""
        current = self._current()
        if current.cluster_options is not None:
            return current._cluster().scan_iter(*args, **kwargs)
        return redis.Redis.scan_iter(current, *args, **kwargs)

    def client(self) -> Client:
        """A client that keeps one connection for itself, as redis-py's."""
        current = self._current()
        made = cast("Client", redis.Redis.client(current))
        made.raw = current.raw
        return made

    def replica_reads(self) -> ReplicaReads:
        """How its replicas are read. Opens nothing. Raises ConfigurationError without any."""
        found, pool = self._replica_reads, self.connection_pool
        if found is None or found[0] is not self.raw or found[1] is not pool:
            made = make_replica_reads(self.raw, self.settings_of_pool())
            self._replica_reads = found = (self.raw, pool, made)
        return found[2]

    def settings_of_pool(self) -> Settings | None:
        """What its pool was made from. None for one that was put in the place of ours."""
        pool, settings = self.connection_pool, self.settings
        is_ours = isinstance(pool, Pool) and settings is not None and pool.url == settings.url
        return settings if is_ours else None

    def current_settings(self) -> Settings:
        """What leads to where this client leads now, its pool exchanged or not."""
        pool = self.connection_pool
        if self.settings is not None and isinstance(pool, Pool):
            return self.settings
        options = pool_arguments(pool)
        return Settings("single", describe(options), options, wait=self.raw.wait)

    def become(self, other: Client) -> None:
        """Lead where another client leads, from the next command on.

        Attributes that a test has patched on this object stay patched.
        """
        before = self.connection_pool
        self.__dict__.update(
            {
                name: value
                for name, value in vars(other).items()
                if name not in ("raw", "override", "target")
            }
        )
        self._cluster_client = self._replica_reads = None
        self.cluster_options = other.cluster_options
        self.settings = other.settings
        self.raw = other.raw if other.raw.is_cluster else SyncConnection(self, other.raw.wait)
        other.auto_close_connection_pool = False
        if before is not self.connection_pool:
            # Those in use close when they come back to a pool that nobody holds.
            before.disconnect(inuse_connections=False)

    def _ask_cluster(self, *args: Any, **options: Any) -> Any:
        try:
            return self._cluster().execute_command(*args, **options)
        except (RedisClusterException, RedisError) as error:
            failure = of_cluster(error, self.raw.url, self.cluster_options or {})
            if failure is error:
                raise
        raise failure

    def _cluster(self) -> RedisCluster:
        """redis-py's cluster client. Made at the first use, since making it connects."""
        if self._cluster_client is None:
            self._cluster_client = RedisCluster(
                startup_nodes=[ClusterNode(*address) for address in self._seeds()],
                retry=Retry(NoBackoff(), 0),
                **self.cluster_options or {},
            )
        return self._cluster_client

    def _seeds(self) -> tuple[Address, ...]:
        return self.raw.topology.seeds if isinstance(self.raw, ClusterConnection) else ()


class Pipeline(redis.client.Pipeline):
    """redis-py's pipeline under our policy."""

    command_stack: list[Queued]

    def __init__(self, raw: SyncConnection, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.raw = raw

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands. Raises OutcomeUnknownError if the connection fails after that."""
        commands = list(self.command_stack)
        repeatable = not self.watching and all(policy.is_read(args) for args, _ in commands)

        def send() -> list[Any]:
            self.command_stack = list(commands)
            return redis.client.Pipeline.execute(self, raise_on_error)

        try:
            return under_policy(send, self.raw.url, repeatable=repeatable)
        except WatchError as error:
            raise policy.broken_watch(error, self.raw.url) from error

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, while watching keys."""
        try:
            return redis.client.Pipeline.immediate_execute_command(self, *args, **options)
        except WatchError as error:
            if policy.is_read(args):
                raise
            raise policy.broken_watch(error, self.raw.url) from error


class ClusterPipeline(Pipeline):
    """A pipeline for a cluster. A transaction must keep to one hash slot.

    redis-py's own sends commands again, one by one, whose reply was lost.
    """

    def __init__(self, cluster: ClusterConnection, *arguments: Any) -> None:
        super().__init__(cluster, *arguments)
        self.nodes = cluster
        self.is_transaction = bool(vars(self)["transaction"])

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands to the nodes of their keys."""
        commands = list(self.command_stack)
        self.reset()
        if not commands:
            return []
        requests = [args for args, _ in commands]
        if self.is_transaction:
            check_one_slot(requests)
            replies = self.nodes.transaction(requests)
        else:
            replies = self.nodes.call_many(requests, repeatable=all(map(policy.is_read, requests)))
        if raise_on_error:
            self.raise_first_error(commands, replies)
        callbacks = cast("Mapping[Any, Callable[..., Any]]", self.response_callbacks)
        return interpreted(replies, commands, callbacks)

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Refused: there is no WATCH over the nodes of a cluster."""
        raise RedisClusterException("WATCH is not available on a cluster. Use a script.")


def interpreted(
    replies: list[Reply],
    commands: Sequence[Queued],
    callbacks: Mapping[Any, Callable[..., Any]],
) -> list[Any]:
    """Replies as redis-py's response callbacks make them; errors as they are."""
    results: list[Any] = []
    for reply, (args, options) in zip(replies, commands, strict=True):
        callback = callbacks.get(args[0]) if not isinstance(reply, RedisError) else None
        if callback is None:
            results.append(reply)
        else:
            # "keys" is for redis-py's client-side cache alone.
            results.append(
                callback(reply, **{name: options[name] for name in options if name != "keys"})
            )
    return results


def check_one_slot(commands: Sequence[Command]) -> None:
    """Raise RedisClusterException if the commands of a transaction belong to several slots."""
    slots = {slot_of(command) for command in commands} - {None}
    if len(slots) > 1:
        raise RedisClusterException(
            "All keys of a transaction on a cluster must be in one hash slot."
        )


def of_cluster(error: Exception, url: str, options: Mapping[str, object]) -> Exception:
    """What an error of redis-py's cluster client is; the error itself where it is just that.

    After a lost reply it asks who serves what; where nobody tells, the loss is but the context.
    """
    failure = error
    if isinstance(error, RedisClusterException) and "cannot be connected" in str(error):
        lost = error.__context__
        if isinstance(lost, (redis.ConnectionError, redis.TimeoutError)):
            failure = lost
            failure.__cause__ = None
        else:
            failure = policy.connect_failure(error, url)
            failure.__cause__ = error
    return without_secrets(failure, passwords(options))


def under_policy(send: Callable[[], T], url: str, *, repeatable: bool) -> T:
    """Call `send`, again after failures as far as the policy allows."""
    try:
        return send()
    except redis.ResponseError as error:
        raise with_remedy(error) from error.__cause__
    except (redis.ConnectionError, redis.TimeoutError) as error:
        failure = error
    decision: Steps[T] = decisions.after_client_error(failure, url, repeatable=repeatable)
    return carry_out(decision, lambda _: send())


def make_client(settings: Settings) -> Client:
    """A client for a server, sentinel group or cluster. Opens no connection."""
    if settings.kind != "cluster":
        client = client_of_pool(make_pool(settings), settings.wait)
        client.settings = settings
        return client
    # The pool only describes the first node; commands go through redis-py's cluster client.
    host, port = settings.addresses[0]
    options: Options = settings.options | {"host": host, "port": port}
    client = Client(connection_pool=Pool(url=settings.url, **options))
    client.raw = ClusterConnection(settings)
    client.settings = settings
    secure = "SSL" in getattr(options.get("connection_class"), "__name__", "")
    not_options = ("host", "port", "timeout", "connection_class")
    client.cluster_options = {
        name: value for name, value in options.items() if name not in not_options
    } | {"ssl": secure}
    return client


def client_of_pool(pool: redis.ConnectionPool, wait: Wait | None = None) -> Client:
    """A client on a pool made elsewhere."""
    client = Client(connection_pool=pool)
    client.raw = SyncConnection(client, wait)
    return client
