"""What rankings are asked for: how many results, among which records, by which numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final, cast

from popoto._unknown_names import warn_caller
from popoto.engine.keys import SEPARATOR, is_shared, text_of
from popoto.exceptions import NoTextError, QueryException
from popoto.fields.describing import describe
from popoto.fields.given import MOST_RESULTS, is_mapping
from popoto.memory.composite.signals import Signal
from popoto.models.reading.executing import Execution
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.scored import Accepts
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = [
    "Scoring",
    "as_number",
    "asked_text",
    "capped",
    "checked_boost",
    "checked_count",
    "checked_filter",
    "checked_limit",
    "checked_mapping",
    "checked_number",
    "checked_rule",
    "checked_temperature",
    "number_of_results",
    "partition_of",
    "refuse_order",
    "tell_of_no_keys",
    "text_of_key",
    "the_field",
]

_RULES: Final = ("SUM", "MIN", "MAX")


def number_of_results(execution: Execution, name: str, n: Any) -> int:
    """How many records to find: `n`, or fewer where the query has a limit.

    `name` is that of the argument: an `n` is cut to a whole number, as in popoto 1.6. Raises
    TypeError, or QueryException where it is not finite.
    """
    if isinstance(n, bool) or not isinstance(n, Real):
        raise TypeError(f"{name} must be an int, got {describe(n)}")
    number = as_number(n)
    if name != "n" and math.isfinite(number) and number != int(number):
        raise TypeError(f"{name} must be an int, got {describe(n)}")
    if not math.isfinite(number):
        raise QueryException(f"{execution.options.model_name}: {name} must be finite, got {n!r}")
    return capped(execution, min(int(number), MOST_RESULTS))


def checked_limit(options: ModelOptions, limit: Any, name: str = "limit") -> int:
    """How many of something are wanted. Raises QueryException for what is no int."""
    if isinstance(limit, bool) or not isinstance(limit, Integral):
        raise QueryException(f"{options.model_name}: {name} must be an int, got {describe(limit)}")
    return min(int(limit), MOST_RESULTS)


def checked_count(options: ModelOptions, count: Any, name: str) -> int:
    """How many of something there may be. Raises QueryException for what is no int from 0 on."""
    number = checked_limit(options, count, name)
    if number < 0:
        raise QueryException(f"{options.model_name}: {name} must be 0 or more, got {number}")
    return number


def capped(execution: Execution, count: int) -> int:
    """How many records to find: so many, or fewer where the query has a limit."""
    if execution.limit is None or count <= 0:
        return count
    return min(count, execution.offset + execution.limit if execution.limit else 0)


def asked_text(options: ModelOptions, text: object, method: str) -> str:
    """The text to look for; "" where there is none. Raises NoTextError for what is none."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise NoTextError(f"{options.model_name}: {method}() needs a text, got {describe(text)}")
    return text if text.strip() else ""


def refuse_order(spec: QuerySpec, method: str) -> None:
    """Raise QueryException for a query that asks for an order besides that of the ranking."""
    if spec.order_by is not None or spec.computed_sort is not None:
        raise QueryException(
            f"{spec.options.model_name}: {method}() is an order of its own; leave order_by() "
            "and computed_sort() out, and sort the result if you need to"
        )


def partition_of(field: AnyField, spec: QuerySpec, method: str) -> tuple[list[Any], bool]:
    """The partition that a query names, and whether it asks for all records in that."""
    missing = [name for name in field.partition_by if name not in spec.keywords]
    if missing:
        raise QueryException(
            f"{field.label} is partitioned by {', '.join(field.partition_by)}: {method}() "
            f"needs filter({', '.join(f'{name}=...' for name in missing)}), as plain keywords"
        )
    wanted = {name: str(spec.keywords[name]) for name in field.partition_by}
    others = [
        condition
        for condition in spec.conditions
        if condition.negated
        or condition.children
        or any(wanted.get(name) != str(value) for name, value in condition.filters.items())
    ]
    values = [spec.keywords[name] for name in field.partition_by]
    # Another partition may have the same index.
    return values, not others and not any(map(is_shared, values))


