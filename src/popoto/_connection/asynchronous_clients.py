"""redis-py's asyncio client and pipeline under our policy. The twin of `clients`."""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

import redis
import redis.asyncio as redis_asyncio
import redis.asyncio.client
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, WatchError

from popoto._connection import decisions, policy
from popoto._connection.asynchronous import AsyncClusterConnection, AsyncConnection
from popoto._connection.asynchronous_pools import AsyncPool, make_async_pool
from popoto._connection.asynchronous_replicas import AsyncReplicaReads, make_async_replica_reads
from popoto._connection.clients import Client, check_one_slot, interpreted, of_cluster
from popoto._connection.pools import pool_for_engine
from popoto._connection.refusals import with_remedy
from popoto._connection.settings import Address, Settings, accepted_options
from popoto._connection.steps import Steps, carry_out_async
from popoto._connection.sync import ClusterConnection

__all__ = ["AsyncClient", "AsyncPipeline", "make_async_client"]

T = TypeVar("T")


class AsyncClient(redis_asyncio.Redis):
    """A redis-py asyncio client that repeats reads only. It belongs to the loop that made it.

    `raw` sends commands past redis-py's response callbacks.
    """

    raw: AsyncConnection
    source: redis.ConnectionPool
    """The sync pool whose settings it follows."""

    settings: Settings | None = None
    """Those of the sync client that it follows, where they are known."""

    _cluster_client: RedisCluster | None = None
    _replica_reads: AsyncReplicaReads | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command, and again if it is a read whose reply was lost."""
        cluster = self._cluster()
        send: Callable[..., Awaitable[Any]] = (
            redis_asyncio.Redis.execute_command if cluster is None else AsyncClient._ask_cluster
        )
        return await under_policy(
            partial(send, self, *args, **options), self.raw.url, repeatable=policy.is_read(args)
        )

    def pipeline(
        self, transaction: bool = True, shard_hint: str | None = None
    ) -> redis.asyncio.client.Pipeline:
        """A pipeline as redis-py's. It is repeated only if it holds nothing but reads."""
        arguments = (self.connection_pool, self.response_callbacks, transaction, shard_hint)
        if isinstance(self.raw, AsyncClusterConnection):
            return AsyncClusterPipeline(self.raw, *arguments)
        return AsyncPipeline(self.raw, *arguments)

    def scan_iter(self, *args: Any, **kwargs: Any) -> Any:
        """The keys of the database; on a cluster, of all its nodes."""
        cluster = self._cluster()
        if cluster is not None:
            return cluster.scan_iter(*args, **kwargs)
        return redis_asyncio.Redis.scan_iter(self, *args, **kwargs)

    def client(self) -> AsyncClient:
        """A client that keeps one connection for itself, as redis-py's."""
        made = cast(AsyncClient, super().client())
        made.raw = self.raw
        made.source = self.source
        return made

    def replica_reads(self) -> AsyncReplicaReads:
        """How its replicas are read. As of the sync client."""
        if self._replica_reads is None:
            self._replica_reads = make_async_replica_reads(self.raw, self.settings)
        return self._replica_reads

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection, of a pool of ours whatever is said. It may be used again."""
        await super().aclose(close_connection_pool)
        await self.raw.close()
        if self._replica_reads is not None:
            await self._replica_reads.close()
        await self.close_cluster_client()

    async def close_cluster_client(self) -> None:
        """Close redis-py's own client of the cluster, if direct use has made one."""
        if self._cluster_client is not None:
            cluster, self._cluster_client = self._cluster_client, None
            await cluster.aclose()

    def retire(self) -> None:
        """Close what is idle, and each other connection when its command is done."""
        of_replicas = self._replica_reads.pools() if self._replica_reads is not None else ()
        for pool in (self.connection_pool, *self.raw.pools(), *of_replicas):
            if isinstance(pool, AsyncPool):
                pool.retire()

    async def _ask_cluster(self, *args: Any, **options: Any) -> Any:
        cluster = cast(RedisCluster, self._cluster())
        try:
            return await cluster.execute_command(*args, **options)
        except (RedisClusterException, RedisError) as error:
            failure = of_cluster(
                error, self.raw.url, cast(AsyncClusterConnection, self.raw).options
            )
            if failure is error:
                raise
        raise failure

    def _cluster(self) -> RedisCluster | None:
        if self._cluster_client is None and isinstance(self.raw, AsyncClusterConnection):
            self._cluster_client = RedisCluster(
                startup_nodes=[ClusterNode(*address) for address in self.raw.seeds],
                retry=Retry(NoBackoff(), 0),
                **self.raw.options,
            )
        return self._cluster_client


