"""What a connection URL, or a call in the manner of `redis.Redis(...)`, asks for.

Nothing here opens a connection. Everything that can be refused is refused here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast
from urllib.parse import unquote, unquote_plus

import redis
import redis.connection
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, UnixDomainSocketConnection
from redis.retry import Retry

from popoto._connection.option_values import (
    WITHOUT_TEXT,
    check_arguments,
    check_flag,
    check_values,
    refuse_address,
    refuse_decoding,
    say_once,
)
from popoto._connection.urls import (
    BadUrl,
    UrlParts,
    check_host,
    describe,
    is_tellable,
    nearest,
    split_url,
)
from popoto._connection.waiting import (
    DEFAULT_MIGRATION_TIMEOUT,
    Wait,
    migration_timeout_of_url,
    take_wait,
    wait_of_url,
)
from popoto.exceptions import ConfigurationError

__all__ = [
    "DEFAULT_TIMEOUT",
    "Address",
    "Options",
    "Settings",
    "from_arguments",
    "from_url",
    "masked",
    "with_database",
]

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds to wait for a connection, and for a reply."""

Address = tuple[str, int]
# Keyword arguments of redis-py's connection classes, which differ from class to class.
Options = dict[str, Any]
Kind = Literal["single", "sentinel", "cluster", "embedded"]

