"""Vectors of words, a bit for each number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.memory.vectors.words import count_words, nearest_words, packed_words, rows_of_words


def test_a_word_is_its_signs() -> None:
    rows = rows_of_words([[3, -1, 0, 0.5], [-2, 2, 2, 2]], 4)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert packed_words(rows) == bytes([1, 0b10010000, 0b01110000])
    assert packed_words(rows_of_words([], 4)) == b"\x01"
    assert [count_words(data, 4) for data in (b"\x01", b"\x01ab")] == [0, 2]
    assert count_words(b"\x01" + b"x" * 96, 384) == 2


@pytest.mark.parametrize("data", [b"", b"\x02a", b"a", b"\x01abc"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="are no words of 16 dimensions"):
        count_words(data, 16)
    with pytest.raises(ValueError, match="are no words of 16 dimensions"):
        nearest_words(np.ones((1, 16), np.float32), [data])


@pytest.mark.parametrize("vectors", [[[1.0]], [[1.0, 2.0], [1.0]], [[float("nan"), 1.0]], ["ab"]])
def test_other_vectors_are_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"vectors of 2 numbers|not finite"):
        rows_of_words(vectors, 2)


def test_a_vector_of_length_0_is_near_nothing() -> None:
    rows = rows_of_words([[0, 0]], 2)
    assert nearest_words(rows, [packed_words(rows_of_words([[1, 1]], 2))]).tolist() == [[0]]


def test_of_each_text_the_nearest_word_counts() -> None:
    texts = [[[1, 1], [1, -1]], [], [[-1, -1]]]
    packed = [packed_words(rows_of_words(vectors, 2)) for vectors in texts]
    asked = rows_of_words([[1, 0], [3, -1]], 2)
    found = nearest_words(asked, packed)
    assert found == pytest.approx(
        np.array([[0.5**0.5, 0, -(0.5**0.5)], [4 / 20**0.5, 0, -2 / 20**0.5]])
    )
    assert nearest_words(asked[:0], packed).shape == (0, 3)
    assert nearest_words(asked, []).shape == (2, 0)


@pytest.mark.slow(4)
@given(st.data())
def test_it_is_the_cosine_with_the_signs(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 20))
    number = st.floats(-10, 10, width=32)
    vector = st.lists(number, min_size=size, max_size=size)
    texts = data.draw(st.lists(st.lists(vector, max_size=3), min_size=1, max_size=4))
    asked = rows_of_words(data.draw(st.lists(vector, min_size=1, max_size=2)), size)
    packed = [packed_words(rows_of_words(vectors, size)) for vectors in texts]
    for text, column in zip(texts, nearest_words(asked, packed).T, strict=True):
        signs = [np.where(rows_of_words([each], size)[0] > 0, 1, -1) for each in text]
        expected = [
            max((float(row @ sign) / size**0.5 for sign in signs), default=0.0) for row in asked
        ]
        assert column == pytest.approx(expected, abs=1e-5)
