"""How recall scores a record: a weighted sum of what each signal says of it.

    words        its BM25 score by the greatest that any text could have, so 0 to about 1: what
                 share of the question it answers; half for one mention of each word
    meaning      the cosine of its vector and that of the question
    length       ln(words of the record / words of a record on average), from -ln 4 to ln 4. A text
                 that says more answers more questions; BM25 and cosines favour short ones
    decay        s / (1 + s) of its decayed relevance s; one half a day after it was touched
    confidence   as it is
    access       n / (10 + n) for n confirmed reads
    associations activation by the cues that were given, at most 1
    late_interaction   for the best 50 by all others, where vectors of words are kept: for each word
                 of the question the cosine of the record's nearest word, their mean weighted by
                 what each word tells (its idf), and of that what is over the mean of all 50

and, where the model tells the order of its records and who speaks (`Recall`):

    meaning      of the record's vector with parts of those just before and after
    late_interaction   also with the words just before, a twentieth less near, and just after, a
                 fifth: what was said before says what this is about; what follows is another's
    neighbours   how much more than the mean the records just before and after score by their texts
    session      the best such score in the record's session
    speaker      1 for records of the only speaker whom the question names

Words and meaning are on one scale already and count the same, so their sum needs no fitting, and a
record that both find goes before one that a single one finds. Nearest words are alike everywhere:
their means differ by a tenth or two, so they count three times. A length counts a tenth, and each
signal of memory at most as much as a fifth of the question's words. Signals that are the same for
all records change no order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

__all__ = [
    "AFTER",
    "BEFORE",
    "COMMON_SHARE",
    "FULL_QUESTION",
    "K1",
    "LEAST_COMMON",
    "WEIGHTS",
    "WORDS_AFTER",
    "WORDS_BEFORE",
    "B",
    "greatest_words",
    "length_value",
    "reads_value",
    "saturated",
    "telling_part",
]

#: BM25 with texts as short as memories: a repeated word and a long text count little (the
#: values that the Anserini toolkit takes for passages).
K1: Final = 0.9
B: Final = 0.3

#: What each signal counts, if nothing else is asked for.
WEIGHTS: Final[Mapping[str, float]] = {
    "words": 1.0,
    "meaning": 1.0,
    "length": 0.1,
    "decay": 0.1,
    "confidence": 0.1,
    "access": 0.05,
    "associations": 0.2,
    "late_interaction": 3.0,
    "neighbours": 0.1,
    "session": 0.5,
    "speaker": 0.7,
}

#: A word that stands in more than this share of the records tells them not apart.
COMMON_SHARE: Final = 0.2
#: Among fewer records than this, no word is a common one.
LEAST_COMMON: Final = 20
#: How much the whole question counts in its vector, beside its telling part.
FULL_QUESTION: Final = 0.5

#: How much the vectors of the records just before and after count in a record's own. What
#: follows counts more, as an answer says what the question was about, and a question less.
BEFORE: Final = 0.2
AFTER: Final = 0.5

#: How much the words just before and after a record count beside its own. "She", "there", "yes"
#: stand for what was said before, so that is nearly part of what is said; what follows is not.
WORDS_BEFORE: Final = 0.95
WORDS_AFTER: Final = 0.8

_LONGEST: Final = math.log(4)
_MOST_READS: Final = 10
_PIECE: Final = re.compile(r"\S+")


def greatest_words(idfs: Iterable[float]) -> float:
    """The score that no text exceeds, however often it has the words; 1 for no words."""
    return sum(idfs) * (K1 + 1) or 1.0


def length_value(length: float | None, average: float) -> float:
    """How long a text is among others; one without words is as a very short one."""
    if not length or length < 0 or average <= 0:
        return -_LONGEST
    return min(max(math.log(length / average), -_LONGEST), _LONGEST)


def saturated(value: float, half: float = 1.0) -> float:
    """A number from 0 on as one from 0 to 1; `half` becomes one half."""
    if value <= 0 or math.isnan(value):
        return 0.0
    return 1.0 if math.isinf(value) else value / (half + value)


def reads_value(count: float) -> float:
    """How often a record was read, as a number from 0 to 1."""
    return saturated(count, _MOST_READS)


def telling_part(
    question: str, words: Callable[[str], Sequence[str]], common: frozenset[str]
) -> str:
    """The question without pieces of which all words are common; itself, if nothing is left."""
    if not common:
        return question
    kept: list[str] = []
    for piece in _PIECE.findall(question):
        found = words(piece)
        if not found or any(word not in common for word in found):
            kept.append(piece)
    left = " ".join(kept)
    return left if any(map(str.isalnum, left)) else question
