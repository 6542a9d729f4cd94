"""Ways to retrieve what cues pull: by the weights of signals, by words, by words and meaning.

Words and meaning rank as `recall` does (`popoto.memory.recall.formula`). Only what these find is a
candidate: signals of memory move candidates and bring none in, except that an associated record
may come along. Whichever way keys are ranked, the call that reads their records adds what
associations lift, and sees to it that they match.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.exceptions import QueryException
from popoto.memory.composite.signals import Signal, given
from popoto.memory.recall.formula import WEIGHTS
from popoto.models.reading.ranking.asked import Scoring
from popoto.models.reading.ranking.composite import composite_ranking, composite_score
from popoto.models.reading.ranking.recalling.asked import (
    LENGTH,
    MEANING,
    OF_TEXT,
    WORDS,
    Recalling,
    told_of_order,
    told_of_words,
)
from popoto.models.reading.ranking.recalling.recall import recall_ranking
from popoto.models.reading.ranking.recalling.under_way import UnderWay
from popoto.recipes.assembling.asked import Asked

__all__ = ["Retrieval", "mode_of", "retrieval", "searched_by"]

Ranking: TypeAlias = list[tuple[str, float]]

#: How far a ranking reaches, in results that are wanted.
_REACH: Final = 2
#: What the first place by the signals of memory counts: a fifth of the question's words.
_OF_SIGNALS: Final = 0.2
_APART: Final = 1e-9


class Retrieval(ABC):
    """The best candidates for what is asked: ranked first, by keys alone, and read once.

    `lifting`: what reading adds to the scores of some, which may come along that were not ranked.
    """

    #: what full activation by an association adds, in scores of the ranking
    lift_weight: float
    #: whether `read` ranks as well, so that nothing has to be ranked before
    reads_at_once: bool = False

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @abstractmethod
    def ranked(self, limit: int) -> Plan[Ranking]:
        """Keys and scores of at most so many records, best first; some may be gone."""

    @abstractmethod
    def read(self, ranking: Ranking, limit: int, lifting: Sequence[Signal] = ()) -> Plan[list[Any]]:
        """At most so many of these records, best first. One round trip."""


class BySignals(Retrieval):
    """By the weighted signals alone: what the cues say does not count. One round trip."""

    lift_weight = 1.0
    reads_at_once = True

    def ranked(self, limit: int) -> Plan[Ranking]:
        return composite_ranking(self.asked.spec, Scoring(self.asked.weights, limit))

    def read(self, ranking: Ranking, limit: int, lifting: Sequence[Signal] = ()) -> Plan[list[Any]]:
        # Ranked anew: with a lift, others than the first so many may be among the best.
        further = [(lift, self.lift_weight) for lift in lifting]
        scoring = Scoring(self.asked.weights, limit, further=further)
        return composite_score(self.asked.spec, scoring)


class ByText(Retrieval):
    """By the words of the cues, or by their meaning as well, as `recall` ranks. One round trip.

    Three more, at most, where many records match conditions on other fields than those of the key;
    and what it costs to look before and after, where the model tells the order of its records.
    Vectors of records that are gone cost two or more, where too few others are found.
    """

    lift_weight = WEIGHTS["associations"]

    def __init__(self, asked: Asked, *, meaning: bool) -> None:
        super().__init__(asked)
        self._signals = OF_TEXT if meaning else (WORDS, LENGTH)
        self._recall: UnderWay | None = None
        self._by_signals: list[Ranking] = []

    def ranked(self, limit: int) -> Plan[Ranking]:
        asked, spec = self.asked, self.asked.spec
        text = "\n".join(str(cue) for cue in asked.cues.values() if cue is not None)
        if not text.strip():
            return []
        words = asked.keywords
        of_words = told_of_words(spec, words) if MEANING in self._signals else ()
        signals = (*self._signals, *of_words, *told_of_order(spec.options))
        recalling = Recalling(text, _REACH * limit, words, signals=signals, verified=False)
        plans: list[Plan[Any]] = [recall_ranking(spec, recalling)]
        if asked.weights:
            plans.append(composite_ranking(spec, Scoring(asked.weights, 2 * _REACH * limit)))
        self._recall, *self._by_signals = yield from together(*plans)
        return self._ranking()

    def _ranking(self) -> Ranking:
        scores = cast("UnderWay", self._recall).best
        for ranking in self._by_signals:
            for place, (key, _) in enumerate(ranking):
                if key in scores:
                    scores[key] += _OF_SIGNALS * (1 - place / len(ranking))
        best = sorted(scores.items(), key=lambda each: each[1], reverse=True)
        # Equal ones stay in this order, whoever reads them.
        return [(key, score - place * _APART) for place, (key, score) in enumerate(best)]

    def read(self, ranking: Ranking, limit: int, lifting: Sequence[Signal] = ()) -> Plan[list[Any]]:
        records = yield from self._read(ranking, limit, lifting)
        recall = self._recall
        if recall is None or recall.replace is None or len(records) >= limit:
            return records
        # All that match have been read: of those that nobody had looked at, the others are gone.
        unread = recall.scores.unseen & {key for key, _ in ranking}
        gone = unread.difference(record.pk for record in records)
        if not gone:
            return records
        yield from recall.replace(gone)
        recall.rank()
        return (yield from self._read(self._ranking(), limit, lifting))

    def _read(self, ranking: Ranking, limit: int, lifting: Sequence[Signal]) -> Plan[list[Any]]:
        further = [(given(dict(ranking)), 1.0), *((lift, self.lift_weight) for lift in lifting)]
        late = None if self._recall is None else self._recall.late
        if late is None:
            plan = composite_score(self.asked.spec, Scoring(None, limit, further=further))
            return (yield from plan)
        # All of them are read, with their words beside: which are the best is known after that.
        scoring = Scoring(None, max(limit, len(ranking)), further=further)
        records, words = yield from together(composite_score(self.asked.spec, scoring), late.read())
        return self._compared(records, words)[:limit]

    def _compared(self, records: list[Any], words: Mapping[str, bytes]) -> list[Any]:
        """The records in order, after their words were compared with the question's."""
        recall = cast("UnderWay", self._recall)
        before = dict(recall.ranked)
        recall.compare(words)
        after = dict(recall.ranked)
        for record in records:
            if record.pk in before:
                record._composite_score += after[record.pk] - before[record.pk]
        return sorted(records, key=lambda each: each._composite_score, reverse=True)


