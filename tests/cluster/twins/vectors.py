"""Vectors in general position: no two texts are equally near to anything, none is orthogonal."""

from __future__ import annotations

import functools
import random
import re

from popoto.embeddings import LateInteractionProvider, TextVectors

DIMENSIONS = 8


@functools.cache
def vector_of(word: str) -> tuple[float, ...]:
    return tuple(random.Random(f"{word} {place}").random() + 0.1 for place in range(DIMENSIONS))


def embedded(text: str) -> TextVectors:
    """The words of a text, and their sum, in which each counts less than the one before."""
    words = re.findall(r"\w+", text.lower())
    vectors = [list(vector_of(word)) for word in words]
    whole = [
        sum(vector[axis] / (place + 1) for place, vector in enumerate(vectors)) + 0.01 * axis
        for axis in range(DIMENSIONS)
    ]
    return TextVectors(whole, words, vectors)


class GeneralPosition(LateInteractionProvider):
    language = "english"
    model_name = "general-position"
    dimensions = DIMENSIONS
    max_batch_size = 100

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [list(embedded(text).vector) for text in texts]

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        return [embedded(text) for text in texts]
