"""The wire protocol (RESP2) without I/O, shared by the sync and the async side.

hiredis makes bytes of commands and replies of bytes, in C. redis-py uses it too where its
own commands are called, but hands replies to its response callbacks. Here they stay raw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, cast

import hiredis
import redis
from redis.connection import DefaultParser
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    DataError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    RedisError,
    TryAgainError,
)

from popoto._connection.refusals import with_remedy

__all__ = [
    "INCOMPLETE",
    "LARGEST_READ",
    "READ_SIZE",
    "Argument",
    "Command",
    "Reply",
    "ReplyReader",
    "check_nothing_left",
    "cut_off",
    "pack",
    "reply_reader",
    "take",
    "without_numbers",
]

Argument: TypeAlias = bytes | str | int | float
Command: TypeAlias = Sequence[Argument]
Reply: TypeAlias = bytes | int | list["Reply"] | RedisError | None
"""Status and bulk replies are bytes. A server's error is returned as an object, never raised."""

ReplyReader: TypeAlias = hiredis.Reader
"""`feed` takes what arrived; `gets` returns the next whole reply or `INCOMPLETE`.

`has_data` is true while bytes are left over that belong to no reply taken so far.
"""

INCOMPLETE: Final = object()
"""In place of a reply: its rest has not arrived yet."""


READ_SIZE: Final = 65536
LARGEST_READ: Final = 1 << 20
"""Bytes to ask the system for at once: the second when the first was not enough."""


# The stub of hiredis asks for a tuple of exactly one argument.
_pack_one = cast(
    "Callable[[tuple[Argument, ...]], bytes]",
    hiredis.pack_command,  # pyright: ignore[reportUnknownMemberType]
)


def reply_reader() -> ReplyReader:
    """A reader for one connection. Its `gets` raises redis.InvalidResponse."""
    return hiredis.Reader(
        protocolError=InvalidResponse, replyError=server_error, notEnoughData=INCOMPLETE
    )


def take(reader: ReplyReader, replies: list[Reply], count: int) -> None:
    """Append whole replies, as far as they have arrived, until there are `count`."""
    # Not one more is looked at: what follows must leave `has_data` true.
    replies.extend(islice(iter(reader.gets, INCOMPLETE), count - len(replies)))


def check_nothing_left(reader: ReplyReader) -> None:
    """Raise redis.InvalidResponse if bytes follow the replies that were asked for."""
    if reader.has_data():
        raise InvalidResponse("The server sent more replies than there were commands.")


#: Small numbers as text, which is quicker to look up than to make.
_digits = cast("Callable[[object], str | None]", {n: str(n) for n in range(1024)}.get)

_are_texts: Final = frozenset[type]((str, bytes)).issuperset


def pack(commands: Sequence[Command]) -> bytes:
    """The bytes that ask for these commands, in order. Raises redis.DataError."""
    if len(commands) == 1:
        return _pack_one(_texts(commands[0]))
    # Many are mostly those that read records, whose arguments are texts already.
    return b"".join(
        [
            _pack_one(tuple(command) if _are_texts(map(type, command)) else _texts(command))
            for command in commands
        ]
    )


def without_numbers(command: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with numbers as text; what nobody can send is left as it is.

    hiredis asks a number for its text, where Python may call a signal handler. If that raises, as
    Ctrl-C does, hiredis goes on without the text, and the process ends.
    """
    return tuple(_text_of(each) if isinstance(each, (int, float)) else each for each in command)


def _texts(command: Command) -> tuple[Argument, ...]:
    """As `without_numbers`, for our own commands and quicker. Raises redis.DataError."""
    return tuple(
        [
            (_digits(argument) or repr(argument))
            if (kind := type(argument)) is int
            else argument
            if kind is str or kind is bytes
            else _plain(argument)
            for argument in command
        ]
    )


def _plain(argument: object) -> bytes | str:
    if isinstance(argument, (bytes, str)):
        return argument
    if isinstance(argument, (bytearray, memoryview)):
        return bytes(cast(bytes, argument))
    text = _text_of(argument)
    if isinstance(text, str):
        return text
    raise DataError(
        f"a command argument must be bytes, str, int or float, not {type(argument).__name__}"
    )


def _text_of(number: object) -> object:
    """The text of an int or a float, also of a class that says it otherwise."""
    if isinstance(number, int) and not isinstance(number, bool):
        return int.__repr__(number)
    return float.__repr__(number) if isinstance(number, float) else number


# redis-py leaves it without types.
_parse_error = cast(
    "Callable[[str], RedisError]",
    DefaultParser.parse_error,  # pyright: ignore[reportUnknownMemberType]
)

# What a cluster answers. redis-py before 6 knows these in its cluster client alone.
_OF_A_CLUSTER: Final[dict[str, type[RedisError]]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "TRYAGAIN": TryAgainError,
}


def server_error(text: str) -> RedisError:
    """The exception that redis-py uses for a server's error line."""
    code, _, rest = text.partition(" ")
    if code in _OF_A_CLUSTER:
        return _OF_A_CLUSTER[code](rest)
    return with_remedy(_parse_error(text))


def cut_off(replies: Sequence[Reply]) -> RedisError:
    """The error for a server that closed the connection after these replies."""
    last = replies[-1] if replies else None
    if isinstance(last, AuthenticationError):
        return last
    return redis.ConnectionError("Connection closed by server.")
