"""The BM25 formula (Robertson, Walker, Jones, Hancock-Beaulieu, Gatford 1994).

    idf(t)   = ln((N - df + 0.5) / (df + 0.5) + 1)
    s(t, d)  = idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b dl / avgdl))
    score(d) = sum of s(t, d) over the terms of the question, each once

with N the number of documents, df of how many hold the term, tf how often this one does, dl how
many words it has and avgdl how many they have on average. Every score is positive. In Lua it
stands in scoring.lua.
"""

from __future__ import annotations

import math

__all__ = ["inverse_frequency", "term_score"]


def inverse_frequency(documents: int, holders: float) -> float:
    """How much a term tells that so many documents of all hold; 0 where there is no document."""
    if documents <= 0:
        return 0.0
    return math.log((documents - holders + 0.5) / (holders + 0.5) + 1)


def term_score(
    frequency: float, length: float, average: float, idf: float, k1: float, b: float
) -> float:
    """What one term adds to the score of a document that holds it."""
    norm = k1 * (1 - b + b * length / average)
    return idf * frequency * (k1 + 1) / (frequency + norm)
