"""What a connection URL, or a call in the manner of `redis.Redis(...)`, asks for.

Nothing here opens a connection. Everything that can be refused is refused here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast
from urllib.parse import SplitResult, unquote, urlsplit

import redis
import redis.connection
from redis.backoff import NoBackoff
from redis.connection import UnixDomainSocketConnection
from redis.retry import Retry

from popoto._connection.waiting import Wait, take_wait
from popoto.exceptions import ConfigurationError

__all__ = [
    "DEFAULT_MIGRATION_TIMEOUT",
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

DEFAULT_MIGRATION_TIMEOUT: Final = 30.0
"""Seconds to wait for a slot of a cluster whose keys are moved to another node, one by one."""

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
_POOL_OPTIONS: Final = frozenset({"connection_class", "max_connections", "timeout"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_CLUSTER_OPTIONS: Final = frozenset({"migration_timeout"})
_OWN_OPTIONS: Final = frozenset({"wait_for_replicas", "replica_timeout"})


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


def from_url(url: str) -> Settings:
    """Read a connection URL. Raises ConfigurationError, which is a ValueError."""
    scheme, separator, _ = url.partition("://")
    kind = _SCHEMES.get(scheme.lower()) if separator else None
    if kind is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigurationError(
            f"A connection URL starts with one of {known}; this one does not: {masked(url)!r}."
        )
    try:
        parts = _split(scheme.lower(), url[len(scheme) + len("://") :])
        if kind == "cluster":
            return _cluster(parts, url)
        if kind == "sentinel":
            return _sentinel(parts, url)
        if kind == "embedded":
            return _embedded(parts, url)
        return _single(parts, url)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(
            f"The connection URL {masked(url)!r} cannot be read: {error}"
        ) from error


def _split(scheme: str, rest: str) -> SplitResult:
    """The parts of a URL, which may name several hosts: urlsplit knows one, and checks it."""
    start = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=None)
    netloc = rest if start is None else rest[:start]
    return urlsplit(f"{scheme}://host{rest[len(netloc) :]}")._replace(netloc=netloc)


def from_arguments(arguments: Sequence[object], options: Mapping[str, object]) -> Settings:
    """Read the arguments of `redis.Redis(...)`. Raises TypeError and ConfigurationError.

    `retry`, `retry_on_timeout` and `retry_on_error` are accepted and not used:
    they would repeat writes.
    """
    own = dict(options)
    wait = take_wait(own)
    bound = inspect.signature(redis.Redis).bind(*arguments, **own)
    given = dict(bound.arguments)
    _refuse_decoding(given.get("decode_responses"))
    pool = given.pop("connection_pool", None)
    if isinstance(pool, redis.ConnectionPool):
        _refuse_decoding(pool.connection_kwargs.get("decode_responses"))
    for name in ("retry", "retry_on_timeout", "retry_on_error", "single_connection_client"):
        given.pop(name, None)
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
    if settings.kind == "cluster" and number != 0:
        raise ConfigurationError(f"{settings.url}: a cluster has only database 0.")
    if number < 0:
        raise ConfigurationError(f"Databases are numbered from 0, not {number}.")
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


def describe(options: Mapping[str, object]) -> str:
    """A URL, without password, for options that were not given as one."""
    database = options.get("db") or 0
    if "path" in options:
        return f"unix://{options['path']}?db={database}"
    secure = "ssl" in getattr(options.get("connection_class"), "__name__", "").lower()
    user = options.get("username") or ""
    credentials = f"{user}:***@" if options.get("password") else ""
    host = options.get("host", "localhost")
    return (
        f"redis{'s' if secure else ''}://{credentials}{host}:{options.get('port', 6379)}/{database}"
    )


def masked(url: str) -> str:
    """The URL with its passwords replaced by `***`, for messages."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if "@" not in url else "***"
    place, question, query = rest.partition("?")
    credentials, at, host = place.rpartition("@")
    if at:
        user, colon, _ = credentials.partition(":")
        place = f"{user}{':***' if colon else ''}@{host}"
    pairs = [
        f"{pair.partition('=')[0]}=***" if "password" in pair.partition("=")[0].lower() else pair
        for pair in query.split("&")
    ]
    return f"{scheme}{separator}{place}{question}{'&'.join(pairs)}"


def _single(parts: SplitResult, url: str) -> Settings:
    options = _options(f"{parts.scheme}://{url.partition('://')[2]}")
    if parts.scheme == "unix":
        if not options.get("path"):
            raise ConfigurationError(
                f"The connection URL {masked(url)!r} names no socket: unix:///path/to/socket."
            )
    else:
        options.setdefault("host", "localhost")
        options.setdefault("port", 6379)
        _check_database_path(parts.path, url)
    options.setdefault("db", 0)
    return Settings("single", masked(url), options, wait=take_wait(options))


def _embedded(parts: SplitResult, url: str) -> Settings:
    if parts.netloc:
        raise ConfigurationError(
            f"{masked(url)!r}: write embedded:// for a server in memory, "
            "or embedded:///path/to/directory (three slashes) for one that keeps its data."
        )
    query = f"?{parts.query}" if parts.query else ""
    options = _options(f"unix:///not-started-yet{query}")
    options.setdefault("db", 0)
    wait = take_wait(options)
    path = unquote(parts.path)
    directory = path if path.strip("/") else None
    return Settings("embedded", masked(url), options, directory=directory, wait=wait)


