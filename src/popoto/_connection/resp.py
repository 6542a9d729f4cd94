"""The wire protocol (RESP2) without I/O, shared by the sync and the async side.

redis-py parses on the connection, once for sockets and once for streams, and
returns what its response callbacks make of a reply. Here one reader takes bytes
as they come and returns raw replies, and both sides feed it.
"""

# redis-py leaves many of its methods without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from redis.connection import DefaultParser
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    DataError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    RedisError,
    TryAgainError,
)

__all__ = ["INCOMPLETE", "Argument", "Command", "Incomplete", "Reply", "ReplyReader", "pack"]

_NOT_AN_ARGUMENT: Final = "a command argument must be bytes, str, int or float, not {}"

Argument = bytes | str | int | float
Command = Sequence[Argument]
Reply = bytes | int | None | RedisError | list["Reply"]


class Incomplete:
    """The type of `INCOMPLETE`: the rest of a reply has not arrived yet."""

    __slots__ = ()


INCOMPLETE: Final = Incomplete()

_BULK: Final = ord("$")
_ARRAY: Final = ord("*")
_INTEGER: Final = ord(":")
_STATUS: Final = ord("+")
_ERROR: Final = ord("-")


#: Sizes and numbers below this are packed ahead.
_SMALL: Final = 256
_HEADS: Final = tuple(b"$%d\r\n" % size for size in range(_SMALL))
_PACKED_INTEGERS: Final = tuple(b"$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(_SMALL))


def pack(commands: Iterable[Command]) -> bytes:
    """The bytes that ask for these commands, in order. Raises redis.DataError."""
    pieces: list[bytes] = []
    append = pieces.append
    for command in commands:
        append(b"*%d\r\n" % len(command))
        for argument in command:
            # Exact types first: nearly every argument is bytes, str or a small int.
            if type(argument) is str:
                encoded = argument.encode()
            elif type(argument) is bytes:
                encoded = argument
            elif type(argument) is int:
                if 0 <= argument < _SMALL:
                    append(_PACKED_INTEGERS[argument])
                    continue
                encoded = b"%d" % argument
            elif type(argument) is float:
                encoded = repr(argument).encode()
            else:
                encoded = _encode(argument)
            size = len(encoded)
            append(_HEADS[size] if size < _SMALL else b"$%d\r\n" % size)
            append(encoded)
            append(b"\r\n")
    return b"".join(pieces)


def _encode(argument: object) -> bytes:
    if isinstance(argument, (bytes, bytearray, memoryview)):
        return bytes(argument)
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, (int, float)) and not isinstance(argument, bool):
        return repr(argument).encode()
    raise DataError(_NOT_AN_ARGUMENT.format(type(argument).__name__))


class ReplyReader:
    """Turns bytes into replies.

    `feed` takes what arrived; `take` returns the next whole reply or `INCOMPLETE`.
    Status, bulk and integer replies come back as bytes, bytes and int; a server
    error as an exception object that is returned, never raised.
    """

    __slots__ = ("_buffer", "_open", "_pending", "_position", "_wanted")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        # Arrays that are still being filled, outermost first, with their final lengths.
        self._open: list[tuple[list[Reply], int]] = []
        # A long value arrives in many pieces. They are joined once, when enough are here.
        self._pending: list[bytes] = []
        self._wanted = 0

    @property
    def clean(self) -> bool:
        """Whether every byte that arrived belongs to a reply already taken."""
        return self._position == len(self._buffer) and not self._open and not self._pending

    @property
    def wanted(self) -> int:
        """How many more bytes are surely needed: a hint for the size of the next read."""
        return self._wanted

    def feed(self, data: bytes) -> None:
        """Add bytes that arrived."""
        if self._wanted > len(data):
            self._pending.append(data)
            self._wanted -= len(data)
            return
        self._wanted = 0
        if self._position == len(self._buffer) and not self._pending:
            self._buffer = data
        else:
            self._buffer = b"".join((self._buffer[self._position :], *self._pending, data))
            self._pending.clear()
        self._position = 0

    def take(self) -> Reply | Incomplete:  # noqa: PLR0912  # one loop, without calls: the hot path
        """The next whole reply, or `INCOMPLETE`. Raises redis.InvalidResponse."""
        if self._pending:
            return INCOMPLETE
        buffer = self._buffer
        position = self._position
        open_arrays = self._open
        while True:
            end = buffer.find(b"\r\n", position)
            if end < 0:
                self._position = position
                return INCOMPLETE
            kind = buffer[position]
            value: Reply
            if kind == _BULK:
                length = int(buffer[position + 1 : end])
                start = end + 2
                if length < 0:
                    value = None
                    position = start
                else:
                    position_after = start + length + 2
                    if position_after > len(buffer):
                        self._position = position
                        self._wanted = position_after - len(buffer)
                        return INCOMPLETE
                    value = buffer[start : start + length]
                    position = position_after
            elif kind == _ARRAY:
                length = int(buffer[position + 1 : end])
                position = end + 2
                if length > 0:
                    open_arrays.append(([], length))
                    continue
                value = None if length < 0 else []
            elif kind == _INTEGER:
                value = int(buffer[position + 1 : end])
                position = end + 2
            elif kind == _STATUS:
                value = buffer[position + 1 : end]
                position = end + 2
            elif kind == _ERROR:
                value = server_error(buffer[position + 1 : end])
                position = end + 2
            else:
                raise InvalidResponse(f"Protocol error: {buffer[position:end][:60]!r}")
            while open_arrays:
                items, length = open_arrays[-1]
                items.append(value)
                if len(items) < length:
                    break
                value = items
                open_arrays.pop()
            else:
                self._position = position
                return value


# What a cluster answers. redis-py before 6 knows these in its cluster client alone.
_OF_A_CLUSTER: Final[dict[str, type[RedisError]]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "TRYAGAIN": TryAgainError,
}


def server_error(line: bytes) -> RedisError:
    """The exception that redis-py uses for a server's error line."""
    text = line.decode("utf-8", errors="replace")
    code, _, rest = text.partition(" ")
    if code in _OF_A_CLUSTER:
        return _OF_A_CLUSTER[code](rest)
    error: RedisError = DefaultParser.parse_error(text)
    return error
