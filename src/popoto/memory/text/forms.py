"""Other forms of an English word, by its regular endings, for indexes that keep words as they are.

An index of stems needs none of this. Where there are no stems, a question is widened instead:
by the forms that a text may have used. Forms that are no words cost a look and find nothing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["other_forms"]

#: Shorter words have too many accidental forms.
_LEAST: Final = 3
_VOWELS: Final = frozenset("aeiou")
#: What may stand behind a base; and behind one that ends in a silent e, without that.
_ENDINGS: Final = ("", "s", "es", "ed", "ing", "er", "ers", "ly", "ment", "ion", "ions", "e")
_AFTER_E: Final = ("e", "es", "ed", "ing", "er", "ers", "ion", "ions")
_AFTER_Y: Final = ("y", "ies", "ied", "ying", "ier", "ily")
_DOUBLING: Final = ("ed", "ing", "er", "ers")
#: The longest first.
_STRIPPED: Final = (
    "ments",
    "ings",
    "ions",
    "ment",
    "ing",
    "ers",
    "ion",
    "es",
    "ed",
    "er",
    "ly",
    "s",
)


def other_forms(word: str) -> list[str]:
    """The forms that an English word may also have; none for one with digits or other letters."""
    if len(word) < _LEAST or not (word.isascii() and word.isalpha()):
        return []
    forms: dict[str, None] = {}
    for base in _bases(word):
        forms |= dict.fromkeys(_forms_of(base))
    forms.pop(word, None)
    return list(forms)


def _bases(word: str) -> list[str]:
    """The word, and what may be left of it without an ending."""
    found = {word: None}
    if word.endswith("e"):
        found[word[:-1]] = None
    for ending in ("ies", "ied", "ier", "ily"):
        if word.endswith(ending) and len(word) - 3 >= _LEAST - 1:
            found[word[:-3] + "y"] = None
    for ending in _STRIPPED:
        rest = word.removesuffix(ending)
        if rest == word or len(rest) < _LEAST or (ending == "s" and rest.endswith("s")):
            continue
        found[rest] = None
        if len(rest) > _LEAST and rest[-1] == rest[-2] and rest[-1] not in _VOWELS:
            found[rest[:-1]] = None
    return list(found)


def _forms_of(base: str) -> list[str]:
    if base.endswith("y") and base[-2] not in _VOWELS:
        return [base[:-1] + ending for ending in _AFTER_Y]
    found = [base + ending for ending in _ENDINGS]
    if base.endswith("e"):
        found += [base[:-1] + ending for ending in _AFTER_E]
    elif base[-1] not in _VOWELS and base[-2] in _VOWELS:
        found += [base + base[-1] + ending for ending in _DOUBLING]
    return found
