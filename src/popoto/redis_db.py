"""The connection: the only module that knows how a server is reached.

`POPOTO_REDIS_DB` is the client of the whole process and stays one object, so code that
imported it follows a reconfiguration. Every model looks the connection up for each
operation. Importing this module reads the environment and connects to nothing.

=================== =========================================================================
`REDIS_URL`         redis://, rediss://, unix:///path.sock, redis+cluster://host:port,...,
                    redis+sentinel://host:port,.../service/db, embedded://, embedded:///directory.
                    Unset or empty: 127.0.0.1:6379, database 0. `rediss+cluster` and
                    `rediss+sentinel` use TLS. Query options are those of redis-py, and `timeout`:
                    seconds to wait for a free connection (20). `wait_for_replicas` and
                    `replica_timeout`: see docs/high-availability.md.
`REDIS_REPLICA_URL` a replica of the server of REDIS_URL, for `query.using(replica=True)`; clusters
                    and sentinels tell theirs themselves
`BEGINNING_OF_TIME` a floor for time-series queries, in seconds since 1970 (0)
`POPOTO_LOG_LEVEL`  level of the logger POPOTO-REDIS_DB (WARNING)
=================== =========================================================================

After a lost connection, reads are sent again. A write is not: `OutcomeUnknownError` says that it
may have been carried out, `NothingWrittenError` that it was not.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Final

import redis
import redis.asyncio as redis_asyncio

from popoto._blocks import block
from popoto._connection.asynchronous import AsyncConnection
from popoto._connection.asynchronous_clients import AsyncClient
from popoto._connection.clients import Client, client_of_pool, make_client
from popoto._connection.environment import settings_of
from popoto._connection.option_values import check_first
from popoto._connection.replicas import reads_replicas, replica_reads, with_replica
from popoto._connection.resp import Argument, Command, Reply
from popoto._connection.settings import from_arguments, from_url, with_database
from popoto._connection.sync import SyncConnection
from popoto._connection.targets import Target, is_mock, target_of
from popoto._connection.waiting import DEFAULT_REPLICA_TIMEOUT, Wait, acknowledged, checked_wait
from popoto.exceptions import PopotoException

__all__ = [
    "BEGINNING_OF_TIME",
    "DEFAULT_REPLICA_TIMEOUT",
    "ENCODING",
    "POPOTO_REDIS_DB",
    "REDIS_URL",
    "Argument",
    "AsyncConnection",
    "Command",
    "PopotoException",
    "Reply",
    "SyncConnection",
    "Wait",
    "acknowledged",
    "async_check_connection",
    "async_connection",
    "async_scan_keys",
    "check_connection",
    "checked_wait",
    "connection",
    "get_REDIS_DB",
    "get_async_redis_db",
    "print_redis_info",
    "reads_replicas",
    "replica_reads",
    "scan_keys",
    "set_REDIS_DB_settings",
    "set_async_redis_db_settings",
    "use_database",
    "using",
]

logger = logging.getLogger("POPOTO-REDIS_DB")
#: What is read from the environment, here and where it is needed.
_VARIABLES: Final = (
    "POPOTO_CONTENT_PATH",
    "POPOTO_LOG_LEVEL",
    "POPOTO_SENTRY_DSN",
    "POPOTO_TEST_DB",
)

_CONFIGURED = ("STRICT", "BLOCKING_RELATIONSHIPS")
_WITHOUT_PREFIX = ("REDIS_URL", "REDIS_REPLICA_URL", "BEGINNING_OF_TIME")

ENCODING: Final = "utf-8"
"""How text becomes bytes in keys and values."""


def _log_level_from_environment() -> None:
    name = os.environ.get("POPOTO_LOG_LEVEL", "").strip().upper()
    level = logging.getLevelNamesMapping().get(name or "WARNING")
    logger.setLevel(logging.WARNING if level is None else level)
    if level is None:
        logger.warning("POPOTO_LOG_LEVEL is no level of logging: %r. Using WARNING.", name)


def _tell_of_variables() -> None:
    """Log variables of the environment that look like one of ours."""
    for name in os.environ:
        if not name.startswith("POPOTO_") or name in _VARIABLES:
            continue
        near = difflib.get_close_matches(name, _VARIABLES, n=1, cutoff=0.85)
        if (elsewhere := name.removeprefix("POPOTO_")) in _CONFIGURED + _WITHOUT_PREFIX:
            near = ["popoto.configure(…)" if elsewhere in _CONFIGURED else elsewhere]
        if near:
            logger.warning("popoto does not read %s; did you mean %s?", name, near[0])


def _beginning_of_time() -> int:
    text = os.environ.get("BEGINNING_OF_TIME", "").strip()
    try:
        return int(text or 0)
    except ValueError:
        logger.critical("BEGINNING_OF_TIME is not a whole number of seconds: %r. Using 0.", text)
        return 0


_log_level_from_environment()
_tell_of_variables()

BEGINNING_OF_TIME: Final = _beginning_of_time()
REDIS_URL: Final = os.environ.get("REDIS_URL", "").strip()

_override: ContextVar[Target | None] = ContextVar("popoto_connection", default=None)


def _overriding_client() -> Client | None:
    target = _override.get()
    return target.client if target is not None else None


_settings, environment_problem = settings_of(
    REDIS_URL, os.environ.get("REDIS_REPLICA_URL", "").strip()
)
"""What is wrong with REDIS_URL, for the command `popoto`; elsewhere that was an error."""

_client = make_client(_settings)
_client.override = _overriding_client

POPOTO_REDIS_DB: redis.Redis = _client
"""The client of this process: redis-py's, except that it repeats reads only."""

