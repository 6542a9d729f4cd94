"""Sums, extremes, means and counts by group, exactly, from just the fields they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, TypeAlias

from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.field import Field
from popoto.models.reading.executing import Execution
from popoto.models.reading.ordering import parse
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

AnyField: TypeAlias = Field[Any]
Value: TypeAlias = Any

_NUMBERS = (int, float, Decimal)
#: Sums of Decimals are exact up to this many digits, and as many more as counting them takes.
_MOST_DIGITS = 10_000
_EXACT = Context(prec=_MOST_DIGITS + 30, Emax=MAX_EMAX, Emin=MIN_EMIN)


def field_name(name: object) -> object:
    """The name of a field that may be given as name or as ``Model.field``."""
    return name.name if isinstance(name, Field) else name


def _field(options: ModelOptions, name: object, *, is_number: bool) -> AnyField:
    """The field to aggregate. Raises QueryException for one that does not lend itself to it."""
    found = options.by_name.get(name) if isinstance(name, str) else None
    if found is None:
        raise QueryException(
            f"{options.model_name}: {name!r} is no field; fields are {', '.join(options.by_name)}"
        )
    if is_number and (found.type not in _NUMBERS):
        raise QueryException(
            f"{found.label} holds {found.type.__name__}: sums and means need int, float or Decimal"
        )
    return found


def _each_value(spec: QuerySpec, field: AnyField) -> Plan[list[Value]]:
    """The values of a field in the results of a query, nulls included."""
    spec = spec.changed(values=(field.name,), shape="flat")
    values: list[Value] = yield from Execution(spec).results()
    return values


def _without_nulls(values: list[Value]) -> list[Value]:
    return [value for value in values if value is not None]


def _exact_sum(field: AnyField, values: list[Value]) -> int | float | Fraction | Decimal:
    """The sum with every digit; of infinities and NaN what the type makes of them."""
    if field.type is int:
        return sum(int(value) for value in values)
    if field.type is float:
        return _float_sum([float(value) for value in values])
    return _decimal_sum([Decimal(value) for value in values])


def _float_sum(values: list[float]) -> float | Fraction:
    if all(map(math.isfinite, values)):
        return sum(map(Fraction, values), Fraction())
    return sum(values)


def _decimal_sum(numbers: list[Decimal]) -> Decimal:
    """The sum with every digit, whatever the precision of the caller's context."""
    finite = [number for number in numbers if number.is_finite()]
    if len(finite) < len(numbers):
        return sum((number for number in numbers if not number.is_finite()), Decimal())
    exponent = min((int(number.as_tuple().exponent) for number in finite), default=0)
    if any(number.adjusted() - exponent > _MOST_DIGITS for number in finite):
        # Exact, this would be a number of as many digits: round as the context says.
        return sum(finite, Decimal())
    nothing = Decimal((0, (0,), exponent))
    return reduce(_EXACT.add, finite, nothing)


def total(spec: QuerySpec, name: object) -> Plan[int | float | Decimal]:
    """The sum of a field's values; nulls do not count, nothing adds up to 0."""
    field = _field(spec.options, name, is_number=True)
    values = yield from _each_value(spec, field)
    added = _exact_sum(field, _without_nulls(values))
    return float(added) if isinstance(added, Fraction) else added


def average(spec: QuerySpec, name: object) -> Plan[float | Decimal | None]:
    """The mean of the values that are not null; None where there are none."""
    field = _field(spec.options, name, is_number=True)
    values = _without_nulls((yield from _each_value(spec, field)))
    if not values:
        return None
    mean = _exact_sum(field, values) / len(values)
    return float(mean) if isinstance(mean, Fraction) else mean


def extreme(spec: QuerySpec, name: object, *, greatest: bool) -> Plan[Value]:
    """The least or greatest value that is not null; None where there are none."""
    field = _field(spec.options, name, is_number=False)
    parse(spec.options, field.name)
    is_whole = spec.limit is None and not spec.offset and spec.computed_sort is None
    if is_whole and (not field.null or field.order_index(None) is not None):
        # The end of an order: read from the index where the field has one.
        ordered = spec.changed(
            order_by=f"-{field.name}" if greatest else field.name,
            nulls="last",
            limit=1,
            values=(field.name,),
            shape="flat",
        )
        least: list[Value] = yield from Execution(ordered).results()
        return least[0] if least else None
    values = yield from _each_value(spec, field)
    found = [value for value in values if len(field.sort_key(value)) > 1]
    if not found:
        return None
    choose: Callable[..., Value] = max if greatest else min
    return choose(found, key=field.sort_key)


def group_count(spec: QuerySpec, name: object) -> Plan[dict[Value, int]]:
    """How many results have each value of a field, most frequent first."""
    field = _field(spec.options, name, is_number=False)
    values = yield from _each_value(spec, field)
    counts: dict[Value, int] = {}
    try:
        for value in values:
            counts[value] = counts.get(value, 0) + 1
    except TypeError as error:
        raise QueryException(
            f"{field.label} cannot be grouped by: {field.type.__name__} values are not hashable"
        ) from error
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