#: By name of the mode, and what a model must have for it, as its options list fields.
_MODES: Final[Mapping[str, tuple[Callable[[Asked], Retrieval], tuple[str, ...]]]] = {
    "hybrid": (partial(ByText, meaning=True), ("keywords", "embedding")),
    "lexical": (partial(ByText, meaning=False), ("keywords",)),
    "composite": (BySignals, ()),
}


def searched_by(model: Any, content_field: str | None) -> str | None:
    """The BM25Field whose words are searched: of several that of the content, or the first."""
    fields = model._meta.listed("keywords")
    found = [each.name for each in fields if each.source == content_field]
    return next(iter((*found, *(each.name for each in fields))), None)


def mode_of(model: Any, wanted: str) -> str:
    """The mode to retrieve by: the wanted one; `auto` is the first that the model allows.

    Raises QueryException for a mode that it does not allow, or that is none.
    """
    if wanted not in ("auto", *_MODES):
        raise QueryException(f"retrieval_mode must be auto, {', '.join(_MODES)}; got {wanted!r}")
    allowed = [
        mode
        for mode, (_, words) in _MODES.items()
        if all(model._meta.listed(word) for word in words)
    ]
    if wanted == "auto":
        return allowed[0]
    if wanted not in allowed:
        raise QueryException(
            f"{model.__name__} cannot be searched like this: retrieval_mode={wanted!r} needs a "
            "BM25Field, hybrid an EmbeddingField as well; composite ranks by score_weights alone"
        )
    return wanted


def retrieval(asked: Asked) -> Retrieval:
    """The way to retrieve what is asked."""
    made, _ = _MODES[asked.mode]
    return made(asked)
