"""A provider that tells vectors of words: two words are near if they are of one kind."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from popoto.embeddings import LateInteractionProvider, TextVectors
from tests.vectors.provider import Known

#: What words are about, each kind in the direction of its own.
KINDS = [
    {"cat", "kitten", "animal"},
    {"vet", "doctor"},
    {"rain", "storm"},
    {"river", "harbour"},
    {"went", "walked"},
]


class Wordwise(LateInteractionProvider):
    """A text is the mean of its words. Words of two kinds have a cosine of one half, words of no
    kind one of 0 with all others."""

    language = "english"
    model_name = "wordwise"
    dimensions = 8
    max_batch_size = 100

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str | None]] = []
        self.error: Exception | None = None
        #: what words are given in place of what is known of them
        self.instead: Sequence[Sequence[float]] | None = None

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [list(each.vector) for each in self.embed_words(texts, input_type)]

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        self.asked.append((list(texts), input_type))
        if self.error is not None:
            raise self.error
        return [self._told(text) for text in texts]

    def _told(self, text: str) -> TextVectors:
        words = re.findall(r"\w+", text)
        vectors = [_vector(word.lower()) for word in words]
        whole = np.mean(vectors, axis=0).tolist() if words else [0.0] * 8
        return TextVectors(whole, words, vectors if self.instead is None else self.instead)


def _vector(word: str) -> list[float]:
    """+1 in the place of its kind, or in those of no kind, and -1 elsewhere."""
    kind = next((place for place, kind in enumerate(KINDS) if word in kind), None)
    own = (5, 6, 7) if kind is None else (kind,)
    return [1.0 if place in own else -1.0 for place in range(8)]


def plain() -> Known:
    """A provider of vectors that are as long, which tells nothing of words."""
    return Known(dimensions=8, name="wordwise")
