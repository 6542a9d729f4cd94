"""The time, in one place, so that tests and simulations can set it.

All of popoto's own times are seconds since 1970 as a float (Unix time, UTC).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from numbers import Real
from typing import Any

from popoto._blocks import Passage

__all__ = ["now", "using"]

#: The wall clock, unless `using` says otherwise.
_sources: list[Callable[[], float]] = []


def now() -> float:
    """Seconds since 1970."""
    return float(_sources[-1]()) if _sources else time.time()


def using(source: Callable[[], float] | float) -> AbstractContextManager[None]:
    """Within the block, take the time from a function, or let it stand at one moment.

    Of the whole process, threads and tasks included; the server's own time (expiry) goes on. Raises
    TypeError for what is neither, ValueError for a moment that is not finite.
    """
    given: Any = source
    if not callable(given):
        if isinstance(given, bool) or not isinstance(given, (Real, Decimal)):
            raise TypeError(
                "clock.using() takes seconds since 1970, or a function that returns them, got "
                f"{given!r}; of a datetime that is its timestamp()"
            )
        if not math.isfinite(given):
            raise ValueError(f"clock.using() takes a finite number of seconds, got {given!r}")
    return Passage("clock.using", lambda: _using(source))


@contextmanager
def _using(source: Callable[[], float] | float) -> Generator[None]:
    _sources.append(source if callable(source) else lambda: source)
    try:
        yield
    finally:
        _sources.pop()
