"""The count-min sketch (Cormode and Muthukrishnan 2005).

Each of `depth` rows has `width` counters. An item that is counted adds 1 to one counter of each
row, at a place that follows from its hash; the smallest of its counters is its count. It is never
below the true one. With N counts in the sketch it is above it by more than e N / width in a share
of exp(-depth) of cases, where rows are independent, as in version 2 (`popoto.memory.hashing`).
Version 1 is that of popoto 1.6 (`stored.lua`), whose rows are not.

Stored is a hash: "row:column" -> count, and a mark under "form", which popoto 1.6 ignores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from popoto.memory.hashing import padded, places

__all__ = ["SketchForm"]


@dataclass(frozen=True, slots=True)
class SketchForm:
    """A sketch of `depth` rows of `width` counters."""

    width: int
    depth: int

    def mark(self, version: int) -> bytes:
        """By what a sketch of this form is known."""
        return padded(f"popoto {version} sketch: {self.width} columns, {self.depth} rows")

    def places(self, item: bytes) -> tuple[int, ...]:
        """The column of an item in each row, in version 2."""
        return places(item, self.depth, self.width)

    def arguments(self, item: bytes) -> tuple[bytes, ...]:
        """An item as scripts are given it: with the names of its counters in version 2."""
        return _arguments(self, item)


@lru_cache(maxsize=4096)
def _arguments(form: SketchForm, item: bytes) -> tuple[bytes, ...]:
    return (item, *(b"%d:%d" % place for place in enumerate(form.places(item))))
