"""Values in messages: short, printable, and never an error of their own."""

from __future__ import annotations

import reprlib


def describe(value: object) -> str:
    """At most 80 printable characters that show a value, whatever its own repr does."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # noqa: BLE001 - a repr may raise anything, and this is for messages
        text = f"<{type(value).__name__} object>"
    text = "".join(character if character.isprintable() else " " for character in text[:200])
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:79] + "…"


class _ShortRepr(reprlib.Repr):
    """Never builds the repr of something long, only to cut it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 70

    def repr_bytes(self, value: bytes, _level: int) -> str:
        return repr(value[:40]) + ("..." if len(value) > 40 else "")

    def repr_bytearray(self, value: bytearray, _level: int) -> str:
        return repr(value[:40]) + ("..." if len(value) > 40 else "")

    def repr_int(self, x: int, level: int) -> str:
        # The decimal text of a huge int is slow, and beyond a length refused by Python.
        return repr(x) if x.bit_length() < 200 else f"<int of {x.bit_length()} bits>"


_SHORT = _ShortRepr()
