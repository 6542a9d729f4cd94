"""The decay formula. `formula.lua` says the same to servers.

    d     = max((now - t) / 86400, 0.01)
    score = b * d ** -r

with t the moment of the last touch and `now` in seconds since 1970, d in days, r the decay rate
and b the base score. It is the power law of forgetting (Wickelgren 1974; Anderson and
Schooler 1991), which falls fast at first and slowly later.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

__all__ = ["SECONDS_PER_DAY", "SHORTEST", "base_score", "decay_score", "elapsed_days"]

SECONDS_PER_DAY: Final = 86_400
#: The shortest time that counts, in days (864 seconds): what is younger, or comes from the
#: future, has the highest score that there is.
SHORTEST: Final = 0.01


def elapsed_days(touched: float, now: float) -> float:
    """Days from one moment to another, both in seconds since 1970; at least `SHORTEST`."""
    return max((now - touched) / SECONDS_PER_DAY, SHORTEST)


def decay_score(touched: float, now: float, rate: float, base: float = 1.0) -> float:
    """The score of what was last touched at one moment, as seen from another.

    Half of it is left after 2 ** (1 / rate) times as long. A rate of 0 does not decay.
    """
    try:
        factor = elapsed_days(touched, now) ** -rate
    except OverflowError:
        factor = math.inf
    score = base * factor
    # Nothing times infinity.
    return 0.0 if math.isnan(score) else score


def base_score(value: Any) -> float:
    """What a stored value is as a base: numbers are themselves, everything else counts 1.

    Numbers are int, float and Decimal; bool is none, and neither is NaN or an infinity.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return 1.0
    number = float(value)
    return number if math.isfinite(number) else 1.0
