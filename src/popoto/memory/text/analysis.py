"""How the words of a text are made, by name.

An analyzer has a name and a version, which stand beside what was indexed with it, so that texts
and questions are never compared in two forms.

    words      as popoto 1.6: runs of letters, digits and underscores in lower case, from three
               characters on, without 52 English stop words
    unicode    folded (see segments.py); words of any script from two characters on, all numbers,
               what is joined without spaces both in parts and whole, scripts without spaces as
               pairs of characters; no stop words
    english, german, …   as unicode, without the stop words of the language, and stems instead of
               words (Snowball)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from popoto.memory.text.forms import other_forms
from popoto.memory.text.segments import folded, pieces
from popoto.memory.text.stemming import LANGUAGES, is_available, stemmer_of, stemmer_version
from popoto.memory.text.stop_words import STOP_WORDS_BY_LANGUAGE
from popoto.memory.text.words import tokenize

__all__ = ["ANALYZERS", "UNICODE", "WORDS", "Analyzer", "analyzer_named"]

#: Raised with every change of what folding, segments, parts or stop words make of a text.
_VERSION: Final = "1"
#: Where it is only those of one language that have changed.
_VERSIONS: Final = {"english": "2"}
#: Numbers, and what is joined, have no endings.
_STAYS: Final = re.compile(r"\d|[^\w\u0300-\u0dff]")
_NO_STOP_WORDS: Final[frozenset[str]] = frozenset()
#: What English joins to a word with an apostrophe: "Anna's", "we'll". What negates stays joined.
_JOINED: Final = re.compile(r"(?<=\w)'(?:s|ll|ve|re|d|m)(?!\w)")


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Makes words of texts: in order, repeats included.

    `name`     by which it is known
    `version`  another one where the same text gives other words
    `words`    text -> words, which must not contain spaces
    `forms`    word -> other forms of it, by which `recall` widens a question; for words that are
               kept as they are

    Words of the analyzer "words" are those of popoto 1.6, whose indexes name no analyzer.
    """

    name: str
    version: str | int
    words: Callable[[str], list[str]]
    forms: Callable[[str], list[str]] | None = None

    @property
    def mark(self) -> str:
        """By what an index tells that it was made with this."""
        return "" if self.name == "words" else f"{self.name} {self.version}"


def _plain_words(text: str) -> list[str]:
    return tokenize(text, unique=False)


def _tells(part: str) -> bool:
    """Whether a part is more than a letter. Those of scripts of pairs have a meaning alone."""
    return len(part) > 1 or part.isdigit() or part > "\u0e00"


def _unicode_words(text: str) -> list[str]:
    return [part for piece in pieces(folded(text)) for part in piece if _tells(part)]


def _words_of(language: str) -> Callable[[str], list[str]]:
    stem, stops = stemmer_of(language), STOP_WORDS_BY_LANGUAGE.get(language, _NO_STOP_WORDS)

    def words(text: str) -> list[str]:
        text = folded(text)
        if language == "english" and "'" in text:
            # "Anna's" is "Anna", "we'll" is "we" and not "well"; "don't" is one word.
            text = _JOINED.sub("", text).replace("'", "")
        return [
            part if _STAYS.search(part) else stem(part)
            for piece in pieces(text)
            for part in piece
            if part not in stops and _tells(part)
        ]

    return words


WORDS: Final = Analyzer("words", _VERSION, _plain_words, other_forms)
UNICODE: Final = Analyzer("unicode", _VERSION, _unicode_words, other_forms)
#: The names of all analyzers.
ANALYZERS: Final = (WORDS.name, UNICODE.name, *LANGUAGES)


@cache
def analyzer_named(name: str) -> Analyzer:
    """The analyzer of that name. Raises LookupError for none, ImportError for a missing package."""
    if name == WORDS.name:
        return WORDS
    if name == UNICODE.name:
        return UNICODE
    if name not in LANGUAGES:
        raise LookupError(f"there is no analyzer {name!r}")
    if not is_available():
        raise ImportError("snowballstemmer is not installed")
    version = _VERSIONS.get(name, _VERSION)
    return Analyzer(name, f"{version} snowball {stemmer_version()}", _words_of(name))
