"""`NamedSearch`: a question whose nearest a vector set of the server names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from popoto.engine.request import Plan
from popoto.fields.vectors.keeper import Seen, VectorKeeper, told_of
from popoto.fields.vectors.naming import VectorSet
from popoto.memory.vectors.arrays import Array
from popoto.memory.vectors.matrix import Matrix, View
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.comparing import Search, refuse_others

__all__ = ["NamedSearch"]


@dataclass(slots=True, kw_only=True)
class NamedSearch(Search):
    """No vectors are read but those of the nearest, unless every one has to be compared."""

    asked_of: AnyField
    vector_set: VectorSet
    #: what is known already, by record
    known: dict[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def asked(cls, of: AnyField, keeper: VectorKeeper, among: VectorSet, vector: Array) -> Self:
        """A question that nobody has been asked yet."""
        seen = Seen(Matrix(), None, None)
        view = View.of_nothing(len(vector))
        return cls(keeper, seen, view, vector, asked_of=of, vector_set=among)

    def compare(self) -> Plan[None]:
        if self.similar is not None:
            return
        found = Search.among_seen(self.asked_of, (yield from self.keeper.seen()), self.vector)
        if found is None:
            self.similar = self.view.similarities(self.vector)
            return
        yield from found.compare()
        self.seen, self.view, self.similar = found.seen, found.view, found.similar

    def among(self, keys: Collection[str]) -> Plan[dict[str, float]]:
        if self.similar is not None:
            return self.view.of(self.similar, keys)
        unknown = [key for key in keys if key not in self.known]
        self.known |= yield from self.vector_set.compared(self.vector, unknown)
        return {key: self.known[key] for key in keys if key in self.known}

    def nearest(self, count: int) -> Plan[list[str] | None]:
        named = yield from self.vector_set.nearest(self.vector, count)
        if named is None:
            return None
        told = told_of(self.vector_set.note, named.described)
        refuse_others(self.asked_of, told, self.vector)
        self.known = named.similar
        self.has_all = len(named.similar) >= named.size
        return list(named.similar)
