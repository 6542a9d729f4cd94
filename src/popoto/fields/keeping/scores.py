"""Values as scores of sorted sets, which are doubles, and where doubles are too coarse."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from popoto.engine.plain import Real

#: Doubles tell integers apart up to here.
EXACT_INTEGERS = 2**53
#: Doubles tell microseconds apart up to about this many seconds (year 2242).
EXACT_SECONDS = 2**33

_UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=_UTC)


def _moment(value: datetime.datetime) -> float:
    try:
        return value.timestamp()
    except (OverflowError, ValueError, OSError):
        # Near the first and the last year a local time has no UTC twin.
        return (value.replace(tzinfo=_UTC) - _EPOCH).total_seconds()


def score_without_zone(value: Any) -> float | None:
    """The score of a naive moment if it was aware, and of UTC, before its zone was dropped."""
    if not isinstance(value, datetime.datetime) or value.tzinfo is not None:
        return None
    return (value.replace(tzinfo=_UTC) - _EPOCH).total_seconds()


#: Score of a value, by its type. These are the types that have an order of numbers.
SCORES: dict[type, Callable[[Any], float]] = {
    int: int,
    float: float,
    Decimal: float,
    datetime.date: lambda value: value.toordinal(),
    datetime.datetime: _moment,
}
#: The score from which on doubles do not tell values apart, by type; other types are exact.
EXACT_TO: dict[type, int] = {int: EXACT_INTEGERS, datetime.datetime: EXACT_SECONDS}


def is_exact(type_: type, value: Any) -> bool:
    """Whether a double can tell this value from its neighbours."""
    if type_ is float or type_ is Real.date:
        return True
    if type_ is int:
        return abs(value) < EXACT_INTEGERS or math.isinf(value)
    if type_ is Real.datetime:
        return abs(_moment(value)) < EXACT_SECONDS
    return False


def compare_key(value: Any) -> Any:
    """What values of one sorted field are compared by: exact where the score is not."""
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(_UTC) if 2 < value.year < 9998 else value.replace(tzinfo=_UTC)
        return moment - _EPOCH
    return value
