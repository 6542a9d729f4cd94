"""The formulas of the policy cache, which need no server."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from popoto import clock

__all__ = [
    "CHI_SQUARED_CRITICAL_VALUES",
    "chi_squared_uniform",
    "compute_fingerprint",
    "recurrences",
    "wilson_ci_lower",
]

#: At p = 0.05, by degrees of freedom.
CHI_SQUARED_CRITICAL_VALUES: Final = {2: 5.991, 3: 7.815, 6: 12.592, 11: 19.675, 23: 35.172}

#: The same for spans that touch fewer months or weeks.
_CRITICAL_VALUES: Final[Mapping[int, float]] = {
    1: 3.841,
    4: 9.488,
    5: 11.070,
    7: 14.067,
    8: 15.507,
    9: 16.919,
    10: 18.307,
    **CHI_SQUARED_CRITICAL_VALUES,
}

_WEEK, _MONTH, _YEAR = 604_800, 2_592_000, 31_536_000
#: 400 years.
_CALENDAR_DAYS: Final = 146_097


def compute_fingerprint(
    features: Mapping[str, Any],
    include_fields: Sequence[str] | None = None,
    include_timestamp: bool = False,
) -> str:
    """Sixteen hexadecimal digits that tell states apart: of SHA-256 over the features as JSON.

    The order of the features does not matter; unknown types count as their text. `include_fields`
    names those that count (KeyError where one is missing); with `include_timestamp` states of
    different hours differ. Raises TypeError for features that have no names, and for one name in
    place of a list.
    """
    if not isinstance(features, Mapping):
        raise TypeError(f"features must be a dict, such as {{'task': 'deploy'}}, got {features!r}")
    if isinstance(include_fields, str):
        raise TypeError(f"include_fields is a list of names, got {include_fields!r}")
    counted = dict(features)
    if include_fields is not None:
        counted = {name: features[name] for name in include_fields}
    if include_timestamp not in (True, False, None):
        raise TypeError(f"include_timestamp is True or False, got {include_timestamp!r}")
    if include_timestamp:
        counted["__hour_bucket__"] = int(clock.now()) // 3600
    text = json.dumps(counted, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def wilson_ci_lower(successes: float, total: float, z: float = 1.96) -> float:
    """The lower end of the Wilson score interval of a share (Wilson 1927), from 0 to 1.

    `z` is the quantile of the normal distribution: 1.96 for 95 %. 0 without any trial. Raises
    ValueError for fewer than no successes, or more than trials.
    """
    if total == 0:
        return 0.0
    if not 0 <= successes <= total:
        raise ValueError(f"{successes!r} successes of {total!r} trials cannot be")
    share = successes / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    bound = (share + z * z / (2 * total) - spread) / (1 + z * z / total)
    # What is rounded may lie beside the share.
    return min(max(bound, 0.0), share)


def chi_squared_uniform(observed: Sequence[float], expected_per_bucket: float) -> float:
    """Pearson's statistic of counts against one expectation for each; 0 for one of 0 or less."""
    if not expected_per_bucket > 0:
        return 0.0
    return float(
        sum((count - expected_per_bucket) ** 2 / expected_per_bucket for count in observed)
    )


def recurrences(moments: Sequence[float], amplitude: float) -> list[tuple[int, float, float]]:
    """Cycles in which moments (seconds since 1970) come back: period, amplitude, phase.

    Weekday, week of the month (days 1 to 6, 7 to 13, 14 to 20, the rest) and month are looked at,
    in UTC. A cycle is found where the counts differ from those of events on every day between the
    first and the last (chi-squared, p = 0.05): what happens daily has none, for however short or
    long. Events of one day alone are compared with equal shares. Nothing is found in fewer than
    three moments, nor in fewer than there are buckets.
    """
    if len(moments) < 3:
        return []
    dates = [datetime.datetime.fromtimestamp(moment, datetime.UTC).date() for moment in moments]
    first, last = min(dates), max(dates)
    span = [first + datetime.timedelta(place) for place in range(_days_between(first, last))]
    found: list[tuple[int, float, float]] = []
    for period, buckets, bucket_of in (
        (_WEEK, 7, datetime.date.weekday),
        (_MONTH, 4, _week_of_month),
        (_YEAR, 12, _month),
    ):
        if len(dates) < buckets:
            continue
        counts = _counted(dates, buckets, bucket_of)
        shares = [1] * buckets if first == last else _counted(span, buckets, bucket_of)
        expected = [len(dates) * share / sum(shares) for share in shares]
        excess = [
            # Where hardly any event is expected, one tells nothing.
            (count - mean) / math.sqrt(mean) if mean >= 0.5 else -math.inf
            for count, mean in zip(counts, expected, strict=True)
        ]
        told = [each for each in excess if math.isfinite(each)]
        if len(told) > 1 and math.fsum(each**2 for each in told) > _CRITICAL_VALUES[len(told) - 1]:
            peak = excess.index(max(excess))
            found.append((period, amplitude, 2 * math.pi * peak / buckets))
    return found


def _days_between(first: datetime.date, last: datetime.date) -> int:
    """How many days there are, both ends counted; of more, as many as the calendar repeats in."""
    return min((last - first).days + 1, _CALENDAR_DAYS)


def _counted(
    dates: Sequence[datetime.date], buckets: int, bucket_of: Callable[[datetime.date], int]
) -> list[int]:
    counts = [0] * buckets
    for date in dates:
        counts[bucket_of(date)] += 1
    return counts


def _week_of_month(date: datetime.date) -> int:
    return min(date.day // 7, 3)


def _month(date: datetime.date) -> int:
    return date.month - 1
