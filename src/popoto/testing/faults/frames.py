"""A stream of RESP, cut into whole values; for RESP2, RESP3 and inline commands."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Frames", "values_of", "words_of"]

_LINE_END = b"\r\n"
_BULK = b"$!="
_LISTS = b"*~>"
_PAIRS = b"%|"


class Frames:
    """What has come of a stream. Values are given out once they are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self._missing = 1  # values that the one which is being read lacks yet

    @property
    def rest(self) -> bytes:
        """The beginning of a value whose end has not come yet."""
        return bytes(self._buffer)

    def beginning(self, size: int) -> bytes:
        """The first bytes of that value, once there are so many."""
        return bytes(self._buffer[:size]) if len(self._buffer) >= size else b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The values that are whole with this, each with its last line end."""
        self._buffer += data
        while self._step():
            if not self._missing:
                frame = bytes(self._buffer[: self._position])
                del self._buffer[: self._position]
                self._position, self._missing = 0, 1
                yield frame

    def _step(self) -> bool:
        """Read on by one line, or one text. False as long as it is not whole."""
        end = self._buffer.find(_LINE_END, self._position)
        if end < 0:
            return False
        kind = self._buffer[self._position]
        after = end + len(_LINE_END)
        if kind in _BULK:
            length = self._number(end)
            if length >= 0:
                after += length + len(_LINE_END)
            if len(self._buffer) < after:
                return False
        elif kind in _LISTS:
            self._missing += max(0, self._number(end))
        elif kind in _PAIRS:
            # An attribute (|) comes before the value that it belongs to.
            self._missing += 2 * self._number(end) + (kind == ord("|"))
        self._missing -= 1
        self._position = after
        return True

    def _number(self, end: int) -> int:
        return int(self._buffer[self._position + 1 : end])


def values_of(stream: bytes) -> list[bytes]:
    """The values one by one; last what is no whole one."""
    frames = Frames()
    values = list(frames.feed(stream))
    return [*values, frames.rest] if frames.rest or not values else values


def words_of(request: bytes) -> tuple[bytes, ...]:
    """The words of a command, its name first, as a client sends it."""
    if not request.startswith(b"*"):
        return tuple(request.split())
    words: list[bytes] = []
    position = request.index(_LINE_END) + 2
    while position < len(request):
        end = request.index(_LINE_END, position)
        length = int(request[position + 1 : end])
        words.append(request[end + 2 : end + 2 + length])
        position = end + 2 + length + 2
    return tuple(words)
