"""What rankings have in common: how many results are wanted, and among which records."""

from __future__ import annotations

import math
from typing import Any

from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.executing import Execution
from popoto.models.reading.planning import AnyField
from popoto.models.reading.spec import QuerySpec

__all__ = ["number_of_results", "partition_of", "refuse_order"]


def number_of_results(execution: Execution, name: str, n: Any) -> int:
    """How many records to find: `n`, or fewer where the query has a limit.

    `name` is that of the argument. Raises TypeError, or QueryException where it is not finite.
    """
    if isinstance(n, bool) or not isinstance(n, (int, float)):
        raise TypeError(f"{name} must be an int, got {describe(n)}")
    if not math.isfinite(n):
        raise QueryException(f"{execution.options.model_name}: {name} must be finite, got {n!r}")
    if execution.limit is None or n <= 0:
        return int(n)
    return min(int(n), execution.offset + execution.limit if execution.limit else 0)


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
    return [spec.keywords[name] for name in field.partition_by], not others
