"""What a ranking has done: what it was asked, how many members it looked at, and its costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

__all__ = ["Ranked", "RankingExplanation", "Story"]

Row = TypeVar("Row")

#: What the script says of the way that it went, and what that means.
_STOPS: Final = {
    "bound": "where nobody behind could be better any more",
    "keys": "when enough were found in the order of keys: very many share the highest score",
    "all": "at the end: every member was looked at",
    "asked": "at the end of the records that the conditions find",
    "nothing": "before it began: nothing is asked for, or nothing can match",
}


@dataclass(slots=True)
class Story:
    """What the calls of a ranking have told so far."""

    way: str = "nothing"
    members: int = 0
    scored: int = 0
    round_trips: int = 0

    def add(self, other: Story) -> None:
        """Take in what the ranking of another shard has told."""
        self.way = other.way
        self.members += other.members
        self.scored += other.scored
        self.round_trips += other.round_trips


@dataclass(slots=True, frozen=True)
class RankingExplanation:
    """How a ranking was found. ``str()`` gives all of it as text.

    `asked`      what was asked for: how many, by which field, rate and base, as of when
    `operands`   the conditions, a line each as in `Explanation`; empty where the whole
                 partition is ranked
    `members`    how many records the ranked index holds
    `scored`     of how many of them the score was computed
    `stopped`    where the search ended, and why
    `round_trips`  how many finding them took; related records and read hooks are not counted
    """

    model_name: str
    asked: str
    operands: tuple[str, ...]
    members: int
    scored: int
    stopped: str
    round_trips: int

    @classmethod
    def of(
        cls, model_name: str, asked: str, operands: Iterable[str], story: Story
    ) -> RankingExplanation:
        """What is told of a ranking that is finished."""
        return cls(
            model_name,
            asked,
            tuple(operands),
            story.members,
            story.scored,
            _STOPS[story.way],
            story.round_trips,
        )

    def __str__(self) -> str:
        lines = [f"Ranking of {self.model_name}: {self.asked}"]
        lines += [f"  {line}" for line in self.operands]
        lines += [
            f"  scored {self.scored} of {self.members} member(s)",
            f"  stopped {self.stopped}",
            f"  took {self.round_trips} round trip(s)",
        ]
        return "\n".join(lines)

    __repr__ = __str__


class Ranked(list[Row]):
    """The results of a ranking, best first: a list that can explain how it was found."""

    def __init__(self, found: Iterable[Row], explanation: RankingExplanation) -> None:
        super().__init__(found)
        self._explanation = explanation

    def explain(self) -> RankingExplanation:
        """What was asked, how many members were looked at, where it stopped. Sends nothing."""
        return self._explanation
