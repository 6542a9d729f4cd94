"""Reads of replicas, for threads; and which replica is asked, and when none, for both sides.

A replica is known from the sentinels, from the cluster, or because it was configured. What none
can answer now (it is gone, loads, or has lost its primary and says so), the primary is asked.
"""

# redis-py leaves these methods of its own without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    RedisError,
    TryAgainError,
)
from redis.sentinel import Sentinel

from popoto._connection.pools import Pool, make_pool
from popoto._connection.refusals import refused
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.settings import Address, Options, Settings, from_url, with_database
from popoto._connection.sync import ClusterConnection, SyncConnection, exchange
from popoto._connection.waiting import Wait
from popoto.exceptions import ConfigurationError

__all__ = [
    "CONFIGURED",
    "NOT_NOW",
    "READONLY",
    "Known",
    "ReplicaReads",
    "Turns",
    "make_replica_reads",
    "node_options",
    "reads_replicas",
    "replica_reads",
    "settings_of_replica",
    "told_replicas",
    "url_of_replica",
    "with_replica",
]

logger = logging.getLogger("POPOTO-REDIS_DB")

NOT_NOW: Final = (
    AskError,  # of which MovedError is one
    BusyLoadingError,
    ClusterDownError,  # and a replica that has lost its primary
    TryAgainError,
)
"""Answers of a replica that cannot say it now."""

READONLY: Final = pack([("READONLY",)])
"""Goes before what a replica of a cluster is asked: else it sends its clients to the primary."""

#: Seconds for which a replica that failed is left alone: so many, and more each time.
_FIRST_REST: Final = 2.0
_LONGEST_REST: Final = 60.0
#: Seconds for which the list of replicas that a sentinel gave is good.
_FRESH: Final = 2.0

CONFIGURED: Final[Address] = ("", 0)
"""In place of an address, where one replica was configured."""


_reads_replicas: ContextVar[bool] = ContextVar("popoto_reads_replicas", default=False)


@contextmanager
def replica_reads() -> Generator[None]:
    """Inside the `with` block replicas are asked whatever writes nothing, in this thread or task.

    What queries would put right in passing stays then: they write nothing at all.
    """
    token = _reads_replicas.set(True)
    try:
        yield
    finally:
        _reads_replicas.reset(token)


def reads_replicas() -> bool:
    """Whether what is under way asks replicas, and so must not write."""
    return _reads_replicas.get()


# What is asked for -----------------------------------------------------------------------------


def with_replica(settings: Settings, url: str | None) -> Settings:
    """The same server, with its replica. Raises ConfigurationError."""
    if not url:
        return settings
    if settings.kind in ("cluster", "sentinel"):
        raise ConfigurationError(
            f"{settings.url}: a cluster and sentinels tell their replicas; leave replica_url "
            "(REDIS_REPLICA_URL) out."
        )
    try:
        found = from_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"replica_url (REDIS_REPLICA_URL): {error}") from None
    if found.kind != "single":
        raise ConfigurationError(
            "replica_url (REDIS_REPLICA_URL) names one server: redis://, rediss:// or unix://."
        )
    database = settings.options.get("db", 0)
    if found.options["db"] not in (0, database):
        raise ConfigurationError(
            f"{found.url}: a replica is read in the database of {settings.url}, leave it out."
        )
    return replace(settings, replica=found)


def settings_of_replica(settings: Settings | None, url: str) -> Settings:
    """The replica that was configured. Raises ConfigurationError where there is none."""
    if settings is None or settings.replica is None:
        raise ConfigurationError(
            f"using(replica=True): no replica of {url} is known. Set REDIS_REPLICA_URL beside "
            "REDIS_URL, or give replica_url to set_REDIS_DB_settings(); sentinels "
            "(redis+sentinel://) and clusters (redis+cluster://) tell theirs themselves."
        )
    return with_database(settings.replica, settings.options.get("db", 0))


def node_options(settings: Settings, address: Address) -> Options:
    """What leads to one server of a sentinel group."""
    return settings.options | {"host": address[0], "port": address[1]}


def url_of_replica(settings: Settings, address: Address) -> str:
    """How messages call it."""
    return f"{settings.url} (replica {address[0]}:{address[1]})"


# Which one is asked ----------------------------------------------------------------------------


