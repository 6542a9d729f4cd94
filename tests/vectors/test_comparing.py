"""A comparison with all vectors, of which the best are looked at before the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from popoto import KeyField, Model
from popoto.fields.vectors.keeper import Seen
from popoto.memory.vectors.matrix import Found, Matrix, View
from popoto.models.reading.ranking.comparing import Search
from popoto.models.reading.spec import QuerySpec


class Named(Model):
    name = KeyField()


def compared(similar: list[float]) -> Search:
    """A question with these similarities to records named by letters."""
    matrix = Matrix()
    for place in range(len(similar)):
        matrix.put(chr(ord("a") + place), np.ones(2, dtype=np.float32))
    view = matrix.view()
    assert view is not None
    keeper: Any = None
    return Search(
        keeper, Seen(matrix, view, None), view, np.ones(2), np.array(similar, dtype=np.float32)
    )


POSITIVE = [("b", 0.75), ("c", 0.5), ("a", 0.25)]


def test_the_first_are_among_the_best_each_time() -> None:
    search = compared([0.25, 0.75, 0.5, -0.5, 0.0])
    assert search.first(2) == POSITIVE[:2]
    assert search.first(1) == POSITIVE[:1]
    assert list(search.best(0.0)) == POSITIVE
    assert list(search.best(0.0)) == POSITIVE


def test_what_is_below_0_begins_with_the_least() -> None:
    search = compared([0.25, 0.75, 0.5, -0.5, 0.0])
    search.first(2)
    assert list(search.best(-0.5)) == [*POSITIVE, ("e", 0.0), ("d", -0.5)]


def test_nobody_looks_for_the_best_twice(note: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are read ahead are the result where nothing has changed meanwhile."""
    for name in "ab":
        note.create(name=name, text=name)
    note.query.semantic_search("up")
    asked: list[int] = []

    def best(self: View, similarities: Any, *, least: float, above: bool) -> Iterator[Found]:
        asked.append(len(similarities))
        return original(self, similarities, least=least, above=above)

    original = View.best
    monkeypatch.setattr(View, "best", best)
    assert [each.name for each in note.query.semantic_search("up")] == ["a", "b"]
    assert asked == [2]


def test_a_query_has_no_other_parts() -> None:
    with pytest.raises(KeyError, match="lmit"):
        QuerySpec(Named).changed(lmit=3)
