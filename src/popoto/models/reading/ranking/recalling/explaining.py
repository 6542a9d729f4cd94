"""Why a recall found what it did, and why it left out what it did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from popoto.models.reading.ranking.recalling.scoring import Scores

__all__ = ["Explained", "RecallExplanation", "Recalled", "Rule", "SignalPart", "parts_of"]

Row = TypeVar("Row")

#: By what rule a candidate is no result: it does not meet the conditions of the query, it does not
#: exist any more, it scores less than `min_score`, it stands before `offset` or behind the limit.
Rule: TypeAlias = Literal["condition", "gone", "min_score", "offset", "limit"]


@dataclass(frozen=True, slots=True)
class SignalPart:
    """What one signal says of a record: weight times value is its part of the score.

    `rank`: the place of the value among those of all candidates, from 1; equal ones share it.
    """

    name: str
    value: float
    weight: float
    rank: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A candidate: its score and parts (none, if it was never scored), and what dropped it."""

    key: str
    score: float | None
    parts: tuple[SignalPart, ...]
    rule: Rule | None = None

    def __getitem__(self, name: str) -> SignalPart:
        """The part of a signal. Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def __str__(self) -> str:
        score = "" if self.score is None else f" {self.score:.3f}"
        parts = ", ".join(
            f"{each.name} {each.value:.3f} * {each.weight:g} (rank {each.rank})"
            for each in self.parts
        )
        head = f"{self.key}{score}" if self.rule is None else f"{self.key}{score} [{self.rule}]"
        return f"{head}: {parts}" if parts else head


@dataclass(frozen=True, slots=True)
class RecallExplanation:
    """How a recall was found. ``str()`` gives all of it as text.

    `question`  the text that was asked for; `telling` without what is too common to tell
    `results`   the records that were found, best first
    `dropped`   every other candidate, with the rule that dropped it; the best first
    `reach`     how many candidates words, meaning and associations have brought. Whoever is none,
                stood behind these in each of them
    `notes`     what did not count, and why
    """

    model_name: str
    question: str
    telling: str
    results: tuple[Explained, ...]
    dropped: tuple[Explained, ...]
    reach: dict[str, int]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        reach = ", ".join(f"{number} by {name}" for name, number in self.reach.items())
        lines = [f"Recall of {self.model_name}: {self.question!r}"]
        if self.telling != self.question:
            lines.append(f"  what tells records apart: {self.telling!r}")
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  candidates: {reach or 'none'}")
        lines += [f"  {place}. {each}" for place, each in enumerate(self.results, 1)]
        lines += [f"  dropped {each}" for each in self.dropped]
        return "\n".join(lines)

    __repr__ = __str__


class Recalled(list[Row]):
    """The results of a recall, best first: a list that can explain how it was found."""

    def __init__(self, found: Iterable[Row], explanation: RecallExplanation) -> None:
        super().__init__(found)
        self._explanation = explanation

    def explain(self) -> RecallExplanation:
        """Each result's signals, and what dropped each other candidate. Sends nothing."""
        return self._explanation


def parts_of(scores: Scores, keys: Sequence[str]) -> dict[str, tuple[SignalPart, ...]]:
    """The parts of these candidates' scores, by key."""
    found: dict[str, list[SignalPart]] = {key: [] for key in keys}
    for name, values in scores.values.items():
        every = [values.get(key, 0.0) for key in scores.candidates]
        rank_of: dict[float, int] = {}
        for place, value in enumerate(sorted(every, reverse=True), 1):
            rank_of.setdefault(value, place)
        for key, parts in found.items():
            value = values.get(key, 0.0)
            parts.append(SignalPart(name, value, scores.weights[name], rank_of[value]))
    return {key: tuple(parts) for key, parts in found.items()}