def the_field(options: ModelOptions, word: str, kind: str, purpose: str) -> AnyField:
    """The only field that lists itself under a word. Raises QueryException for none and several."""
    fields = options.listed(word)
    if len(fields) == 1:
        return fields[0]
    if not fields:
        raise QueryException(f"{options.model_name} has no {kind}: give it one to {purpose}")
    raise QueryException(
        f"Multiple {kind}s on {options.model_name}: name one of "
        f"{', '.join(field.name for field in fields)}"
    )


# Scores ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a ranking by scores was asked for; see `composite_score` in `query_rankings`."""

    indexes: Mapping[str, Any] | None
    limit: Any = 10
    aggregate: Any = "SUM"
    min_score: Any = None
    post_filter: Accepts | None = None
    co_occurrence_boost: Mapping[str, Any] | None = None
    similarity_boost: Mapping[str, Any] | None = None
    temperature: Any = 1.0
    normalize: Any = False
    #: signals that are no index of the model, with their weights
    further: Sequence[tuple[Signal, float]] = ()


def checked_rule(options: ModelOptions, given: Any) -> str:
    """How scores are joined: sum, min or max. Raises QueryException."""
    rule = given.upper() if isinstance(given, str) else given
    if rule not in _RULES:
        raise QueryException(
            f"{options.model_name}: aggregate must be SUM, MIN or MAX, got {describe(given)}"
        )
    return str(rule).lower()


def checked_temperature(options: ModelOptions, given: Any) -> float:
    """What scores are divided by. Raises QueryException."""
    temperature = checked_number(options, "temperature", given)
    if temperature <= 0:
        raise QueryException(
            f"{options.model_name}: temperature must be > 0, got {describe(given)}"
        )
    return temperature


def checked_filter(options: ModelOptions, given: Any) -> Accepts | None:
    """What decides on results one by one. Raises QueryException for what cannot be called."""
    if given is None or callable(given):
        return cast("Accepts | None", given)
    raise QueryException(
        f"{options.model_name}: post_filter must be a function of record key and score, got "
        f"{describe(given)}"
    )


def checked_number(
    options: ModelOptions, what: str, given: Any, *, infinite: bool = False
) -> float:
    """A number that may be infinite, or may not. Raises QueryException."""
    number = as_number(given)
    if math.isnan(number) or (math.isinf(number) and not infinite):
        raise QueryException(
            f"{options.model_name}: {what} must be a {'' if infinite else 'finite '}number, "
            f"got {describe(given)}"
        )
    return number


def as_number(given: object) -> float:
    """A number of any kind, NumPy's and Decimals as well; NaN for what is none."""
    if isinstance(given, bool) or not isinstance(given, (Real, Decimal)):
        return math.nan
    number: Any = given
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
    except ValueError:
        # A Decimal that signals that it is no number.
        return math.nan


def checked_mapping(options: ModelOptions, what: str, given: Any) -> Mapping[Any, Any]:
    """What has a number for each of its keys; nothing for None. Raises QueryException."""
    numbers: Mapping[Any, Any] = {} if given is None else given
    if not is_mapping(numbers):
        raise QueryException(
            f"{options.model_name}: {what} must be a dict with numbers, got {describe(given)}"
        )
    return numbers


def text_of_key(key: Any) -> str:
    """A record key, given as text or as bytes."""
    return text_of(key) if isinstance(key, bytes) else str(key)


def checked_boost(options: ModelOptions, what: str, given: Any) -> dict[str, float]:
    """Numbers by record key. Raises QueryException, and tells of what can be no key."""
    numbers = {
        text_of_key(key): checked_number(options, f"{what} of {key!r}", number)
        for key, number in checked_mapping(options, what, given).items()
    }
    tell_of_no_keys(options, what, numbers)
    return numbers


def tell_of_no_keys(options: ModelOptions, what: str, given: Collection[str]) -> None:
    """Tell of texts of which none can be a record's key, such as values of a key field.

    Among keys such a text is no mistake: edges lead to any text.
    """
    if given and not any(SEPARATOR in key for key in given):
        warn_caller(
            f"{options.model_name}.query.{what}: {next(iter(given))!r} is the key of no record, "
            "nor is any other of these, so they have no effect; use record.pk"
        )
