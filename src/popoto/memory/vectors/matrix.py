"""`Matrix`: the vectors of a model in one array, as unit vectors, for exact search.

Beside it there may be an index of neighbours, which follows the rows: what has changed waits until
somebody takes it over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Self

from popoto.memory.vectors.arrays import Array, numpy, unit
from popoto.memory.vectors.neighbours import Neighbours

__all__ = ["Found", "Kept", "Matrix", "View"]

_FIRST_ROOM = 64
#: Rows of records that are gone are kept until they are so many and half of all.
_MOST_DEAD = 256
#: So many of the last changes are known by place.
_MOST_CHANGES = 256
#: Rows that are compared anew together: a product of one row is rounded otherwise than one of many.
_BLOCK = 64

#: A row and how similar it is.
Found = tuple[str, float]


class Kept(NamedTuple):
    """Bytes of the rows, and of the index of neighbours."""

    rows: int
    neighbours: int


@dataclass(frozen=True, slots=True)
class View:
    """The rows at one moment. They may be read while the matrix changes."""

    rows: Array
    #: by row; None where the record is gone
    keys: Sequence[str | None]
    places: dict[str, int]
    #: another one wherever places were given anew
    numbering: int
    #: how many changes the matrix had seen
    changes: int

    @classmethod
    def of_nothing(cls, dimensions: int) -> Self:
        """No rows of so many numbers."""
        np = numpy()
        return cls(np.zeros((0, dimensions), dtype=np.float32), (), {}, 0, 0)

    @property
    def work(self) -> int:
        """How many products a search makes."""
        return int(self.rows.size)

    def similarities(self, vector: Array) -> Array:
        """The cosine of a vector and each row. O(rows * dimensions)."""
        return self.rows @ unit(vector)

    def similarities_after(
        self, similarities: Array, vector: Array, changed: Iterable[int]
    ) -> Array | None:
        """The same, from those of an earlier view since which the rows at some places have changed.

        None where those are so many that all may as well be compared.
        """
        blocks = {place // _BLOCK for place in changed}
        if 4 * len(blocks) * _BLOCK > len(self.rows):
            return None
        asked, found = unit(vector), numpy().empty(len(self.rows), similarities.dtype)
        found[: len(similarities)] = similarities
        for block in blocks:
            some = slice(block * _BLOCK, (block + 1) * _BLOCK)
            found[some] = self.rows[some] @ asked
        return found

    def best(self, similarities: Array, *, least: float, above: bool) -> Iterator[Found]:
        """Keys and similarities from `least` on (`above`: above it), best first. Equal ones in
        reverse order of keys, as servers have them.

        Sorts as many as are asked for, and more each time.
        """
        np = numpy()
        passing = similarities > least if above else similarities >= least
        (places,) = passing.nonzero()
        scores = similarities[places]
        done, wanted = 0, 4
        while done < len(places):
            wanted = min(wanted * 4, len(places))
            chosen = slice(None)
            if wanted < len(places):
                # All that are as good as the last one, so that keys decide among them.
                border = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
                (chosen,) = (scores >= border).nonzero()
            pairs: list[tuple[float, int]] = list(
                zip(scores[chosen].tolist(), places[chosen].tolist(), strict=True)
            )
            found = [
                (score, key) for score, place in pairs if (key := self.keys[place]) is not None
            ]
            found.sort(reverse=True)
            yield from ((key, score) for score, key in found[done:])
            done = len(found)
            if isinstance(chosen, slice):
                return

    def of(self, similarities: Array, keys: Iterable[str]) -> dict[str, float]:
        """The similarities of these records, as far as they have a vector."""
        return {key: float(similarities[place]) for key, place in self._placed(keys).items()}

    def compared(self, vector: Array, keys: Iterable[str]) -> dict[str, float]:
        """The same, of a vector that is compared with these records alone."""
        placed = self._placed(keys)
        similarities = self.rows[list(placed.values())] @ unit(vector)
        return dict(zip(placed, map(float, similarities), strict=True))

    def _placed(self, keys: Iterable[str]) -> dict[str, int]:
        return {
            key: place
            for key in keys
            if (place := self.places.get(key)) is not None and place < len(self.rows)
        }


class Matrix:
    """Unit vectors by record key. Change it while holding its `lock`; `view` needs none."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._taking = threading.Lock()
        self._numbering = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything, the length of vectors too."""
        self.dimensions: int | None = None
        self._rows: Array = None
        self._keys: list[str | None] = []
        self._places: dict[str, int] = {}
        self._exported: tuple[Array, list[str]] | None = None
        self._number_anew()

    def _number_anew(self) -> None:
        """Places stand for other records from now on."""
        self._numbering += 1
        self._neighbours: Neighbours | None = None
        #: by place, how often its row has changed: what the index of neighbours has to take over
        self._waiting: dict[int, int] = {}
        self._changes = 0
        #: the places of the last changes, in order
        self._changed: deque[int] = deque(maxlen=_MOST_CHANGES)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    @property
    def keys(self) -> list[str]:
        """The records that have a vector."""
        return list(self._places)

    def reserve(self, room: int, dimensions: int) -> None:
        """Make room for so many rows at once. Pages of memory that no row needs are not taken."""
        np = numpy()
        if self._rows is None:
            self.dimensions = dimensions
            self._rows = np.zeros((max(room, _FIRST_ROOM), dimensions), dtype=np.float32)
        elif len(self._rows) < room:
            rows = np.zeros((room, self.dimensions), dtype=np.float32)
            rows[: len(self._keys)] = self._rows[: len(self._keys)]
            self._rows = rows

    def put(self, key: str, vector: Array) -> None:
        """Set the vector of a record. Raises ValueError for one of another length."""
        if len(vector) != (self.dimensions or len(vector)):
            raise ValueError(f"{len(vector)} dimensions, where the others have {self.dimensions}")
        self.reserve(_FIRST_ROOM, len(vector))
        self._exported = None
        place = self._places.get(key)
        if place is None:
            place = len(self._keys)
            if place == len(self._rows):
                self.reserve(place + max(place // 4, _FIRST_ROOM), len(vector))
            self._rows[place] = unit(vector)
            self._keys.append(key)
            self._places[key] = place
        else:
            self._rows[place] = unit(vector)
        self._note(place)

    def drop(self, key: str) -> None:
        """Forget the vector of a record, if it has one."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._exported = None
        self._keys[place] = None
        self._rows[place] = 0
        self._note(place)
        dead = len(self._keys) - len(self._places)
        if dead > _MOST_DEAD and dead > len(self._places):
            self._compact()

    def _compact(self) -> None:
        """Take dead rows out. Views keep the arrays that they have."""
        living = list(self._places.values())
        room = max(_FIRST_ROOM, len(living) * 5 // 4)
        keys = list(self._places)
        rows = numpy().zeros((room, self.dimensions), dtype=self._rows.dtype)
        rows[: len(living)] = self._rows[living]
        self._rows, self._keys = rows, [*keys]
        self._places = {key: place for place, key in enumerate(keys)}
        self._number_anew()

    def view(self) -> View | None:
        """The rows as they are; None while there are none."""
        with self.lock:
            if not self._places:
                return None
            count = len(self._keys)
            return View(
                self._rows[:count], self._keys, self._places, self._numbering, self._changes
            )

    def changed_since(self, view: View) -> list[int] | None:
        """The places whose rows have changed since a view was taken. None where nobody knows."""
        with self.lock:
            count = self._changes - view.changes
            if view.numbering != self._numbering or not 0 <= count <= len(self._changed):
                return None
            return list(self._changed)[len(self._changed) - count :]

    def exported(self) -> tuple[Array, list[str]] | None:
        """A matrix of all rows, and their keys; the same until something changes."""
        with self.lock:
            if self._exported is None and self._places:
                living = list(self._places.values())
                self._exported = self._rows[living], list(self._places)
            return self._exported

    def kept(self) -> Kept:
        """How much memory it takes, in bytes, without the record keys."""
        with self.lock:
            rows = 0 if self._rows is None else int(self._rows[: len(self._keys)].nbytes)
            return Kept(rows, 0 if self._neighbours is None else self._neighbours.nbytes)

    # Neighbours ---------------------------------------------------------------------------

    def _note(self, place: int) -> None:
        self._changes += 1
        self._changed.append(place)
        if self._neighbours is not None:
            self._waiting[place] = self._waiting.get(place, 0) + 1

    def waiting(self) -> int:
        """How many rows the index of neighbours has not taken over; all while there is none."""
        return len(self._places) if self._neighbours is None else len(self._waiting)

    def take_over(self, most: int, *, waits: bool = False) -> bool:
        """Let the index of neighbours take so many rows over; whether none is left waiting.

        False at once while another thread does so, unless this one `waits` for that.
        """
        if not self._taking.acquire(blocking=waits):
            return False
        try:
            with self.lock:
                index = self._begin()
                if index is None:
                    return False
                taken = list(islice(self._waiting.items(), most))
                places = [place for place, _ in taken]
                rows = self._rows[places] if places else None
                living = [self._keys[place] is not None for place in places]
            if taken:
                index.take(places, rows, living)
            with self.lock:
                for place, changes in taken if index is self._neighbours else ():
                    if self._waiting[place] == changes:
                        del self._waiting[place]
                return index is self._neighbours and not self._waiting
        finally:
            self._taking.release()

    def _begin(self) -> Neighbours | None:
        if self._neighbours is None and self.dimensions is not None:
            self._neighbours = Neighbours(self.dimensions)
            self._waiting = dict.fromkeys(self._places.values(), 1)
        return self._neighbours

    def nearest(self, view: View, vector: Array, count: int) -> list[str] | None:
        """The records of about the nearest rows, in no order. None: there is no index of them."""
        index = self._neighbours
        if index is None or view.numbering != self._numbering:
            return None
        found = index.nearest(unit(vector), count)
        return [
            key
            for place in found
            if place < len(view.rows) and (key := view.keys[place]) is not None
        ]
