"""The words of a text, as the filter and the sketch know them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MIN_TOKEN_LENGTH", "STOP_WORDS", "tokenize"]

#: Shorter words tell nothing.
MIN_TOKEN_LENGTH: Final = 3
_STOP_WORDS: Final = """
    about all and are been but can did for from got had has have her his how into its let may new
    not now old one our out say see she than that the their them then there they this too use was
    way what when which who will with would you
"""
#: Words that stand in any English text.
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())

_RUNS: Final = re.compile(r"\w+")


def tokenize(text: str, unique: bool = True) -> list[str]:
    """The words of a text in lower case, in order, without stop words and short ones.

    Words are runs of letters, digits and underscores, of any script. `unique`: each once.
    Nothing, for an empty text or None. Raises AttributeError for what is no text.
    """
    if not text:
        return []
    given: object = text
    if not isinstance(given, str):
        raise AttributeError(f"words are those of a text, got one of type {type(given).__name__}")  # noqa: TRY004
    words = [
        word
        for word in _RUNS.findall(text.lower())
        if len(word) >= MIN_TOKEN_LENGTH and word not in STOP_WORDS
    ]
    return list(dict.fromkeys(words)) if unique else words
