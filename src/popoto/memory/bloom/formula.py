"""The measures of a Bloom filter (Bloom 1970).

    m = int(-n ln p / (ln 2)^2)        bits
    k = max(1, int(m / n ln 2))        probes

with n the capacity and p the share of wrong hits once n items are in it. An item sets k bits, at
places that follow from its hash; it may be there where all of them are set, and is surely not
where one is not. In version 2 the places are independent (`popoto.memory.hashing`). In version 1
they are (a + i b) mod m for i = 0 ... k - 1, with a and b two hashes of popoto 1.6
(`stored.lua`).

Stored is a string of ceil(m / 8) bytes; bit 0 is the highest of the first byte. Behind it stands a
mark in version 2. Version 1 has none; there the mark stands under a key of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from popoto.memory.hashing import MARK_LENGTH, padded, places

__all__ = ["MOST_BITS", "BloomForm"]

#: A string of a server has 512 MiB at most.
MOST_BITS: Final = 8 * (512 * 1024 * 1024 - MARK_LENGTH)


@dataclass(frozen=True, slots=True)
class BloomForm:
    """A filter of so many bits, of which each item sets so many."""

    bits: int
    probes: int

    @classmethod
    def of(cls, error_rate: float, capacity: int) -> BloomForm:
        """The filter that gives wrong hits at this rate once it holds so many items."""
        bits = max(1, int(-capacity * math.log(error_rate) / math.log(2) ** 2))
        return cls(bits, max(1, int(bits / capacity * math.log(2))))

    @property
    def area(self) -> int:
        """How many bytes the bits take."""
        return -(-self.bits // 8)

    def mark(self, version: int) -> bytes:
        """By what a filter of this form is known."""
        return padded(f"popoto {version} filter: {self.bits} bits, {self.probes} probes")

    def places(self, item: bytes) -> tuple[int, ...]:
        """The bits of an item in version 2."""
        return places(item, self.probes, self.bits)

    def arguments(self, item: bytes) -> tuple[bytes, ...]:
        """An item as scripts are given it: with its bits in version 2."""
        return _arguments(self, item)


@lru_cache(maxsize=4096)
def _arguments(form: BloomForm, item: bytes) -> tuple[bytes, ...]:
    return (item, *(b"%d" % place for place in form.places(item)))