def _cluster(parts: SplitResult, url: str) -> Settings:
    if parts.path.strip("/") not in ("", "0"):
        raise ConfigurationError(f"{masked(url)!r}: a cluster has only database 0.")
    addresses = _addresses(parts, 6379)
    options = _options_without_hosts(parts, own=_CLUSTER_OPTIONS)
    if options.pop("db", 0) != 0:
        raise ConfigurationError(f"{masked(url)!r}: a cluster has only database 0.")
    return Settings(
        "cluster",
        masked(url),
        options,
        addresses,
        wait=take_wait(options),
        migration_timeout=_migration_timeout(options),
    )


def _migration_timeout(options: Options) -> float:
    """Take `migration_timeout` out of the options."""
    given = options.pop("migration_timeout", DEFAULT_MIGRATION_TIMEOUT)
    seconds = float(given)  # what is no number is refused as what it is
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(f"migration_timeout is in seconds, 0 or more, and not {given!r}.")
    return seconds


def _sentinel(parts: SplitResult, url: str) -> Settings:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ConfigurationError(
            f"{masked(url)!r} names no service: redis+sentinel://host:port,host:port/service/db."
        )
    _check_database_path(database, url)
    options = _options_without_hosts(parts, database)
    sentinel_options: Options = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in _SENTINEL_OPTIONS & options.keys()
    }
    for name in ("socket_timeout", "socket_connect_timeout"):
        sentinel_options[name] = options[name]
    sentinel_options |= {"retry": Retry(NoBackoff(), 0), "protocol": 2}
    return Settings(
        "sentinel",
        masked(url),
        options,
        _addresses(parts, 26379),
        unquote(service),
        sentinel_options,
        wait=take_wait(options),
    )


def _addresses(parts: SplitResult, default_port: int) -> tuple[Address, ...]:
    hosts = parts.netloc.rpartition("@")[2]
    addresses: list[Address] = []
    for piece in hosts.split(","):
        one = urlsplit(f"//{piece}")
        if not one.hostname:
            raise ConfigurationError(f"A host is missing in {hosts!r}.")
        addresses.append((unquote(one.hostname), one.port or default_port))
    return tuple(addresses)


def _options_without_hosts(
    parts: SplitResult, database: str = "", own: frozenset[str] = frozenset()
) -> Options:
    """The options of a URL of several hosts: as of one host, without host and port."""
    credentials, at, _ = parts.netloc.rpartition("@")
    scheme = "rediss" if parts.scheme.startswith("rediss") else "redis"
    options = _options(f"{scheme}://{credentials}{at}host/{database}?{parts.query}", own)
    options.pop("host", None)
    options.pop("port", None)
    return options


# redis-py leaves it without types.
_parsed = cast(
    "Callable[[str], Options]",
    redis.connection.parse_url,  # pyright: ignore[reportUnknownMemberType]
)


def _options(url: str, own: frozenset[str] = frozenset()) -> Options:
    """The options of a URL. `own`: those of ours that hold for this kind alone."""
    options: Options = dict(_parsed(url))
    _refuse_decoding(options.get("decode_responses"))
    options.pop("decode_responses", None)
    for name in ("retry_on_timeout", "retry_on_error"):
        options.pop(name, None)
    options.setdefault("socket_timeout", DEFAULT_TIMEOUT)
    options.setdefault("socket_connect_timeout", DEFAULT_TIMEOUT)
    options.setdefault("protocol", 2)
    connection_class = options.get("connection_class", redis.Connection)
    known = (
        accepted_options(connection_class) | _POOL_OPTIONS | _SENTINEL_OPTIONS | _OWN_OPTIONS | own
    )
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(f"Unknown option in the connection URL: {', '.join(unknown)}.")
    return options


def accepted_options(connection_class: object) -> frozenset[str]:
    """The names of the keyword arguments that a connection class takes, bases included."""
    names: set[str] = set()
    for base in getattr(connection_class, "__mro__", ()):
        if "__init__" in vars(base):
            # deprecated_args() wraps the constructors without hiding their signatures.
            names.update(inspect.signature(base.__init__).parameters)
    return frozenset(names - {"self", "args", "kwargs", "connection_pool"})


def _check_database_path(path: str, url: str) -> None:
    database = path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError(
            f"The connection URL {masked(url)!r} has no database number, but {database!r}."
        )


def _refuse_decoding(value: object) -> None:
    if value and str(value).lower() not in ("false", "0", "no", "n", "f"):
        raise ConfigurationError(
            "decode_responses=True cannot be used: stored values are bytes that are not text. "
            "Leave it out; fields decode what they read."
        )


def is_unix(options: Mapping[str, object]) -> bool:
    """Whether the options lead to a Unix socket."""
    connection_class = options.get("connection_class")
    return isinstance(connection_class, type) and issubclass(
        connection_class, UnixDomainSocketConnection
    )
