"""A search right after a write compares what has changed, and no other row a second time."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from popoto import EmbeddingField, KeyField, Model, StringField
from popoto.memory.vectors import matrix as rows_of
from popoto.memory.vectors.matrix import Matrix, View
from tests.driver import Api
from tests.vectors.provider import TABLE, Known

ASKED = np.array([0.5, -1.0, 2.0], dtype=np.float32)


def filled(count: int) -> Matrix:
    matrix = Matrix()
    for number in range(count):
        matrix.put(f"r{number}", vector(random.Random(number)))
    return matrix


def vector(draw: random.Random) -> Any:
    return np.array([draw.gauss(0, 1) for _ in range(3)], dtype=np.float32)


def view_of(matrix: Matrix) -> View:
    view = matrix.view()
    assert view is not None
    return view


@pytest.mark.parametrize("seed", range(20))
def test_an_earlier_comparison_is_brought_up_to_date(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_of, "_BLOCK", 4)
    draw = random.Random(seed)
    matrix = filled(draw.randint(90, 130))
    for _ in range(12):
        before = view_of(matrix)
        earlier = before.similarities(ASKED)
        for _ in range(draw.randint(0, 5)):
            key = f"r{draw.randint(0, 150)}"
            if draw.random() < 0.3:
                matrix.drop(key)
            else:
                matrix.put(key, vector(draw))
        changed = matrix.changed_since(before)
        assert changed is not None
        after = view_of(matrix)
        similar = after.similarities_after(earlier, ASKED, changed)
        assert similar is not None
        assert np.allclose(similar, after.similarities(ASKED), rtol=0, atol=1e-6)


def test_only_the_rows_around_what_has_changed_are_compared() -> None:
    matrix = filled(600)
    before = view_of(matrix)
    unlike = before.similarities(ASKED) + 9
    matrix.put("r70", vector(random.Random(1)))
    changed = matrix.changed_since(before) or ()
    similar: Any = view_of(matrix).similarities_after(unlike, ASKED, changed)
    assert np.flatnonzero(similar < 5).tolist() == list(range(64, 128))


def test_where_much_has_changed_all_are_compared() -> None:
    matrix = filled(512)
    before = view_of(matrix)
    earlier = before.similarities(ASKED)
    for blocks, answers in ((2, True), (3, False)):
        for block in range(blocks):
            matrix.put(f"r{block * 64}", ASKED)
        changed = matrix.changed_since(before) or ()
        found = view_of(matrix).similarities_after(earlier, ASKED, changed)
        assert (found is not None) is answers


def test_changes_are_not_told_of_other_places_or_from_too_long_ago() -> None:
    matrix = filled(700)
    before = view_of(matrix)
    assert matrix.changed_since(before) == []
    for number in range(256):
        matrix.put(f"r{number}", ASKED)
    assert matrix.changed_since(before) == list(range(256))
    matrix.put("r300", ASKED)
    assert matrix.changed_since(before) is None
    before = view_of(matrix)
    for number in range(400):
        matrix.drop(f"r{number}")
    assert matrix.changed_since(before) is None  # the others have moved up
    before = view_of(matrix)
    matrix.clear()
    matrix.put("r1", ASKED)
    assert matrix.changed_since(before) is None


@pytest.fixture
def note() -> Any:
    class Note(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=Known(TABLE), store="server")

    return Note


def test_all_rows_are_compared_once(api: Api, note: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    note.bulk_create([note(name=f"n{number:03}", text="b") for number in range(600)])
    compared: list[int] = []
    plain = View.similarities

    def counted(self: View, vector: Any) -> Any:
        compared.append(len(self.rows))
        return plain(self, vector)

    monkeypatch.setattr(View, "similarities", counted)

    def best() -> list[str]:
        return [each.name for each in api(note.query.semantic_search, "right", limit=2)]

    assert best() == []
    compared.clear()
    note.create(name="n100", text="a", overwrite=True)
    note.create(name="new", text="a")
    assert best() == ["new", "n100"]
    note.query.get(name="new").delete()
    assert best() == ["n100"]
    assert compared == [600, 601]
    note.create(name="n100", text="b", overwrite=True)
    assert best() == []
    assert compared == [600, 601, 601]
