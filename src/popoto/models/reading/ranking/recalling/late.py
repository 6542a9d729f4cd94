"""Late interaction: the words of the best candidates, each compared with those of the question."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from popoto.engine.request import Plan
from popoto.fields.keeping.shards import all_asked, by_shard
from popoto.fields.vectors.embedding import Worded
from popoto.memory.recall.formula import WORDS_AFTER, WORDS_BEFORE
from popoto.memory.vectors.arrays import Array, numpy
from popoto.memory.vectors.words import count_words, nearest_words
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.recalling.asked import LATE
from popoto.models.reading.ranking.recalling.scoring import Scores
from popoto.models.reading.ranking.recalling.sequence import InOrder
from popoto.models.record.options import ModelOptions

__all__ = ["LateInteraction"]

logger = logging.getLogger("POPOTO.Query")

#: So many of the best candidates are compared word by word; more did not rank them better.
_MOST_COMPARED: Final = 50


@dataclass(slots=True)
class LateInteraction:
    """The words of a question, and the candidates that are to be compared with them."""

    #: whose words, and in which shards
    embedding: AnyField
    options: ModelOptions
    asked: Worded
    #: what each word of the question tells; their sum is 1
    weights: Array
    scores: Scores
    order: InOrder | None = None
    #: the best candidates so far, and what is to be read: theirs, and what stands beside them
    best: list[str] = field(default_factory=list[str])
    read_keys: list[str] = field(default_factory=list[str])

    @classmethod
    def of(
        cls,
        embedding: AnyField,
        options: ModelOptions,
        asked: Worded,
        weights: Sequence[float],
        scores: Scores,
        order: InOrder | None,
    ) -> LateInteraction | None:
        """None where no word of the question tells anything, or nothing is to be compared."""
        total = sum(weights)
        if not total or LATE not in scores.weights:
            return None
        found = cls(embedding, options, asked, numpy().asarray(weights) / total, scores, order)
        found.best = [key for key, _ in scores.ranked()[:_MOST_COMPARED]]
        beside = [near for key in found.best for near in found._beside(key)]
        found.read_keys = list(dict.fromkeys([*found.best, *beside]))
        return found if found.best else None

    def _beside(self, key: str) -> dict[str, float]:
        """What stands just before and after a record, and how much its words count there."""
        if self.order is None:
            return {}
        before, after = self.order.before.get(key), self.order.after.get(key)
        return {
            other: share
            for other, share in ((before, WORDS_BEFORE), (after, WORDS_AFTER))
            if other is not None
        }

    def read(self) -> Plan[Mapping[str, bytes]]:
        """The words of these records. One round trip to each node."""
        parts = yield from by_shard(self.options, self.read_keys)
        told: list[Mapping[str, bytes]] = yield from all_asked(
            parts, lambda each: self.embedding.words_in(each[0].shard).read(each[1])
        )
        return {key: words for found in told for key, words in found.items()}

    def put(self, told: Mapping[str, bytes]) -> None:
        """Set what it says of each candidate, and what follows from that for its session.

        A record of whose words nothing is known is as the mean of the others; those that were
        not compared are as the least of them, and so stay behind.
        """
        near = self._nearness(told)
        values = {key: self._value(key, near) for key in self.best if key in near}
        if not values:
            return
        mean = sum(values.values()) / len(values)
        least = min(values.values()) - mean
        others = self.scores.totals(()).keys() - set(self.best)
        self.scores.put(LATE, dict.fromkeys(others, least))
        self.scores.put(LATE, {key: value - mean for key, value in values.items()})
        if self.order is not None:
            self.order.put_sessions(self.scores)

    def _nearness(self, told: Mapping[str, bytes]) -> dict[str, Array]:
        """For each record, how near the nearest of its words is to each of the question."""
        texts: dict[str, bytes] = {}
        for key, data in told.items():
            try:
                count_words(data, len(self.asked.vector))
            except ValueError as error:
                logger.warning("the words of %r are left out of a recall: %s", key, error)
            else:
                texts[key] = data
        found = nearest_words(self.asked.rows, list(texts.values()))
        return dict(zip(texts, found.T, strict=True))

    def _value(self, key: str, near: Mapping[str, Array]) -> float:
        """The weighted mean over the question's words. What stands beside a record counts less."""
        found = near[key]
        for other, share in self._beside(key).items():
            if other in near:
                found = numpy().maximum(found, share * near[other])
        return float(self.weights @ found)
