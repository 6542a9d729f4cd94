"""Limits as Redis commands take them."""

from __future__ import annotations

import math

MOST_RESULTS = 999_999_999


def _to_redis_limit(value: float | None, default: int = MOST_RESULTS) -> int:  # pyright: ignore[reportUnusedFunction]  # a name of popoto 1.6
    """A number of results for a command: at most `default`, which None and infinity stand for."""
    if value is None or value == math.inf:
        return default
    return int(min(value, default))
