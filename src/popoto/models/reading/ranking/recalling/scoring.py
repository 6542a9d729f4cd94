"""Scores of candidates: what each signal says of each, and their weighted sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from popoto.memory.bm25.formula import inverse_frequency
from popoto.memory.recall.formula import greatest_words, length_value
from popoto.models.reading.ranking.recalling.asked import (
    ASSOCIATIONS,
    LENGTH,
    MEANING,
    WORDS,
    Signals,
)
from popoto.models.reading.ranking.recalling.candidates import Candidate, Told
from popoto.models.reading.ranking.recalling.meaning import Meaning

__all__ = ["Scores", "put_candidates"]


@dataclass(slots=True)
class Scores:
    """Values of candidates by signal and by record key, and what each signal counts."""

    weights: Mapping[str, float]
    candidates: dict[str, Candidate] = field(default_factory=dict[str, Candidate])
    values: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    #: those that nobody has looked at
    unseen: set[str] = field(default_factory=set[str])

    def put(self, name: str, values: Mapping[str, float]) -> None:
        """Set values of one signal, if it counts; who has none has 0."""
        if name in self.weights:
            self.values.setdefault(name, {}).update(values)

    def totals(self, names: Iterable[str] | None = None) -> dict[str, float]:
        """The weighted sums of candidates, of all signals or of these."""
        found = dict.fromkeys((*self.candidates, *self.unseen), 0.0)
        for name in self.values if names is None else names:
            weight, values = self.weights.get(name, 0.0), self.values.get(name, {})
            for key in found:
                found[key] += weight * values.get(key, 0.0)
        return found

    def ranked(self) -> list[tuple[str, float]]:
        """Keys and scores, best first; of equal ones the lesser key first."""
        totals = self.totals().items()
        return sorted(totals, key=lambda each: (-each[1], each[0].encode("utf-8")))


def put_candidates(
    scores: Scores,
    signals: Signals,
    told: Told,
    meaning: Meaning | None,
    associated: Mapping[str, float],
) -> None:
    """Take over what a call has told of candidates, and how near they are to the question."""
    keys = [each.row.key for each in told.found]
    scores.candidates |= zip(keys, told.found, strict=True)
    idfs = [inverse_frequency(told.documents, each) for each in told.holders if each]
    greatest = greatest_words(idfs)
    scores.put(WORDS, {each.row.key: each.words / greatest for each in told.found})
    scores.put(
        LENGTH, {each.row.key: length_value(each.length, told.average) for each in told.found}
    )
    if meaning is not None:
        scores.put(MEANING, meaning.of(keys))
    scores.put(ASSOCIATIONS, {key: min(associated[key], 1.0) for key in keys if key in associated})
    for place, memory in enumerate(signals.memory):
        scores.put(
            memory.name, {each.row.key: memory.read(each.memory[place]) for each in told.found}
        )
