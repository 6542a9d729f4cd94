"""How the words of a text are made, by name.

An analyzer has a name and a version, which stand beside what was indexed with it, so that texts
and questions are never compared in two forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from popoto.memory.text.words import tokenize

__all__ = ["ANALYZERS", "WORDS", "Analyzer"]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Makes words of texts: in order, repeats included.

    `name`     by which it is chosen and known; letters, digits, "-", "_" and "."
    `version`  another one where the same text gives other words
    `words`    text -> words, which must not contain white space

    Words of the analyzer "words" are those of popoto 1.6, whose indexes name no analyzer.
    """

    name: str
    version: int
    words: Callable[[str], list[str]]

    @property
    def mark(self) -> str:
        """By what an index tells that it was made with this."""
        return "" if self.name == "words" else f"{self.name} {self.version}"


def _words(text: str) -> list[str]:
    return tokenize(text, unique=False)


WORDS: Final = Analyzer("words", 1, _words)
ANALYZERS: Final[Mapping[str, Analyzer]] = {WORDS.name: WORDS}
