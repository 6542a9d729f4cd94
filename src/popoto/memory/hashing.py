"""Hashes by which filters and sketches place their items.

In version 2, each place follows from 64 bits of its own, of BLAKE2b (RFC 7693). popoto 1.6
(version 1) computed a product in doubles, whose low bits are lost: so places depend on one
another. That one is in `hashing.lua`, since only servers know where it is needed.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from popoto.exceptions import ModelException
from popoto.memory.constants import Defaults

__all__ = ["MARK_LENGTH", "item_bytes", "new_version", "padded", "places"]

#: Marks name the version and the measures of what was made, for the server to compare.
MARK_LENGTH: Final = 64

_NUMBERS: Final = struct.Struct(">8Q")


def places(item: bytes, number: int, below: int) -> tuple[int, ...]:
    """So many places from 0 to `below`, independent of each other, that follow from an item."""
    found: list[int] = []
    for block in range(-(-number // 8)):
        digest = hashlib.blake2b(item, salt=struct.pack(">Q", block)).digest()
        found += (value % below for value in _NUMBERS.unpack(digest))
    return tuple(found[:number])


def item_bytes(item: str) -> bytes:
    """What is hashed of a word; half a surrogate pair is no obstacle."""
    return item.encode("utf-8", "surrogatepass")


def padded(mark: str) -> bytes:
    """A mark as it is stored."""
    return mark.encode("ascii").ljust(MARK_LENGTH, b" ")


def new_version() -> int:
    """The version of what is made from now on (`Defaults.HASH_VERSION`)."""
    version: object = Defaults.HASH_VERSION
    if version not in (1, 2) or isinstance(version, bool):
        raise ModelException(
            f"Defaults.HASH_VERSION must be 2, or 1 for what popoto 1.6 is to read, got {version!r}"
        )
    return Defaults.HASH_VERSION
