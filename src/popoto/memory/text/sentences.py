"""Texts taken apart into sentences.

Rules of UAX #29 (sentence boundaries), as far as they need no table of characters, and what it
leaves to the language: abbreviations, initials, the numbers of lists.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["sentences"]

#: Quotes and brackets: " ' right quotes, guillemet, ) ] and those of Chinese and Japanese.
_CLOSING: Final = "\"'\u2019\u201d\u00bb)\\]\u300d\u300f\uff09\u3011\u300b\u3009"
#: Those that open, and space, in front of a word.
_BEFORE_WORDS: Final = "\\s(\\[{\"'\u201c\u2018\u00ab"
#: . ! ? ellipsis, interrobang; of Arabic, Devanagari, Urdu.
_MARKS: Final = ".!?\u2026\u203d\u061f\u0964\u0965\u06d4"
#: Of Chinese and Japanese, which have no space behind them.
_FULL_WIDTH: Final = "\u3002\uff01\uff1f\uff61"
#: What may end a sentence: marks with a space behind them, those of scripts without spaces, an
#: empty line. Quotes and brackets that close belong to it.
_ENDS: Final = re.compile(
    rf"(?<![{_MARKS}])(?P<marks>[{_MARKS}]++)(?P<closing>[{_CLOSING}]*+)\s+"
    rf"|[{_FULL_WIDTH}]+[{_CLOSING}]*\s*"
    r"|\n[^\S\n]*\n\s*"
)

_WORDS: Final = """
mr mrs ms dr prof st sr jr rev hon gen col capt lt sgt gov sen rep pres
vs cf viz approx figs eds nos al resp incl excl dept inc ltd corp ave blvd rd mt ft
jan feb apr jul aug sep sept oct nov tue tues wed thu thur thurs fri bzw usw ggf evtl vgl mio mrd
"""
_OFTEN_LAST: Final = "st jr sr inc ltd corp ave blvd rd dept ft al usw"
_WORDS_TOO: Final = "no nr fig eq vol pp ed est mar jun sun sat mon dec abs ca co fr hr"
#: A full stop behind one of these ends nothing.
_ABBREVIATIONS: Final = frozenset(_WORDS.split())
#: Those that often end a sentence nevertheless, if the next begins like one.
_AT_ENDS: Final = frozenset(_OFTEN_LAST.split())
#: What are words, too, are abbreviations only in front of numbers.
_IN_FRONT_OF_NUMBERS: Final = frozenset(_WORDS_TOO.split())
#: So much of a sentence tells whether it goes on.
_LOOKED_AT: Final = 60
_WORD_BEFORE: Final = re.compile(rf"(?:^|[{_BEFORE_WORDS}])([^{_BEFORE_WORDS}]+)$")
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_LIST_HEAD: Final = re.compile(r"(?:^|\n)\s*(?:[-*•]\s+)?(?:\d{1,3}|[^\W\d_])$")
#: What sentences begin with, so that an abbreviation may have ended the one before.
_STARTERS: Final = re.compile(
    r"(?:I|He|She|It|We|You|They|The|This|That|These|Those|There|But|And|Then|So|In|On|At|If|My|Our)\b"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the space around them."""
    found: list[str] = []
    first = 0
    for end in _ENDS.finditer(text):
        if end.group("marks") is not None and not _is_end(text, first, end):
            continue
        found.append(text[first : end.end()].strip())
        first = end.end()
    found.append(text[first:].strip())
    return [each for each in found if each]


def _is_end(text: str, first: int, end: re.Match[str]) -> bool:
    """Whether marks with a space behind them end the sentence that begins at `first`."""
    following = text[end.end() : end.end() + 12]
    if end.group("closing"):
        # '"Stop!" he said.'
        return not following[:1].islower()
    if end.group("marks") != ".":
        return True
    before = text[max(first, end.start() - _LOOKED_AT) : end.start()]
    if _LIST_HEAD.search(before):
        return False
    word = _WORD_BEFORE.search(before)
    return word is None or not _is_abbreviation(word.group(1), before[: word.start(1)], following)


def _is_abbreviation(word: str, before: str, following: str) -> bool:
    if _DOTTED.fullmatch(word):
        return _STARTERS.match(following) is None
    if len(word) == 1 and word.isupper():
        # Initials: of a name of which nothing stands before but a title, or another initial.
        last = before.split()[-1:]
        is_next_one_too = following[:1].isupper() and following[1:2] == "."
        return not last or last[0].endswith(".") or is_next_one_too
    name = word.lower()
    if name == "etc":
        return following[:1].islower()
    if name in _IN_FRONT_OF_NUMBERS:
        return following[:1].isdigit()
    if name in _AT_ENDS and _STARTERS.match(following):
        return False
    return name in _ABBREVIATIONS
