"""How vectors are packed, and what a matrix of them hands out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.memory.vectors.arrays import packed, unpacked
from popoto.memory.vectors.matrix import Matrix

NUMBERS = st.floats(-1000, 1000, width=32).filter(lambda number: abs(number) > 1e-3 or not number)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_an_int8_is_within_half_a_step_of_what_was_packed(numbers: list[float]) -> None:
    vector = np.array(numbers, dtype=np.float32)
    step = float(np.abs(vector).max()) / 127
    told = unpacked(packed(vector, "int8"), "int8", len(numbers))
    assert told == pytest.approx(vector, abs=step * 0.501)


def test_the_largest_number_keeps_its_sign_and_its_size() -> None:
    for vector in ([0.8, -0.6, 0.1], [-0.8, 0.6, 0.1], [0.5, -0.5, 0.5]):
        told = unpacked(packed(np.array(vector, dtype=np.float32), "int8"), "int8", 3)
        assert told == pytest.approx(vector, abs=0.004)


def test_all_rows_are_handed_out_anew_once_one_has_changed() -> None:
    matrix = Matrix()
    matrix.put("a", np.array([1, 0], dtype=np.float32))
    first = matrix.exported()
    assert first is matrix.exported()
    matrix.put("a", np.array([0, 1], dtype=np.float32))
    rows, keys = matrix.exported() or pytest.fail("there is a row")
    assert (rows.tolist(), keys) == ([[0, 1]], ["a"])
    matrix.put("b", np.array([1, 0], dtype=np.float32))
    matrix.drop("a")
    rows, keys = matrix.exported() or pytest.fail("there is a row")
    assert (rows.tolist(), keys) == ([[1, 0]], ["b"])


def test_what_a_matrix_keeps_is_told_in_bytes() -> None:
    matrix = Matrix()
    assert matrix.kept() == (0, 0)
    matrix.put("a", np.ones(4, dtype=np.float32))
    assert matrix.kept() == (16, 0)
