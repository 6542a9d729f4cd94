"""What became of every question of a gold file, the numbers that follow, and what to assert."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from popoto.testing.gold import GoldQuestion

__all__ = ["Answered", "RecallReport"]

#: How many questions a failed assertion names.
NAMED = 10
#: Means are sums of fractions: what is this near counts as reached.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Answered:
    """One question and what was found for it.

    `found` are the names of the results, best first. `ranks` says of every answer that was found
    at which place, from 1. `seconds` is how long it took.
    """

    question: GoldQuestion
    found: tuple[str, ...]
    ranks: Mapping[str, int]
    seconds: float

    def recall(self, at: int) -> float:
        """The part of the answers that stands among the first `at` results."""
        return sum(rank <= at for rank in self.ranks.values()) / len(self.question.answers)

    def hit(self, at: int) -> float:
        """1 if any answer stands among the first `at` results, else 0."""
        return float(any(rank <= at for rank in self.ranks.values()))

    @property
    def reciprocal_rank(self) -> float:
        """1 / the place of the first answer; 0 if none was found."""
        return 1 / min(self.ranks.values()) if self.ranks else 0.0

    def ndcg(self, at: int) -> float:
        """Discounted gain of the first `at` results, by that of the best possible order.

        Relevance is 0 or 1 (Järvelin, Kekäläinen 2002): 1 / log2(1 + place) for every answer.
        """
        best = sum(_gain(place) for place in range(1, min(at, len(self.question.answers)) + 1))
        return sum(_gain(rank) for rank in self.ranks.values() if rank <= at) / best

    def down_to(self, at: int) -> Answered:
        """The same, as if only the first `at` results had been asked for."""
        ranks = {answer: rank for answer, rank in self.ranks.items() if rank <= at}
        return replace(self, found=self.found[:at], ranks=ranks)

    def missed(self, at: int | None = None) -> list[str]:
        """The answers that do not stand among the first `at` results, or anywhere."""
        return [
            answer
            for answer in self.question.answers
            if self.ranks.get(answer, math.inf) > (at or len(self.found))
        ]


def _gain(place: int) -> float:
    return 1 / math.log2(1 + place)


@dataclass(frozen=True)
class RecallReport:
    """How well a retriever answered the questions of a gold file. `print` it to read it.

    `at` are the cuts at which recall was asked for; nothing below the last one counts.
    """

    name: str
    at: tuple[int, ...]
    answered: tuple[Answered, ...]

    @property
    def measures(self) -> dict[str, float]:
        """Each measure by name, a mean over all questions, from 0 to 1.

        ``recall_at_5`` (part of the answers among the first 5), ``hit_at_5`` (whether any is),
        ``ndcg_at_5``, each for every cut, and ``mrr``.
        """
        found = {
            f"{name}_at_{at}": fmean(measure(each, at) for each in self.answered)
            for name, measure in MEASURES.items()
            for at in self.at
        }
        found["mrr"] = fmean(each.reciprocal_rank for each in self.answered)
        return found

    def seconds(self, percentile: float) -> float:
        """The time within which `percentile` of a hundred questions were answered, in seconds."""
        times = sorted(each.seconds for each in self.answered)
        return times[max(0, math.ceil(len(times) * percentile / 100) - 1)]

    @property
    def tags(self) -> list[str]:
        """All tags, in order."""
        return sorted({tag for each in self.answered for tag in each.question.tags})

    def tagged(self, tag: str) -> RecallReport:
        """The report of the questions with this tag. Raises KeyError if there are none."""
        chosen = tuple(each for each in self.answered if tag in each.question.tags)
        if not chosen:
            raise KeyError(f"no question has the tag {tag!r}; there are {self.tags}")
        return RecallReport(f"{self.name}, {tag}", self.at, chosen)

    def __str__(self) -> str:
        measures = self.measures
        shown = [*(f"recall_at_{at}" for at in self.at), "mrr", f"ndcg_at_{self.at[-1]}"]
        numbers = "  ".join(f"{name.replace('_at_', '@')} {measures[name]:.2f}" for name in shown)
        times = "  ".join(f"p{part} {self.seconds(part) * 1000:.1f} ms" for part in (50, 95, 100))
        return f"{self.name}, {len(self.answered)} questions\n  {numbers}\n  {times}"

    def assert_at_least(self, **least: float) -> None:
        """Raise AssertionError unless every measure named has this value: ``recall_at_5=0.6``.

        Its message has the measures that fall short, and the questions that lack most with what
        was missed. Raises ValueError for a measure that there is not, and one that is no part of 1.
        """
        if not least:
            raise TypeError("assert_at_least() asserts nothing: give measures, as recall_at_5=0.6")
        measures = self.measures
        for name, value in least.items():
            if name not in measures:
                raise ValueError(f"no measure {name!r}; there are {', '.join(sorted(measures))}")
            if not 0 <= value <= 1:
                raise ValueError(f"{name} lies between 0 and 1, not at {value}")
        short = [name for name, value in least.items() if measures[name] < value - ROUNDING]
        if short:
            at = max((int(name.rpartition("_")[2]) for name in short if name != "mrr"), default=1)
            numbers = [f"{name} is {measures[name]:.3f}, not {least[name]:.3f}" for name in short]
            lacking = sorted(
                (each for each in self.answered if each.missed(at)),
                key=lambda each: each.recall(at),
            )
            raise AssertionError(
                f"{self.name} falls short on {len(self.answered)} questions:\n"
                f"{_lines(numbers)}\nNot among the first {at}:\n"
                f"{_lines(_lack(each, at) for each in lacking)}"
            )

    def assert_no_worse_than(
        self, before: RecallReport | str | Path, tolerance: float = 0.0
    ) -> None:
        """Raise AssertionError where a measure has fallen by more than `tolerance`.

        `before` is an earlier report, or the file where it was saved. Questions that both have
        with the same answers are compared. The message has the measures that fell, and the
        questions whose answers are lost or further down. Raises ValueError if nothing is the same.
        """
        earlier = before if isinstance(before, RecallReport) else RecallReport.load(before)
        old = {each.question.question: each for each in earlier.answered}
        at = tuple(cut for cut in self.at if cut in earlier.at)
        depth = at[-1] if at else 0
        pairs = [
            (old[new.question.question].down_to(depth), new.down_to(depth))
            for new in self.answered
            if new.question.question in old
            and set(old[new.question.question].question.answers) == set(new.question.answers)
        ]
        if not pairs or not at:
            raise ValueError("the two reports have no question, or no cut, in common")
        was = RecallReport(earlier.name, at, tuple(one for one, _ in pairs)).measures
        now = RecallReport(self.name, at, tuple(other for _, other in pairs)).measures
        fallen = [name for name in was if now[name] < was[name] - tolerance - ROUNDING]
        if fallen:
            numbers = [f"{name} {was[name]:.3f} → {now[name]:.3f}" for name in fallen]
            worse = (line for one, other in pairs for line in _worse(one, other))
            raise AssertionError(
                f"{self.name} got worse on {len(pairs)} questions:\n"
                f"{_lines(numbers)}\nLost, or further down:\n{_lines(worse)}"
            )

    def save(self, path: str | Path) -> None:
        """Write the report to a file, a JSON that `load` reads, for later comparisons."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> RecallReport:
        """A report that was saved. Raises ValueError for a file of another kind."""
        try:
            given: Any = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(
                given["name"],
                tuple(int(at) for at in given["at"]),
                tuple(_answered(each) for each in given["answered"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is no saved report ({error!r}): save one anew") from error


#: What is measured at each cut.
MEASURES: dict[str, Callable[[Answered, int], float]] = {
    "recall": Answered.recall,
    "hit": Answered.hit,
    "ndcg": Answered.ndcg,
}


def _answered(given: Any) -> Answered:
    asked = given["question"]
    return Answered(
        GoldQuestion(asked["question"], tuple(asked["answers"]), tuple(asked["tags"])),
        tuple(given["found"]),
        {str(answer): int(rank) for answer, rank in given["ranks"].items()},
        float(given["seconds"]),
    )


def _lack(answered: Answered, at: int) -> str:
    found = [*answered.found[:3], *(["…"] if len(answered.found) > 3 else [])]
    missed = (f"{answer}{_place(answered, answer)}" for answer in answered.missed(at))
    return (
        f"{answered.question.question!r} missed {', '.join(missed)}; "
        f"found {', '.join(found) or 'nothing'}"
    )


def _place(answered: Answered, answer: str) -> str:
    return f" (at {answered.ranks[answer]})" if answer in answered.ranks else ""


def _worse(one: Answered, other: Answered) -> list[str]:
    """The answers of a question that are lost, or stand lower now."""
    return [
        f"{one.question.question!r} {answer}: {rank} → {other.ranks.get(answer, 'not found')}"
        for answer, rank in one.ranks.items()
        if other.ranks.get(answer, math.inf) > rank
    ]


def _lines(given: Iterable[str]) -> str:
    """The first of these, each on a line of its own."""
    lines = [f"  {line}" for line in given]
    more = [f"  … and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "\n".join(lines[:NAMED] + more)
