"""Postings of common words, in the memory of this process, as they stand on the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from popoto.memory.vectors.arrays import Array, numpy

__all__ = ["Documents", "Loading", "Postings"]

#: A longer document takes so much from the score of a posting, for each word (``indexing.lua``).
_STEP = 2.0**-32
#: How far the mean length may be from the one that the scores were made for.
_NEAR = 2e-4


class Documents:
    """Record keys by number."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def places(self, keys: Iterable[bytes]) -> list[int]:
        """The numbers of these, new ones where they have none."""
        found: list[int] = []
        for key in keys:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = len(self.keys)
                self.keys.append(key)
            found.append(place)
        return found


@dataclass(slots=True)
class Loading:
    """Postings on their way: pages of ZSCAN, which misses nothing that is there all the time."""

    #: what the log of changes had come to before it began: the version, and who it belongs to
    version: bytes
    latest: bytes
    cursor: bytes = b"0"
    found: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def take(self, cursor: bytes, page: Sequence[bytes]) -> bool:
        """Take a page. Whether it was the last one."""
        self.cursor = cursor
        self.found.update(zip(page[::2], page[1::2], strict=True))
        return cursor == b"0"


class Postings:
    """The documents that hold one word, and their scores in its sorted set."""

    def __init__(self, loaded: Loading, documents: Documents) -> None:
        np = numpy()
        self.version, self.latest = loaded.version, loaded.latest
        self.places: Array = np.array(documents.places(loaded.found), dtype=np.int64)
        self._stored: Array = np.array(list(loaded.found.values()), dtype=np.float64)
        self._made: tuple[float, float, float] | None = None
        self._adds: Array = None

    def __len__(self) -> int:
        return len(self.places)

    def change(self, places: Sequence[int], scores: Sequence[bytes | None], most: int) -> None:
        """Have these scores for these of `most` documents, none for None."""
        np = numpy()
        is_changed = np.zeros(most, dtype=bool)
        is_changed[places] = True
        kept = ~is_changed[self.places]
        held = [(at, score) for at, score in zip(places, scores, strict=True) if score is not None]
        self.places = np.concatenate([self.places[kept], np.array([at for at, _ in held], int)])
        told = np.array([float(score) for _, score in held])
        self._stored = np.concatenate([self._stored[kept], told])
        self._made = None

    def adds(self, average: float, k1: float, b: float) -> tuple[Array, float]:
        """What the word adds to each document, but for its idf, and for which mean length.

        Of a document that has more words now than its posting tells, it is more than it should be.
        """
        made = self._made
        if made is None or made[1:] != (k1, b) or abs(made[0] / average - 1) > _NEAR:
            frequencies = numpy().ceil(self._stored)
            lengths = (frequencies - self._stored) / _STEP
            norms = k1 * (1 - b + b * lengths / average)
            self._adds = frequencies * (k1 + 1) / (frequencies + norms)
            made = self._made = (average, k1, b)
        return self._adds, made[0]