_POPOTO_ASYNC_REDIS_DB: redis_asyncio.Redis | None = None
# The async client used last. Callers assign None for a new one, or a client of their own.

_async_redis_lock: asyncio.Lock | None = None
# Assigned by existing test suites. Nothing waits for it: making a client does not.

_async_target: Target | None = None
# What the async side uses instead of the sync settings, once it was configured separately.


def __getattr__(name: str) -> redis_asyncio.Redis | None:
    if name == "POPOTO_ASYNC_REDIS_DB":
        return _POPOTO_ASYNC_REDIS_DB
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def connection(*, reads: bool = False) -> SyncConnection:
    """How raw commands reach the current server: the one of `using`, else the global one.

    `reads`: they write nothing, so that within `replica_reads` replicas may answer.
    """
    target = _override.get()
    if target is not None:
        client = target.client
    else:
        found = _client_of_models()
        client = found if isinstance(found, Client) else target_of(found).client
    return client.replica_reads() if reads and reads_replicas() else client.raw


async def async_connection(*, reads: bool = False) -> AsyncConnection:
    """As `connection`, for the running event loop. Opens no connection yet."""
    target = _override.get()
    if target is None:
        found = _async_client()
        if is_mock(found):  # which models look past
            target = _async_target or target_of(_client_of_models())
        elif not isinstance(found, AsyncClient):
            target = target_of(found)
        else:
            return found.replica_reads() if reads and reads_replicas() else found.raw
    client = target.async_client()
    return client.replica_reads() if reads and reads_replicas() else client.raw


def _using(place: str | redis.Redis | redis_asyncio.Redis) -> Generator[None]:
    """Use another server inside the `with` block, in this thread or task and those it starts.

    `place`: a URL or a redis-py client, whose connections are kept. Raises ConfigurationError.
    """
    token = _override.set(target_of(place))
    try:
        yield
    finally:
        _override.reset(token)


using = block(_using, "redis_db.using")


def get_REDIS_DB() -> redis.Redis:  # noqa: N802
    """The current sync client."""
    return _overriding_client() or POPOTO_REDIS_DB


def set_REDIS_DB_settings(  # noqa: N802
    env_partition_name: str = "",
    *args: Any,
    url: str | None = None,
    **kwargs: Any,
) -> None:
    """Use another server from now on, everywhere in the process.

    Takes the arguments of `redis.Redis`, of which those not given have redis-py's defaults
    (localhost:6379, database 0) and not the previous values, with `wait_for_replicas` and
    `replica_timeout`; or `url` instead, in the forms of REDIS_URL. `replica_url` names a replica,
    as REDIS_REPLICA_URL does. `socket_timeout` and `socket_connect_timeout` default to 5 s; None
    means no limit. `retry` and its kin are accepted and not used, since they would repeat
    writes. `env_partition_name` has no effect.

    Opens no connection. Raises TypeError for an unknown argument, ConfigurationError for
    `decode_responses=True` or a bad URL. The async client follows unless it was configured
    by `set_async_redis_db_settings`. Commands under way end on the old server.
    """
    check_first(env_partition_name, args, url, kwargs)
    _client.become(_client_of(args, url, kwargs))


def use_database(number: int) -> None:
    """Move the process to another database of the server that it uses, everything else kept.

    Opens no connection. Raises ConfigurationError on a cluster, which has only database 0.
    """
    _client.become(make_client(with_database(_client.current_settings(), number)))


async def get_async_redis_db() -> redis_asyncio.Redis:
    """The asyncio client of the running loop, made at the first call. Opens no connection.

    Every event loop has its own, since connections cannot move between loops. It is closed
    when the loop shuts down its asynchronous generators, as `asyncio.run` does.
    """
    target = _override.get()
    return target.async_client() if target is not None else _async_client()


