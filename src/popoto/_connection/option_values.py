"""What the options of a connection may be. redis-py finds out later, or never."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from popoto._connection.urls import BadUrl, check_host
from popoto._unknown_names import warn_caller
from popoto.exceptions import ConfigurationError

__all__ = [
    "WITHOUT_TEXT",
    "check_arguments",
    "check_first",
    "check_flag",
    "check_values",
    "refuse_address",
    "refuse_decoding",
    "say_once",
]

#: Arguments that name a server.
_SERVERS: Final = ("host", "port", "db", "unix_socket_path", "connection_pool")

WITHOUT_TEXT: Final = frozenset(
    {
        "command_packer",
        "credential_provider",
        "driver_info",
        "parser",
        "parser_class",
        "redis_connect_func",
        "retry",
        "socket_keepalive_options",
        "socket_type",
        "ssl_ocsp_context",
    }
)
"""Options of redis-py whose values no URL can name."""

_YES: Final = frozenset({"true", "t", "yes", "y", "1"})
_NO: Final = frozenset({"false", "f", "no", "n", "0"})
_FLAGS: Final = frozenset(
    {"legacy_responses", "retry_on_timeout", "socket_keepalive", "ssl_check_hostname"}
)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


#: By option, what its values are, and how one is told.
_VALUES: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "db": ("a number from 0", lambda value: _is_whole(value) and value >= 0),
    "port": ("a number from 0 to 65535", lambda value: _is_whole(value) and 0 <= value <= 0xFFFF),
    "max_connections": ("a number from 1", lambda value: _is_whole(value) and value >= 1),
    "protocol": ("2 or 3", lambda value: str(value) in ("2", "3")),
    "health_check_interval": (
        "a number of seconds, 0 for none",
        lambda value: _is_number(value) and value >= 0,
    ),
    "timeout": ("a number of seconds from 0", lambda value: _is_number(value) and value >= 0),
    **dict.fromkeys(
        ("socket_timeout", "socket_connect_timeout"),
        ("a positive number of seconds", lambda value: _is_number(value) and value > 0),
    ),
}


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The options that have no value of theirs, with what it has to be and what it is."""
    for name, (what, is_right) in _VALUES.items():
        value = _as_number(name, options.get(name))
        if value is not None and not is_right(value):
            yield name, what, value


def check_values(options: Mapping[str, Any]) -> None:
    """Raises BadUrl, which tells the option and not its value."""
    for name, what, _ in _wrong(options):
        raise BadUrl(f"its option {name} has to be {what}")


def check_flag(name: str, text: str) -> None:
    """Raises BadUrl where an option that is on or off says neither: redis-py takes it for on.

    Of any option where it has no value: redis-py passes over it.
    """
    if not text:
        raise BadUrl(f"its option {name} has no value")
    if name in _FLAGS and text.lower() not in _YES | _NO:
        raise BadUrl(f"its option {name} has to be true or false")


def say_once(options: dict[str, Any], name: str, value: str) -> None:
    """Set what a URL says in its place. Raises BadUrl where its options say something else."""
    if str(options.setdefault(name, value)) != value:
        raise BadUrl(f"its option {name} says something else than what stands before the ?")


def refuse_address(options: Mapping[str, Any]) -> None:
    """Raises BadUrl: those of several hosts are none of one."""
    if "host" in options or "port" in options:
        raise BadUrl("its hosts and ports stand before the path, and are no options")


def check_first(
    env_partition_name: object, args: Sequence[object], url: str | None, given: Mapping[str, Any]
) -> None:
    """The first argument of popoto 1.6 has no effect: what is meant for a server is not used.

    Raises ConfigurationError for a URL, and for a host of which only the port is left. Tells of
    a name without any server.
    """
    if isinstance(env_partition_name, str) and "://" in env_partition_name:
        raise ConfigurationError("A URL goes to url=...: the first argument has no effect.")
    if args and isinstance(args[0], int):
        raise ConfigurationError(
            f"The first argument has no effect, so that {args[0]} would be the host: give "
            f"host={env_partition_name!r}, port={args[0]} by name."
        )
    names_server = args or url is not None or any(name in given for name in _SERVERS)
    if env_partition_name and not names_server:
        warn_caller(
            f"{env_partition_name!r} is the first argument, which has no effect, so the server is "
            "the one at localhost; give host=… or url=… by name"
        )


def check_arguments(given: Mapping[str, Any]) -> None:
    """The same of arguments in the manner of `redis.Redis(...)`. Raises ConfigurationError.

    Refused as well: what redis-py passes over where another argument says something else.
    """
    _check_host(given.get("host"))
    _check_tls(given)
    for name, what, value in _wrong(given):
        raise ConfigurationError(f"The argument {name} has to be {what}, and not {value!r}.")
    if given.get("unix_socket_path") is not None:
        _refuse_beside(
            "unix_socket_path", [name for name in ("host", "port", "ssl") if given.get(name)]
        )
    if given.get("connection_pool") is not None:
        _refuse_beside("connection_pool", [name for name in given if name != "connection_pool"])


def _check_tls(given: Mapping[str, Any]) -> None:
    """Refuse an `ssl` that is no flag, and options of TLS where there is none."""
    on = given.get("ssl")
    if on is not None and (not isinstance(on, int) or on not in (0, 1)):
        raise ConfigurationError(f"The argument ssl has to be True or False, and not {on!r}.")
    idle = [name for name in given if name.startswith("ssl_") and given[name] is not None]
    if idle and not on:
        raise ConfigurationError(
            f"The arguments {', '.join(sorted(idle))} have no effect without ssl=True."
        )


def _as_number(name: str, value: Any) -> Any:
    """Ports and databases from an environment are texts, which redis-py takes."""
    is_number = name in ("db", "port") and isinstance(value, str) and value.isascii()
    return int(value) if is_number and value.isdigit() else value


def _refuse_beside(name: str, others: list[str]) -> None:
    if others:
        raise ConfigurationError(
            f"The argument {name} says where the server is, and redis-py would pass over "
            f"{', '.join(others)}: give one or the other."
        )


def _check_host(host: object) -> None:
    if host == "":
        raise ConfigurationError(
            "The argument host is empty, which redis-py takes for localhost: give a host, or leave "
            "it out."
        )
    try:
        check_host(str(host or ""))
    except BadUrl as error:
        reason = str(error)
    else:
        return
    raise ConfigurationError(f"The argument host cannot be used: {reason}. A URL goes to url=...")


def refuse_decoding(value: object) -> None:
    """Raises ConfigurationError for anything but False, in whatever form."""
    if value and str(value).lower() not in _NO:
        raise ConfigurationError(
            "decode_responses=True cannot be used: stored values are bytes that are not text. "
            "Leave it out; fields decode what they read."
        )
