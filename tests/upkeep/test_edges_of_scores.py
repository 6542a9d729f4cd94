"""Records whose scores are at the edge of what a double or a map can hold are in order."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import GeoField, KeyField, Model, SortedField
from tests.driver import Api


class Star(Model):
    name = KeyField()
    age = SortedField(type=int, default=0)
    place = GeoField()


EDGES: list[dict[str, Any]] = [
    {"age": 2**53 + 1},
    {"age": -(2**63) + 1},
    {"place": (0.0, 180.0)},
    {"place": (-85.0, -180.0)},
    {"place": (85.05112878, 0.0)},
    {"place": (85.05112878, 180.0)},
]


@pytest.mark.parametrize("values", EDGES, ids=str)
def test_nothing_is_missing_or_wrong(api: Api, values: dict[str, Any]) -> None:
    api(Star.create, name="a", **values)
    assert api(Star.check_indexes)["total"] == 0
    assert api(Star.rebuild_indexes) == 1
    assert api(Star.check_indexes)["total"] == 0
