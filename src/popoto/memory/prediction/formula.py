"""How wrong predictions were, one and many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["prediction_error", "statistics_of"]


def prediction_error(predicted: Mapping[Any, Any], actual: Mapping[Any, Any]) -> float:
    """The mean error over the keys of both, each from 0 to 1.

    Two numbers differ by ``|p - a| / max(|p|, |a|, 1)``, at most 1; other values by 0 where they
    are equal, else by 1, as where one is missing. Nothing predicted and nothing there is 0.
    Raises TypeError for what has no keys.
    """
    for name, given in (("predicted", predicted), ("actual", actual)):
        if not _is_mapping(given):
            raise TypeError(
                f"a prediction is compared by its keys, and {name} has none: it is of type "
                f"{type(given).__name__}, not a dict"
            )
    keys = {**predicted, **actual}
    if not keys:
        return 0.0
    return math.fsum(_error_of(predicted, actual, key) for key in keys) / len(keys)


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)


def _error_of(predicted: Mapping[Any, Any], actual: Mapping[Any, Any], key: Any) -> float:
    if key not in predicted or key not in actual:
        return 1.0
    one, other = predicted[key], actual[key]
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        try:
            error = abs(one - other) / max(abs(one), abs(other), 1)
        except OverflowError:
            # An int beside which no float counts.
            return 1.0
        # Also NaN, which infinities make.
        return error if error <= 1 else 1.0
    return 0.0 if one == other else 1.0


def statistics_of(errors: Sequence[float]) -> dict[str, float | int]:
    """Count, mean, population standard deviation, percentiles and maximum; 0 of no errors.

    A percentile is the value at the place ``p / 100 * (n - 1)``, rounded half to even.
    """
    number = len(errors)
    if not number:
        return {
            "count": 0,
            "mean": 0.0,
            "stddev": 0.0,
            "p50": 0.0,
            "p90": 0.0,
            "p99": 0.0,
            "max": 0.0,
        }
    ordered = sorted(errors)
    mean = math.fsum(errors) / number
    variance = math.fsum((error - mean) ** 2 for error in errors) / number
    percentiles = {
        f"p{percent}": ordered[round(percent / 100 * (number - 1))] for percent in (50, 90, 99)
    }
    return {
        "count": number,
        "mean": mean,
        "stddev": math.sqrt(variance) if number > 1 else 0.0,
        **percentiles,
        "max": ordered[-1],
    }
