"""A question compared with the vectors of a model: with all, with some, with the nearest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from popoto.engine.outcome import other_model
from popoto.engine.request import Call, Plan
from popoto.fields.vectors.embedding import answered, described_by, embedded, provider_failure
from popoto.fields.vectors.keeper import Described, Seen, VectorKeeper
from popoto.memory.vectors.arrays import Array
from popoto.memory.vectors.matrix import Found, View
from popoto.models.reading.planning import AnyField

__all__ = ["Search", "refuse_others"]

#: A search of more products than this leaves the event loop alone meanwhile.
_MOST_AT_ONCE = 4_000_000
#: So many vectors go into the index of neighbours at once, without a thread of their own.
_FEW = 16
#: So many go into it in one search at most: until it has all, every vector is compared.
_MOST_TAKEN_OVER = 500


@dataclass(slots=True)
class Search:
    """A question and the vectors of a model."""

    keeper: VectorKeeper
    seen: Seen
    view: View
    vector: Array
    #: the similarity of each row, once it was needed
    similar: Array = None
    #: the first of the best by these, if they were asked for already, and all that come after them
    _first: tuple[list[Found], Iterator[Found]] | None = None
    #: whether the nearest that were found are all that there are
    has_all: bool = False

    @classmethod
    def of(cls, field: AnyField, vector: Array, shard: str) -> Plan[Search | None]:
        """In one shard; None where it has no vectors."""
        keeper: VectorKeeper = field.keeper_in(shard)
        return cls.among_seen(field, (yield from keeper.seen()), vector)

    @classmethod
    def positive(cls, field: AnyField, vector: Array, shard: str) -> Plan[dict[str, float]]:
        """The similarities of a shard's records to a question, as far as they are positive."""
        search = yield from cls.of(field, vector, shard)
        if search is None:
            return {}
        yield from search.compare()
        return dict(search.best(0.0))

    @staticmethod
    def vector_of(field: AnyField, text: str) -> Plan[Array | None]:
        """The vector of a question; None without a provider, and for one of length 0."""
        if field.provider is None:
            return None
        try:
            (vector,) = yield from embedded(field.provider, [text], "query")
            answered(field.provider, [vector])
        except Exception as error:
            raise provider_failure(field.label, error, "nothing was searched") from error
        return vector if vector is not None and vector.any() else None

    @classmethod
    def among_seen(cls, field: AnyField, seen: Seen, vector: Array) -> Search | None:
        """A question and what there is; None where there is nothing."""
        return None if seen.view is None else cls.against(field, seen, seen.view, vector)

    @classmethod
    def foreseen(cls, field: AnyField, vector: Array, shard: str) -> Search | None:
        """The question, compared with what this process knew last; None where that is long.

        What of it holds is known once the server has told what has changed (`take_over`).
        """
        keeper: VectorKeeper = field.keeper_in(shard)
        seen = keeper.at_hand()
        view = None if seen is None else seen.view
        if seen is None or view is None or view.rows.shape[1] != len(vector):
            return None
        if view.work > _MOST_AT_ONCE or keeper.place.is_approximate(len(view.places)):
            return None
        return cls(keeper, seen, view, vector, view.similarities(vector))

    def take_over(self, foreseen: Search) -> None:
        """Take a comparison over, but for the rows that have changed since it was made."""
        one, other = self.seen, foreseen.seen
        if one.matrix is not other.matrix or self.view.numbering != foreseen.view.numbering:
            return
        if one.moment == other.moment:
            self.view, self.similar, self._first = foreseen.view, foreseen.similar, foreseen._first
            return
        changed = one.matrix.changed_since(foreseen.view)
        if changed is not None:
            self.similar = self.view.similarities_after(foreseen.similar, self.vector, changed)

    @classmethod
    def against(cls, field: AnyField, seen: Seen, view: View, vector: Array) -> Search:
        """A question that has its vector. Raises VectorMismatchError for those of another model."""
        asked = refuse_others(field, seen.described, vector)
        if view.rows.shape[1] != len(vector):
            told = asked._replace(model="", dimensions=view.rows.shape[1])
            raise other_model(field.label, told, asked, "nothing was searched")
        return cls(field.keeper, seen, view, vector)

    def compare(self) -> Plan[None]:
        """Compare it with every row, unless that is done."""
        if self.similar is None:
            work = self.view.work
            self.similar = yield from _at_ease(work, lambda: self.view.similarities(self.vector))

    def best(self, least: float) -> Iterator[Found]:
        """Those from `least` on (above it, if that is 0), best first, once they are compared."""
        first, self._first = self._first, None
        if first is not None and least == 0:
            return chain(*first)
        return self.view.best(self.similar, least=least, above=least == 0)

    def first(self, count: int) -> list[Found]:
        """The first of the best above 0, which `best` need not look for again."""
        found = self.best(0.0)
        first = list(islice(found, count))
        self._first = first, found
        return first

    def among(self, keys: Collection[str]) -> Plan[dict[str, float]]:
        """The similarities of these records, as far as they have a vector."""
        if self.similar is not None:
            return self.view.of(self.similar, keys)
        work = len(keys) * len(self.vector)
        found: dict[str, float] = yield from _at_ease(
            work, lambda: self.view.compared(self.vector, keys)
        )
        return found

    def nearest(self, count: int) -> Plan[list[str] | None]:
        """About the nearest records, at most so many, in no order. None: all are to be compared."""
        matrix, view = self.seen.matrix, self.view
        if count >= len(view.places) or not self.keeper.place.is_approximate(len(view.places)):
            return None

        def find() -> list[str] | None:
            if not matrix.take_over(_MOST_TAKEN_OVER):
                return None
            return matrix.nearest(view, self.vector, count)

        work = 0 if matrix.waiting() <= _FEW else _MOST_AT_ONCE + 1
        found: list[str] | None = yield from _at_ease(work, find)
        return found


def refuse_others(field: AnyField, told: Described | None, vector: Array) -> Described:
    """What a question's vector is made with. Raises VectorMismatchError where others are not."""
    asked = described_by(field.provider, len(vector), field.keeper.form)
    if told is not None and not asked.agrees(told):
        raise other_model(field.label, told, asked, "nothing was searched")
    return asked


def _at_ease(work: int, function: Callable[[], Any]) -> Plan[Any]:
    """What a function computes: in a thread of its own, if it is long and there is a loop."""
    if work > _MOST_AT_ONCE:
        return (yield Call(function))
    return function()
