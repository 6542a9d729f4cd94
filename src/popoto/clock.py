"""The time, in one place, so that tests and simulations can set it.

All of popoto's own times are seconds since 1970 as a float (Unix time, UTC).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["now", "using"]

#: The wall clock, unless `using` says otherwise.
_sources: list[Callable[[], float]] = []


def now() -> float:
    """Seconds since 1970."""
    return float(_sources[-1]()) if _sources else time.time()


@contextmanager
def using(source: Callable[[], float] | float) -> Generator[None]:
    """Within the block, take the time from a function, or let it stand at one moment.

    Of the whole process, threads and tasks included; the server's own time (expiry) goes on.
    """
    _sources.append(source if callable(source) else lambda: source)
    try:
        yield
    finally:
        _sources.pop()
