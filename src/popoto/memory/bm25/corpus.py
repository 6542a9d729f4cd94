"""What an index of words says of all its documents, or several indexes of all of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from popoto.engine.request import Argument
from popoto.memory.bm25.documents import postings_key

__all__ = ["Corpus"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """How many documents there are, with how many words, and how many hold each word of a question.

    Sums of those of several shards weigh words as one index of all their documents does.
    """

    documents: int
    words: int
    holders: tuple[int, ...]

    @staticmethod
    def commands(stem: str, terms: Iterable[str]) -> list[tuple[Argument, ...]]:
        """What tells that of an index."""
        held: list[tuple[Argument, ...]] = [("ZCARD", postings_key(stem, term)) for term in terms]
        return [("GET", f"{stem}:n"), ("GET", f"{stem}:avgdl"), *held]

    @classmethod
    def told(cls, documents: Any, average: Any, *holders: Any) -> Self:
        """What these commands reply, or a script in their place."""
        number = _number(documents)
        # The average is kept with 14 digits: that of a whole number of words tells it exactly.
        return cls(int(number), int(_number(average) * number + 0.5), tuple(map(int, holders)))

    @classmethod
    def summed(cls, parts: Iterable[Corpus]) -> Self:
        """That of several indexes together; of one at least."""
        every = list(parts)
        held = zip(*(each.holders for each in every), strict=True)
        documents = sum(each.documents for each in every)
        return cls(documents, sum(each.words for each in every), tuple(map(sum, held)))

    @property
    def arguments(self) -> list[Argument]:
        """As scripts are told it, which would ask their own index otherwise."""
        return [self.documents, self.words, *self.holders]


def _number(told: Any) -> float:
    try:
        return float(told or 0)
    except ValueError:
        return 0.0
