"""How near the vectors of records are to a question, of which the telling part counts most."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import itemgetter

from popoto.engine.request import Plan
from popoto.fields.vectors.embedding import (
    Worded,
    answered,
    embedded,
    embedded_by_word,
    provider_failure,
)
from popoto.fields.vectors.keeper import Seen, VectorKeeper
from popoto.memory.recall.formula import FULL_QUESTION
from popoto.memory.vectors.arrays import Array, numpy, unit
from popoto.memory.vectors.matrix import View
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.comparing import Search

__all__ = ["Meaning", "compared", "no_vectors"]

logger = logging.getLogger("POPOTO.Query")

#: Cosines up to this say that texts have nothing in common: it is what float32 may leave of 0.
NOTHING_IN_COMMON = 1e-6


def no_vectors() -> Plan[list[Seen]]:
    """What there is to compare where no field has vectors."""
    return []
    yield  # a plan, though it asks for nothing


@dataclass(frozen=True, slots=True)
class Compared:
    """A question, compared with the vectors of one place."""

    keeper: VectorKeeper
    seen: Seen
    view: View
    similar: Array

    def nearest(self) -> Iterator[tuple[str, float]]:
        """Keys and similarities, nearest first; those that are unlike are none."""
        return self.view.best(self.similar, least=NOTHING_IN_COMMON, above=True)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A question, compared with all vectors of a model: those of each shard by themselves."""

    vector: Array
    parts: Sequence[Compared]
    #: the question's words, where the provider tells them
    words: Worded | None = None

    def best(self, most: int) -> list[str]:
        """The keys of so many records, nearest first; those that are unlike are none."""
        return [key for key, _ in islice(self._nearest(), most)]

    def best_that(self, matches: Callable[[str], bool], most: int) -> list[str]:
        """The same of those whose keys will do."""
        return list(islice((key for key, _ in self._nearest() if matches(key)), most))

    def _nearest(self) -> Iterator[tuple[str, float]]:
        found = [part.nearest() for part in self.parts]
        # Equal ones in reverse order of keys, as each of them has them.
        by_score = itemgetter(1, 0)
        return found[0] if len(found) == 1 else merge(*found, key=by_score, reverse=True)

    def best_of(self, keys: Iterable[str], most: int) -> list[str]:
        """The same of these records alone."""
        near = [(score, key) for key, score in self.of(keys).items() if score > NOTHING_IN_COMMON]
        near.sort(key=lambda each: (-each[0], each[1].encode("utf-8")))
        return [key for _, key in near[:most]]

    def of(self, keys: Iterable[str]) -> dict[str, float]:
        """The cosines of these records, as far as they have a vector."""
        wanted, found = list(keys), dict[str, float]()
        for part in self.parts:
            found |= part.view.of(part.similar, wanted)
        return found

    def forget(self, keys: Collection[str]) -> None:
        """Forget records that were found gone."""
        for part in self.parts:
            part.keeper.forget(keys, part.seen)

    def in_company(self, keys: Sequence[str], before: float, after: float) -> dict[str, float]:
        """The cosines of records in order, each vector with parts of its neighbours'."""
        np = numpy()
        rows = np.zeros((len(keys), len(self.vector)), dtype=np.float32)
        has_vector = np.zeros(len(keys), dtype=bool)
        for part in self.parts:
            places = [part.view.places.get(key) for key in keys]
            is_here = np.array([place is not None for place in places], dtype=bool)
            rows[is_here] = part.view.rows[[place for place in places if place is not None]]
            has_vector |= is_here
        joined = rows.copy()
        joined[1:] += before * rows[:-1]
        joined[:-1] += after * rows[1:]
        lengths = np.linalg.norm(joined, axis=1)
        cosines = joined @ self.vector / np.where(lengths > 0, lengths, 1)
        return {
            key: float(cosine)
            for key, cosine, is_known in zip(keys, cosines, has_vector, strict=True)
            if is_known
        }


def compared(
    field: AnyField, seen: Sequence[Seen], question: str, telling: str, *, has_words: bool
) -> Plan[tuple[Meaning | None, str]]:
    """A question, compared with what there is in each place, and why there is nothing to compare.

    Without a provider, without vectors and where the provider fails, words alone decide, if
    there are words; a failure is logged. Raises RuntimeError for one where there are none,
    VectorMismatchError where another model has made the vectors.
    """
    provider = field.provider
    if provider is None:
        return None, f"{field.label} has no embedding provider: meaning does not count"
    views = [(each, each.view) for each in seen if each.view is not None]
    if not views:
        return None, f"{field.label} has no vectors: meaning does not count"
    try:
        asked = yield from _asked(field, [question, telling])
        answered(provider, asked[0])
    except Exception as error:
        failure = provider_failure(field.label, error, "words alone decide")
        if not has_words or isinstance(failure, ValueError):
            raise provider_failure(field.label, error, "nothing was searched") from error
        logger.warning("%s", failure)
        return None, str(failure)
    vectors, words = asked
    vector = _question_vector(vectors)
    if vector is None:
        return None, f"{field.label}: the question has no vector; meaning does not count"
    parts: list[Compared] = []
    for each, view in views:
        search = Search.against(field, each, view, vector)
        yield from search.compare()
        parts.append(Compared(search.keeper, each, view, search.similar))
    return Meaning(vector, parts, words), ""


def _asked(field: AnyField, texts: Sequence[str]) -> Plan[tuple[list[Array | None], Worded | None]]:
    """The vectors of a question and its telling part, and the question's words."""
    if not field.tells_words:
        return (yield from embedded(field.provider, texts, "query")), None
    found = yield from embedded_by_word(field.provider, texts, "query")
    return [None if each is None else each.vector for each in found], found[0]


def _question_vector(found: Sequence[Array | None]) -> Array | None:
    whole, telling = found
    if whole is None or telling is None or not (whole.any() and telling.any()):
        return None
    return unit(unit(telling) + FULL_QUESTION * unit(whole))
