"""The lines of a file, of which none takes more memory than it may."""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a line, unless the command is told otherwise."""

#: A terabyte, which no memory holds.
_MOST: Final = 1024**4
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class _Readable(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class Lines:
    """Numbered lines, until the file ends, a line is too long, or the file cannot be read.

    A compressed line may be a thousand times as long as its file, so no more of it is unpacked
    than a line may have.
    """

    def __init__(self, file: _Readable, longest: int) -> None:
        self._file = file
        self.longest = longest
        self.number = 0
        """Of the line that was read last."""
        self.is_too_long = False
        self.failure: Exception | None = None
        """Why the file cannot be read on."""

    @property
    def are_complete(self) -> bool:
        """Whether nothing but the end of the file has ended them."""
        return not self.is_too_long and self.failure is None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while line := self._next():
            self.number += 1
            # One more was asked for, which may be the end of the line.
            if len(line) > self.longest and not line.endswith(b"\n"):
                self.is_too_long = True
                return
            yield self.number, line

    def _next(self) -> bytes:
        try:
            return self._file.readline(self.longest + 1)
        except (OSError, EOFError, zlib.error) as error:
            self.failure = error
            return b""


def size(text: str) -> int:
    """A number of bytes: 5000, 500k, 64M, 1G."""
    number, unit = (text[:-1], text[-1:].lower()) if text[-1:].isalpha() else (text, "")
    is_size = number.isascii() and number.isdigit() and len(number) < 19 and unit in _UNITS
    found = int(number) * _UNITS[unit] if is_size else 0
    if not 1 <= found <= _MOST:
        raise argparse.ArgumentTypeError(f"must be a number of bytes, such as 64M, not {text!r}")
    return found