async def set_async_redis_db_settings(
    env_partition_name: str = "",
    *args: Any,
    url: str | None = None,
    **kwargs: Any,
) -> None:
    """Give the async side a server of its own, and close the client of the running loop.

    Arguments, defaults and errors as in `set_REDIS_DB_settings`. The async side follows the
    sync settings again after `_POPOTO_ASYNC_REDIS_DB = None`.
    """
    global _POPOTO_ASYNC_REDIS_DB, _async_target  # noqa: PLW0603
    check_first(env_partition_name, args, url, kwargs)
    target = Target(_client_of(args, url, kwargs))
    for known in (_async_target, target_of(_client)):
        before = known.forget() if known is not None else None
        if before is not None:
            await before.aclose()
    _async_target = target
    _POPOTO_ASYNC_REDIS_DB = target.async_client()


def check_connection() -> bool:
    """Whether the server answers PING. Costs one round trip; False after at most the timeouts."""
    try:
        return bool(get_REDIS_DB().ping())  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
    except Exception as error:  # noqa: BLE001  # False, whatever it is
        logger.debug("The server does not answer: %s", error)
        return False


async def async_check_connection() -> bool:
    """As `check_connection`."""
    try:
        client = await get_async_redis_db()
        return bool(await client.ping())  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
    except Exception as error:  # noqa: BLE001  # False, whatever it is
        logger.debug("The server does not answer: %s", error)
        return False


def scan_keys(pattern: str | bytes, count: int = 1000) -> list[bytes]:
    """Every key that matches the glob pattern, once each, in no order.

    Visits the whole keyspace, on a cluster that of every primary: one round trip per
    `count` keys stored.
    """
    found: dict[bytes, None] = {}
    for node in connection().per_node():
        cursor: Argument = b"0"
        while True:
            cursor, keys = _scan_page(
                node.call(("SCAN", cursor, "MATCH", pattern, "COUNT", count), repeatable=True)
            )
            found.update(dict.fromkeys(keys))
            if cursor == b"0":
                break
    return list(found)


async def async_scan_keys(pattern: str | bytes, count: int = 1000) -> list[bytes]:
    """As `scan_keys`."""
    found: dict[bytes, None] = {}
    for node in await (await async_connection()).per_node():
        cursor: Argument = b"0"
        while True:
            reply = await node.call(
                ("SCAN", cursor, "MATCH", pattern, "COUNT", count), repeatable=True
            )
            cursor, keys = _scan_page(reply)
            found.update(dict.fromkeys(keys))
            if cursor == b"0":
                break
    return list(found)


def print_redis_info() -> None:
    """Log what the server says about itself, at level INFO, and how full its memory is."""
    for node in connection().per_node():
        reply = node.call(("INFO",), repeatable=True)
        text = reply.decode("utf-8", errors="replace") if isinstance(reply, bytes) else ""
        lines = [line.partition(":") for line in text.splitlines() if ":" in line]
        information = {name: value for name, _, value in lines}
        logger.info("Redis info of %s: %s", node.url, information)
        limit = int(information.get("maxmemory", 0))
        if limit:
            used = int(information.get("used_memory", 0))
            logger.info(
                "Redis memory of %s: %.1f%% of %d bytes used", node.url, 100 * used / limit, limit
            )


def _scan_page(reply: Reply) -> tuple[bytes, list[bytes]]:
    if (
        isinstance(reply, list)
        and len(reply) == 2
        and isinstance(reply[0], bytes)
        and isinstance(reply[1], list)
    ):
        return reply[0], [key for key in reply[1] if isinstance(key, bytes)]
    raise redis.InvalidResponse("Unexpected answer to SCAN.")


def _client_of(arguments: tuple[Any, ...], url: str | None, options: dict[str, Any]) -> Client:
    replica_url = options.pop("replica_url", None)
    if url is not None:
        if arguments or options:
            raise TypeError("url says everything; pass no other connection argument with it.")
        return make_client(with_replica(from_url(url), replica_url))
    settings = from_arguments(arguments, options)
    pool = options.get("connection_pool")
    if isinstance(pool, redis.ConnectionPool):
        if replica_url is not None:
            raise TypeError("a connection_pool has no replica_url; say where it leads by url=...")
        return client_of_pool(pool, settings.wait)
    return make_client(with_replica(settings, replica_url))


def _client_of_models() -> redis.Redis:
    """What stands at `POPOTO_REDIS_DB`; the client of the process where a test put a mock there.

    A mock takes the place of raw commands. It has no connections that models could use.
    """
    found = POPOTO_REDIS_DB
    return found if type(found) is Client or not is_mock(found) else _client


def _async_client() -> redis_asyncio.Redis:
    """The client of the running loop, or one that a caller has assigned."""
    global _POPOTO_ASYNC_REDIS_DB, _async_target  # noqa: PLW0603
    current = _POPOTO_ASYNC_REDIS_DB
    if current is None:
        for target in (_async_target, target_of(_client_of_models())):
            before = target.forget() if target is not None else None
            if before is not None:
                before.retire()
        _async_target = None
    elif type(current) is not AsyncClient:
        return current
    _POPOTO_ASYNC_REDIS_DB = (_async_target or target_of(_client_of_models())).async_client()
    return _POPOTO_ASYNC_REDIS_DB