_SCHEMES: Final[Mapping[str, Kind]] = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "embedded": "embedded",
}
_POOL_OPTIONS: Final = frozenset({"max_connections", "timeout"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_CLUSTER_OPTIONS: Final = frozenset({"migration_timeout"})
_WAIT_OPTIONS: Final = frozenset({"wait_for_replicas", "replica_timeout"})


@dataclass(frozen=True, slots=True)
class Settings:
    """One server, sentinel group or cluster, and how to talk to it.

    `options` goes to redis-py's connection pool. `url` has its password masked.
    """

    kind: Kind
    url: str
    options: Options = field(repr=False)
    addresses: tuple[Address, ...] = ()
    service: str = ""
    sentinel_options: Options = field(default_factory=dict[str, Any], repr=False)
    directory: str | None = None
    wait: Wait | None = None
    """For how many replicas writes wait."""

    migration_timeout: float = DEFAULT_MIGRATION_TIMEOUT
    replica: Settings | None = None
    """Where the replica of a single server is."""


def from_url(url: str) -> Settings:
    """Read a connection URL. Raises ConfigurationError, which is a ValueError."""
    given: object = url
    if not isinstance(given, str):
        raise ConfigurationError(f"A connection URL is text, and not of type {type(url).__name__}.")
    try:
        return _read(url)
    except BadUrl as error:
        reason = str(error)
    # Raised here, where no exception is being handled that could tell more.
    raise ConfigurationError(reason)


def masked(url: str) -> str:
    """The URL with `***` for its passwords; nothing of one that cannot be used."""
    try:
        return _read(url).url
    except ValueError:
        return "***"


def _read(url: str) -> Settings:
    scheme, separator, _ = url.partition("://")
    kind = _SCHEMES.get(scheme.lower()) if separator else None
    if kind is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        # Without an @ there are no credentials, of which this might be a part.
        found = f" It starts with {scheme}://." if separator and is_tellable(scheme, url) else ""
        raise BadUrl(f"A connection URL starts with one of {known}; this one does not.{found}")
    try:
        return _READERS[kind](split_url(url))
    except BadUrl as error:
        raise BadUrl(
            f"The connection URL {scheme.lower()}://*** cannot be used: {error}. What is not shown "
            "may be a part of a password."
        ) from error


def from_arguments(arguments: Sequence[object], options: Mapping[str, object]) -> Settings:
    """Read the arguments of `redis.Redis(...)`. Raises TypeError and ConfigurationError.

    `retry`, `retry_on_timeout` and `retry_on_error` are accepted and not used:
    they would repeat writes.
    """
    own = dict(options)
    wait = take_wait(own)
    bound = inspect.signature(redis.Redis).bind(*arguments, **own)
    given = dict(bound.arguments)
    refuse_decoding(given.get("decode_responses"))
    for name in ("retry", "retry_on_timeout", "retry_on_error", "single_connection_client"):
        given.pop(name, None)
    check_arguments(given)
    pool = given.pop("connection_pool", None)
    if isinstance(pool, redis.ConnectionPool):
        refuse_decoding(pool.connection_kwargs.get("decode_responses"))
    elif pool is not None:
        raise ConfigurationError(f"connection_pool is a redis.ConnectionPool, and not {pool!r}.")
    given.setdefault("socket_timeout", DEFAULT_TIMEOUT)
    given.setdefault("socket_connect_timeout", DEFAULT_TIMEOUT)
    given.setdefault("protocol", 2)
    # redis-py turns its own arguments (TLS, Unix sockets) into those of a pool.
    template = redis.Redis(retry=Retry(NoBackoff(), 0), **given)
    pool_options = pool_arguments(template.connection_pool)
    if given.get("max_connections") is None:
        del pool_options["max_connections"]
    return Settings("single", describe(pool_options), pool_options, wait=wait)


# What a pool adds to its connection options for its own use, and must not be handed on.
_OF_ONE_POOL: Final = frozenset(
    {
        "event_dispatcher",
        "himport_registry",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
    }
)


def with_database(settings: Settings, number: int) -> Settings:
    """The same place, another database. Raises ConfigurationError for a cluster, which has one."""
    given: object = number
    if not isinstance(given, int) or isinstance(given, bool) or number < 0:
        raise ConfigurationError(f"Databases are numbered from 0, not {number!r}.")
    if settings.kind == "cluster" and number != 0:
        raise ConfigurationError(f"{settings.url}: a cluster has only database 0.")
    if settings.kind == "cluster":
        return settings
    options = settings.options | {"db": number}
    url = describe(options) if settings.kind == "single" else settings.url
    return replace(settings, options=options, url=url)


def pool_arguments(pool: redis.ConnectionPool) -> Options:
    """The arguments that make another pool like this one."""
    options: Options = {
        name: value for name, value in pool.connection_kwargs.items() if name not in _OF_ONE_POOL
    }
    options["connection_class"] = pool.connection_class
    options["max_connections"] = pool.max_connections
    return options


def connect_timeout(options: Mapping[str, Any]) -> float:
    """Seconds within which a connection is made or given up."""
    return float(options.get("socket_connect_timeout") or DEFAULT_TIMEOUT)


def _single(parts: UrlParts) -> Settings:
    options = _options(parts)
    if parts.scheme == "unix":
        if parts.hosts:
            raise BadUrl("it names a host where unix:///path/to/socket has three slashes")
        if not parts.path:
            raise BadUrl("it names no socket: unix:///path/to/socket")
        say_once(options, "path", unquote(parts.path))
    else:
        _take_address(parts, options)
        _take_database(parts.path, options)
    options.setdefault("db", 0)
    return Settings("single", parts.masked(), options, wait=wait_of_url(options))


def _take_address(parts: UrlParts, options: Options) -> None:
    addresses = parts.addresses
    if len(addresses) > 1:
        raise BadUrl("it names several hosts; those of a cluster go to redis+cluster://")
    host, port = addresses[0]
    if host:
        say_once(options, "host", host)
    if port:
        say_once(options, "port", str(port))
        options["port"] = port
    options.setdefault("host", "localhost")
    options.setdefault("port", 6379)
    check_host(options["host"])


def _embedded(parts: UrlParts) -> Settings:
    if parts.hosts or parts.user is not None:
        raise BadUrl(
            "write embedded:// for a server in memory, "
            "or embedded:///path/to/directory (three slashes) for one that keeps its data"
        )
    path = unquote(parts.path)
    if path and not path.strip("/"):
        raise BadUrl("it names no directory: write embedded:// for a server in memory")
    if path.startswith("/~"):
        raise BadUrl("~ is no directory of yours here: write its whole path")
    options = _options(parts)
    say_once(options, "path", "/not-started-yet")
    options.setdefault("db", 0)
    wait = wait_of_url(options)
    directory = path or None
    return Settings("embedded", parts.masked(), options, directory=directory, wait=wait)


def _cluster(parts: UrlParts) -> Settings:
    if parts.path.strip("/") not in ("", "0"):
        raise BadUrl("a cluster has only database 0")
    addresses = _addresses(parts, 6379)
    options = _options(parts)
    if options.pop("db", 0) != 0:
        raise BadUrl("a cluster has only database 0")
    refuse_address(options)
    wait, patience = wait_of_url(options), migration_timeout_of_url(options)
    return Settings(
        "cluster", parts.masked(), options, addresses, wait=wait, migration_timeout=patience
    )


def _sentinel(parts: UrlParts) -> Settings:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise BadUrl("it names no service: redis+sentinel://host:port,host:port/service/db")
    options = _options(parts)
    _take_database(database, options)
    refuse_address(options)
    sentinel_options: Options = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in _SENTINEL_OPTIONS & options.keys()
    }
    for name in ("socket_timeout", "socket_connect_timeout"):
        sentinel_options[name] = options[name]
    sentinel_options |= {"retry": Retry(NoBackoff(), 0), "protocol": 2}
    return Settings(
        "sentinel",
        parts.masked(),
        options,
        _addresses(parts, 26379),
        unquote(service),
        sentinel_options,
        wait=wait_of_url(options),
    )


_READERS: Final[Mapping[Kind, Callable[[UrlParts], Settings]]] = {
    "single": _single,
    "sentinel": _sentinel,
    "cluster": _cluster,
    "embedded": _embedded,
}


def _addresses(parts: UrlParts, default_port: int) -> tuple[Address, ...]:
    addresses = parts.addresses
    if not all(host for host, _ in addresses):
        raise BadUrl("a host is missing")
    return tuple((host, port or default_port) for host, port in addresses)


_parsed = cast(  # redis-py leaves it without types
    "Callable[[str], Options]",
    redis.connection.parse_url,  # pyright: ignore[reportUnknownMemberType]
)


def _options(parts: UrlParts) -> Options:
    """The options of the query, as redis-py reads them, and the credentials."""
    options = _options_of_query(parts)
    refuse_decoding(options.pop("decode_responses", None))
    for name in ("retry_on_timeout", "retry_on_error"):
        options.pop(name, None)
    if parts.user:
        say_once(options, "username", unquote(parts.user))
    if parts.password:
        say_once(options, "password", unquote(parts.password))
    connection_class = _connection_class(parts.scheme)
    if connection_class is not redis.Connection:
        options["connection_class"] = connection_class
    options.setdefault("socket_timeout", DEFAULT_TIMEOUT)
    options.setdefault("socket_connect_timeout", DEFAULT_TIMEOUT)
    options.setdefault("protocol", 2)
    return options


def _connection_class(scheme: str) -> type[AbstractConnection]:
    if scheme in ("unix", "embedded"):
        return UnixDomainSocketConnection
    return redis.SSLConnection if scheme.startswith("rediss") else redis.Connection


def _options_of_query(parts: UrlParts) -> Options:
    known = accepted_options(_connection_class(parts.scheme)) - _OF_ONE_POOL - WITHOUT_TEXT
    known |= _POOL_OPTIONS | _WAIT_OPTIONS
    if parts.scheme.endswith("+cluster"):
        known |= _CLUSTER_OPTIONS
    if parts.scheme.endswith("+sentinel"):
        known |= _SENTINEL_OPTIONS
    unknown = [name for name, _ in parts.pairs if name not in known]
    if unknown:
        raise BadUrl(f"redis-py knows no option of that name{nearest(unknown, known)}")
    options: Options = {}
    for name, pair in parts.pairs:
        if name in options:
            raise BadUrl(f"its option {name} is there twice")
        check_flag(name, unquote_plus(pair.partition("=")[2]))
        try:
            found: Options = dict(_parsed(f"redis://?{pair}"))
        except ValueError as error:
            raise BadUrl(f"the value of its option {name} cannot be used") from error
        if isinstance(found.get(name), str):
            # Older releases of redis-py take the quoting away twice.
            found[name] = unquote_plus(pair.partition("=")[2])
        options = found | options
    check_values(options)
    return options


def accepted_options(connection_class: object) -> frozenset[str]:
    """The names of the keyword arguments that a connection class takes, bases included."""
    names: set[str] = set()
    for base in getattr(connection_class, "__mro__", ()):
        if "__init__" in vars(base):
            # deprecated_args() wraps the constructors without hiding their signatures.
            names.update(inspect.signature(base.__init__).parameters)
    return frozenset(names - {"self", "args", "kwargs", "connection_pool"})


def _take_database(path: str, options: Options) -> None:
    database = path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise BadUrl("what follows the last / is no database number")
    if database:
        say_once(options, "db", str(int(database)))
        options["db"] = int(database)


def is_unix(options: Mapping[str, object]) -> bool:
    """Whether the options lead to a Unix socket."""
    connection_class = options.get("connection_class")
    return isinstance(connection_class, type) and issubclass(
        connection_class, UnixDomainSocketConnection
    )
