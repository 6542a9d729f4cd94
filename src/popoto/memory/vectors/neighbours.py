"""`Neighbours`: an approximate index of vectors (HNSW), by the optional package usearch.

A graph in which each vector knows some that are near. A search walks from one to the next, towards
the question, and sees a small part of all: it may miss one of the nearest. (Malkov, Yashunin 2016:
"Efficient and robust approximate nearest neighbor search".)
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import Any

from popoto._packages import is_installed
from popoto.memory.vectors.arrays import Array, numpy

__all__ = ["Neighbours", "has_usearch"]

#: How many near ones each vector knows, how many are looked at to find those, and how many at
#: least in a search. Recall on clustered vectors by these is told in docs/embeddings.md.
_CONNECTIVITY = 24
_LOOKED_AT_TO_ADD = 64
_LOOKED_AT_TO_SEARCH = 256
#: How many vectors go in while searches wait: a matter of milliseconds.
_TURN = 32


def has_usearch() -> bool:
    """Whether the package is installed."""
    return is_installed("usearch")


class Neighbours:
    """Unit vectors by number. May be used by many threads."""

    def __init__(self, dimensions: int) -> None:
        # Half precision: what is found is compared exactly afterwards, with the matrix itself.
        self._index: Any = importlib.import_module("usearch.index").Index(
            ndim=dimensions,
            metric="ip",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_LOOKED_AT_TO_ADD,
            expansion_search=_LOOKED_AT_TO_SEARCH,
        )
        # While it grows it may move in memory.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return int(self._index.memory_usage)

    def take(self, numbers: Sequence[int], rows: Array, living: Sequence[bool]) -> None:
        """Set these vectors, in place of those under the same numbers; forget those not living."""
        np = numpy()
        for start in range(0, len(numbers), _TURN):
            stop = start + _TURN
            turn = np.asarray(numbers[start:stop], dtype=np.uint64)
            kept = np.asarray(living[start:stop], dtype=bool)
            with self._lock:
                for number in turn:
                    if int(number) in self._index:
                        self._index.remove(int(number))
                if kept.any():
                    self._index.add(turn[kept], rows[start:stop][kept], threads=1)

    def nearest(self, vector: Array, count: int) -> list[int]:
        """The numbers of about the nearest to a unit vector, at most so many."""
        with self._lock:
            if not len(self._index):
                return []
            found = self._index.search(vector, min(count, len(self._index)), threads=1)
        return [int(number) for number in found.keys]