class Turns:
    """Replicas are asked by turns; one that failed is left alone for a while. No I/O."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = 0
        self._failures: dict[Address, int] = {}
        self._rests_until: dict[Address, float] = {}

    def choose(self, addresses: Sequence[Address]) -> Address | None:
        """The next one; None if all are left alone, or there is none."""
        now = self._clock()
        ready = [each for each in addresses if self._rests_until.get(each, 0.0) <= now]
        self._turn += 1
        return ready[self._turn % len(ready)] if ready else None

    def failed(self, address: Address, url: str, error: object) -> None:
        """It did not answer."""
        failures = self._failures[address] = self._failures.get(address, 0) + 1
        rest = min(_FIRST_REST * 2 ** (failures - 1), _LONGEST_REST)
        self._rests_until[address] = self._clock() + rest
        logger.warning(
            "The replica at %s cannot be read: %s. The primary is, for %g s.", url, error, rest
        )

    def judged(self, replies: list[Reply], address: Address, url: str) -> list[Reply] | None:
        """The replies, unless one of them is that it cannot be said now."""
        refusal = next((each for each in replies if isinstance(each, NOT_NOW)), None)
        if refusal is None:
            self._failures.pop(address, None)
            return replies
        self.failed(address, url, refusal)
        return None


class Known:
    """The replicas that a sentinel has named, as long as its word is fresh. No I/O."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self.addresses: tuple[Address, ...] = ()

    def is_due(self) -> bool:
        """Whether a sentinel is to be asked."""
        return self._clock() >= self._until

    def take(self, addresses: Iterable[Address]) -> None:
        """Take in what one said; nothing, where none has answered."""
        self.addresses = tuple(addresses)
        self._until = self._clock() + _FRESH


def told_replicas(states: Iterable[Mapping[str, Any]]) -> list[Address]:
    """Those of which a sentinel says that they are there and hear from their primary."""
    return [
        (str(state["ip"]), int(state["port"]))
        for state in states
        if not (state.get("is_sdown") or state.get("is_odown") or state.get("is_disconnected"))
        and state.get("master-link-status", "ok") == "ok"
    ]


# Asking, for threads ---------------------------------------------------------------------------


class ReplicaReads(SyncConnection):
    """Reads only. What no replica answers now, the primary does."""

    def __init__(
        self,
        primary: SyncConnection,
        find: Callable[[Sequence[Command]], Sequence[Address]],
        pool_of: Callable[[Address], Pool],
    ) -> None:
        self.primary = primary
        self.is_cluster = primary.is_cluster
        self._find = find
        self._pool_of = pool_of
        self._turns = Turns()

    @property
    def url(self) -> str:
        """Where the primary is, with the password masked."""
        return self.primary.url

    def call(self, args: Command, *, repeatable: bool, blocks_for: float = 0.0) -> Reply:
        """The reply to one read. Raises as any connection."""
        replies = self._read((args,))
        if replies is None:
            return self.primary.call(args, repeatable=repeatable, blocks_for=blocks_for)
        if isinstance(replies[0], RedisError):
            raise refused(replies[0], repeatable=True)
        return replies[0]

    def call_many(
        self, commands: Sequence[Command], *, repeatable: bool, wait: Wait | None = None
    ) -> list[Reply]:
        """The replies to reads of one shard, from one server."""
        replies = self._read(commands) if commands else []
        if replies is None:
            return self.primary.call_many(commands, repeatable=repeatable, wait=wait)
        return replies

    def _read(self, commands: Sequence[Command]) -> list[Reply] | None:
        """What a replica answers; None if none does now."""
        address = self._turns.choose(self._find(commands))
        if address is None:
            return None
        head = READONLY if self.is_cluster else b""
        pool = self._pool_of(address)
        try:
            replies = exchange(
                pool, head + pack(commands), len(commands) + bool(head), repeatable=True
            )
        except AuthenticationError:
            raise
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._turns.failed(address, pool.url, error)
            return None
        return self._turns.judged(replies[bool(head) :], address, pool.url)


def make_replica_reads(primary: SyncConnection, settings: Settings | None) -> ReplicaReads:
    """Reads of the replicas of a primary. Opens nothing. Raises ConfigurationError."""
    if isinstance(primary, ClusterConnection):
        return ReplicaReads(primary, primary.replicas_for, primary.node_pool)
    if settings is not None and settings.kind == "sentinel":
        return _of_sentinels(primary, settings)
    pool = make_pool(settings_of_replica(settings, primary.url))
    return ReplicaReads(primary, lambda _: (CONFIGURED,), lambda _: pool)


def _of_sentinels(primary: SyncConnection, settings: Settings) -> ReplicaReads:
    known, pools = Known(), dict[Address, Pool]()
    manager = Sentinel(list(settings.addresses), sentinel_kwargs=dict(settings.sentinel_options))

    def find(_: Sequence[Command]) -> Sequence[Address]:
        if known.is_due():
            known.take(_told_by(manager, settings.service))
        return known.addresses

    def pool_of(address: Address) -> Pool:
        pool = pools.get(address)
        if pool is None:
            options = node_options(settings, address)
            made = Pool(url=url_of_replica(settings, address), **options)
            pool = pools.setdefault(address, made)
        return pool

    return ReplicaReads(primary, find, pool_of)


def _told_by(manager: Sentinel, service: str) -> list[Address]:
    sentinels: list[redis.Redis] = manager.sentinels
    for sentinel in sentinels:
        try:
            found = told_replicas(sentinel.sentinel_slaves(service))
        except RedisError:
            continue
        if found:
            return found
    return []
