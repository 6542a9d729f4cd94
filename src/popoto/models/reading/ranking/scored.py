"""What rankings have in common: how many are asked for, and results that bear their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.calls import Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = ["Accepts", "checked_limit", "finished", "refuse_order"]

#: Whether a record, of which key and score are told, is to be among the results.
Accepts: TypeAlias = Callable[[str, float], Any]


def checked_limit(options: ModelOptions, limit: Any) -> int:
    """How many results are wanted. Raises QueryException for what is no int."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise QueryException(f"{options.model_name}: limit must be an int, got {describe(limit)}")
    return limit


def refuse_order(spec: QuerySpec, what: str) -> None:
    """Raises QueryException where a query has an order besides that of its ranking."""
    if spec.order_by is not None or spec.computed_sort is not None:
        raise QueryException(
            f"{spec.options.model_name}: {what} is an order of its own; leave order_by() and "
            "computed_sort() out, and sort the result if you need to"
        )


def finished(
    execution: Execution, fetch: Fetch, found: Sequence[tuple[float, Row]], attribute: str
) -> Plan[list[Any]]:
    """The results in their shape. Records bear their score as an attribute."""
    shaped = execution.shaped(fetch, [row for _, row in found])
    if execution.spec.values is None:
        for (score, _), record in zip(found, shaped, strict=True):
            vars(record)[attribute] = score
    return (yield from execution.finished(shaped))
