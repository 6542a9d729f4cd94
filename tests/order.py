"""Which files are given out first where several processes share the tests.

A file stays with one process. Those that take long begin first: one that came last would keep one
process busy while the others have nothing to do any more.
"""

from __future__ import annotations

from collections import Counter

import pytest

#: Seconds of a test that says nothing, and of one that is marked as slow and does not say how slow.
QUICK, SLOW = 0.03, 2.0


def seconds_of(item: pytest.Item) -> float:
    """`@pytest.mark.slow(30)` says about how long a test takes."""
    marker = item.get_closest_marker("slow")
    if marker is None:
        return QUICK
    return float(marker.args[0]) if marker.args else SLOW


def slowest_files_first(items: list[pytest.Item]) -> None:
    """Within a file the order stays as it is."""
    seconds: Counter[str] = Counter()
    for item in items:
        seconds[str(item.path)] += seconds_of(item)
    items.sort(key=lambda item: (-seconds[str(item.path)], str(item.path)))