class AsyncPipeline(redis.asyncio.client.Pipeline):
    """redis-py's asyncio pipeline under our policy."""

    def __init__(self, raw: AsyncConnection, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.raw = raw

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands. Raises OutcomeUnknownError if the connection fails after that."""
        commands = list(self.command_stack)
        repeatable = not self.watching and all(policy.is_read(args) for args, _ in commands)

        def send() -> Awaitable[list[Any]]:
            self.command_stack = list(commands)
            return redis.asyncio.client.Pipeline.execute(self, raise_on_error)

        try:
            return await under_policy(send, self.raw.url, repeatable=repeatable)
        except WatchError as error:
            raise policy.broken_watch(error, self.raw.url) from error

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, while watching keys."""
        try:
            return await redis.asyncio.client.Pipeline.immediate_execute_command(
                self, *args, **options
            )
        except WatchError as error:
            if policy.is_read(args):
                raise
            raise policy.broken_watch(error, self.raw.url) from error


class AsyncClusterPipeline(AsyncPipeline):
    """A pipeline for a cluster. A transaction must keep to one hash slot."""

    def __init__(self, cluster: AsyncClusterConnection, *arguments: Any) -> None:
        super().__init__(cluster, *arguments)
        self.nodes = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands to the nodes of their keys."""
        commands = list(self.command_stack)
        await self.reset()
        if not commands:
            return []
        requests = [args for args, _ in commands]
        if self.is_transaction:
            check_one_slot(requests)
            replies = await self.nodes.transaction(requests)
        else:
            replies = await self.nodes.call_many(
                requests, repeatable=all(map(policy.is_read, requests))
            )
        if raise_on_error:
            self.raise_first_error(commands, replies)
        return interpreted(replies, commands, self.response_callbacks)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Refused: there is no WATCH over the nodes of a cluster."""
        raise RedisClusterException("WATCH is not available on a cluster. Use a script.")


async def under_policy(send: Callable[[], Awaitable[T]], url: str, *, repeatable: bool) -> T:
    """Await `send`, again after failures as far as the policy allows."""
    try:
        return await send()
    except redis.ResponseError as error:
        raise with_remedy(error) from error.__cause__
    except (redis.ConnectionError, redis.TimeoutError) as error:
        failure = error
    decision: Steps[T] = decisions.after_client_error(failure, url, repeatable=repeatable)
    return await carry_out_async(decision, lambda _: send())


def make_async_client(client: Client) -> AsyncClient:
    """A client for the running loop that leads where a sync client leads. Opens no connection."""
    source = client.connection_pool
    url = client.raw.url
    pool = make_async_pool(source, url)
    made = AsyncClient(connection_pool=pool)
    made.source = source
    made.settings = client.settings_of_pool()
    if isinstance(client.raw, ClusterConnection):
        cluster = client.raw

        def node_pool(address: Address) -> AsyncPool:
            return make_async_pool(
                cluster.node_pool(address), f"{url} (node {address[0]}:{address[1]})"
            )

        options = {
            name: value
            for name, value in (client.cluster_options or {}).items()
            if name in accepted_options(RedisCluster)
        }
        made.raw = AsyncClusterConnection(url, cluster.topology, node_pool, options, cluster.wait)
        return made
    engine = pool_for_engine(source)
    own = pool if engine is source else make_async_pool(engine, url)
    made.raw = AsyncConnection(own, client.raw.wait)
    return made
