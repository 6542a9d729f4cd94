"""Vectors of the words of a text, a bit for each number, and how near a question's words are.

Of each number its sign is kept. A word of 384 dimensions takes 48 bytes then, and the cosine of a
whole vector with such a one still orders words as that of two whole ones does: random hyperplanes
tell angles by signs (Charikar, "Similarity estimation techniques from rounding algorithms", 2002),
and only one side is rounded here.
"""

from __future__ import annotations

from collections.abc import Sequence

from popoto.memory.vectors.arrays import Array, numpy

__all__ = ["nearest_words", "packed_words", "rows_of_words", "unpacked_words"]

#: What the bytes begin with: another one, if they are ever made in another way.
_FORM = b"\x01"


def rows_of_words(vectors: Sequence[Sequence[float]], dimensions: int) -> Array:
    """The vectors as rows of length 1. Raises ValueError unless all are of this many numbers."""
    np = numpy()
    try:
        rows = np.asarray(vectors, dtype=np.float32).reshape(len(vectors), dimensions)
    except (TypeError, ValueError) as error:
        raise ValueError(f"no vectors of {dimensions} numbers: {error}") from error
    if not np.isfinite(rows).all():
        raise ValueError("a number of a word's vector is not finite")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Array = rows / np.where(lengths > 0, lengths, 1)
    return found


def packed_words(rows: Array) -> bytes:
    """The signs of the words of a text, as they are stored."""
    signs: bytes = numpy().packbits(rows > 0, axis=1).tobytes()
    return _FORM + signs


def unpacked_words(data: bytes, dimensions: int) -> Array:
    """Vectors of length 1 from what is stored, a row for each word. ValueError for other bytes."""
    np = numpy()
    width = -(-dimensions // 8)
    if data[:1] != _FORM or (len(data) - 1) % width:
        raise ValueError(f"{len(data)} bytes are no words of {dimensions} dimensions")
    bits = np.frombuffer(data, dtype=np.uint8, offset=1).reshape(-1, width)
    signs = np.unpackbits(bits, axis=1, count=dimensions)
    found: Array = (signs * np.float32(2) - 1) / np.float32(dimensions**0.5)
    return found


def nearest_words(asked: Array, texts: Sequence[Array]) -> Array:
    """For each asked word (a row) and each text (a column), the cosine of its nearest word.

    0 for texts without words.
    """
    np = numpy()
    found = np.zeros((len(asked), len(texts)), dtype=np.float32)
    spoken = [place for place, rows in enumerate(texts) if len(rows)]
    if spoken and len(asked):
        lengths = [len(texts[place]) for place in spoken]
        starts = np.cumsum([0, *lengths[:-1]])
        cosines = asked @ np.concatenate([texts[place] for place in spoken]).T
        found[:, spoken] = np.maximum.reduceat(cosines, starts, axis=1)
    return found
