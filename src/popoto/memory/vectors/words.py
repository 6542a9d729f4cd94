"""Vectors of the words of a text, a bit for each number, and how near a question's words are.

Of each number its sign is kept. A word of 384 dimensions takes 48 bytes then, and the cosine of a
whole vector with such a one still orders words as that of two whole ones does: random hyperplanes
tell angles by signs (Charikar, "Similarity estimation techniques from rounding algorithms", 2002),
and only one side is rounded here.
"""

from __future__ import annotations

from collections.abc import Sequence

from popoto.memory.vectors.arrays import Array, numpy

__all__ = ["count_words", "nearest_words", "packed_words", "rows_of_words"]

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


def count_words(data: bytes, dimensions: int) -> int:
    """How many words stored bytes hold. Raises ValueError for other bytes."""
    count, rest = divmod(len(data) - 1, _width(dimensions))
    if data[:1] != _FORM or rest:
        raise ValueError(f"{len(data)} bytes are no words of {dimensions} dimensions")
    return count


def nearest_words(asked: Array, texts: Sequence[bytes]) -> Array:
    """For each asked word (a row) and each text (a column), the cosine of its nearest word.

    `texts` are as they are stored. 0 for texts without words.
    """
    np = numpy()
    dimensions = asked.shape[1]
    counts = [count_words(data, dimensions) for data in texts]
    found = np.zeros((len(asked), len(texts)), dtype=np.float32)
    spoken = [place for place, count in enumerate(counts) if count]
    if not spoken or not len(asked):
        return found
    packed = np.frombuffer(b"".join(data[1:] for data in texts), dtype=np.uint8)
    bits = np.unpackbits(packed.reshape(-1, _width(dimensions)), axis=1, count=dimensions)
    # A sign is 2 * bit - 1, and its vector is as long as the root of the dimensions.
    products = 2 * (asked @ bits.astype(np.float32).T) - asked.sum(axis=1, keepdims=True)
    starts = np.cumsum([0, *(counts[place] for place in spoken[:-1])])
    nearest = np.maximum.reduceat(products, starts, axis=1)
    found[:, spoken] = nearest / np.float32(dimensions**0.5)
    return found


def _width(dimensions: int) -> int:
    """Bytes of one word."""
    return -(-dimensions // 8)
