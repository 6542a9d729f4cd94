"""Rankings of a model in shards are those of one server that holds the same records."""

from __future__ import annotations

import math
from typing import Any


def told(found: list[Any], attribute: str) -> list[tuple[str, float]]:
    return [(each.pk, getattr(each, attribute)) for each in found]


def assert_same(answers: tuple[list[Any], list[Any]], attribute: str) -> None:
    """The same records in the same order, and the same scores but for rounding."""
    here, there = (told(each, attribute) for each in answers)
    assert [key for key, _ in here] == [key for key, _ in there]
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
