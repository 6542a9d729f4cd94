"""Texts taken apart by what Unicode says of their characters, in a form that can be compared.

Normal form is NFKC after case folding: full width and ligatures are as usual letters, "STRASSE" is
"straße", "İ" is "i". Accents of Latin and Greek letters do not count, marks of other scripts do:
there they are what a word is made of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

__all__ = ["folded", "pieces"]

#: Names of programming languages, which would lose what tells them apart.
_NAMES: Final = re.compile(r"(?<!\w)[a-z](?:\+\+|#)")
_ASCII: Final = re.compile(r"[a-z0-9]+(?:[-_.,'/:@&][a-z0-9]+)*")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SEPARATORS: Final = re.compile(r"[-_.,'/:@&]")
#: So many marks on one letter no language has (UAX #15, stream-safe text). Marks are put in order
#: one by one, which takes the square of their number: hours for a text that is made of them.
_MOST_MARKS: Final = 30
#: What may be a run of more; halfwidth sound marks are letters that become marks.
_MANY_MARKS: Final = re.compile(rf"(?:[^\w\x00-\x7f]|[\uff9e\uff9f]){{{_MOST_MARKS + 1},}}")
#: Scripts that put no spaces between words, or of which words are found better by pairs.
_PAIRED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3130, 0x318F),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)


def folded(text: str) -> str:
    """A text in the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    text = _MANY_MARKS.sub(_with_fewer_marks, text)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = text.replace("\u2019", "'").replace("\u00ad", "")
    return text if text.isascii() else unicodedata.normalize("NFC", _without_accents(text))


def _with_fewer_marks(found: re.Match[str]) -> str:
    """A run without the marks behind the thirtieth in a row."""
    kept: list[str] = []
    marks = 0
    for each in found.group():
        marks = marks + 1 if _is_combining(each) else 0
        if marks <= _MOST_MARKS:
            kept.append(each)
    return "".join(kept)


@lru_cache(maxsize=8192)
def _is_combining(character: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def _without_accents(text: str) -> str:
    kept: list[str] = []
    is_latin = False
    for each in unicodedata.normalize("NFD", text):
        if unicodedata.combining(each):
            if not is_latin:
                kept.append(each)
        else:
            is_latin = each < "\u0400"
            kept.append(each)
    return "".join(kept)


def pieces(text: str) -> Iterator[tuple[str, ...]]:
    """What stands between spaces and marks of a folded text, in order.

    A word is one part. What is joined without spaces ("node.js", "2024-05-01", "foo_bar") comes
    as its parts and then as a whole; scripts without spaces as pairs of their characters.
    """
    text = _THOUSANDS.sub("", text)
    for found in _NAMES.finditer(text):
        yield (found.group(),)
    if text.isascii():
        for found in _ASCII.finditer(text):
            yield _parts(found.group())
        return
    for run, is_paired in _runs(text):
        yield _pairs(run) if is_paired else _parts(run)


def _parts(run: str) -> tuple[str, ...]:
    found = tuple(part for part in _SEPARATORS.split(run) if part)
    return found if len(found) < 2 else (*found, run)


def _pairs(run: str) -> tuple[str, ...]:
    """Pairs of neighbouring characters, each with its marks; a lone one as it is."""
    starts = [at for at, each in enumerate(run) if not at or _kind(each) != "mark"]
    ends = (*starts[2:], len(run))
    return tuple(run[start:end] for start, end in zip(starts, ends, strict=False))


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Runs of characters that belong together, and whether they are to be paired."""
    start, now = 0, ""
    length = len(text)
    for at in range(length + 1):
        kind = _kind(text[at]) if at < length else ""
        if now and kind == "mark":
            continue
        if now == "word" and kind == "join" and at + 1 < length and _kind(text[at + 1]) == "word":
            continue
        if kind == now and now in ("word", "paired"):
            continue
        if now in ("word", "paired"):
            yield text[start:at], now == "paired"
        start, now = at, kind if kind in ("word", "paired") else ""


@lru_cache(maxsize=8192)
def _kind(character: str) -> str:
    """What a character is: word, paired, mark, join, or "" for what separates."""
    if _SEPARATORS.match(character):
        return "join"
    category = unicodedata.category(character)
    if category in ("Mn", "Mc", "Cf"):
        return "mark"
    if category[0] not in "LN":
        return ""
    code = ord(character)
    is_paired = any(low <= code <= high for low, high in _PAIRED)
    return "paired" if is_paired else "word"
