"""The order of results: what the server can order by, and ordering in Python.

First match wins: `computed_sort`; explicit `order_by`; distance, when distances
were asked for; the field of a sorted condition, ascending; `Meta.order_by`;
distance; the record key. Nulls come first ascending and last descending, ties in
ascending order of record keys either way.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from popoto.exceptions import QueryException
from popoto.fields.coercion import describe, is_list
from popoto.fields.field import Field
from popoto.fields.geo_field import GeoField
from popoto.fields.operands import Operand
from popoto.fields.relationship import Relationship
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.models.options import ModelOptions

T = TypeVar("T")

_ORDERABLE = (
    int,
    float,
    Decimal,
    str,
    bool,
    bytes,
    list,
    tuple,
    datetime.date,
    datetime.datetime,
    datetime.time,
)


@dataclass(slots=True, frozen=True)
class Order:
    """How the results of one query are ordered.

    `kind`: ``score`` (by the sorted set `key`, on the server), ``found`` (as the
    server finds them), ``key`` (by record key) or ``values`` (by `fields`, in Python).
    """

    kind: str
    key: str | None = None
    reverse: bool = False
    fields: tuple[tuple[str, bool], ...] = ()


BY_KEY = Order("key")


def parse(options: ModelOptions, order_by: Any) -> tuple[tuple[str, bool], ...]:
    """(field, descending) pairs from what a caller gave. Raises QueryException."""
    if isinstance(order_by, str):
        order_by = (order_by,)
    if not is_list(order_by) or not order_by:
        raise QueryException(
            f"{options.model_name}: order_by takes a field name ('-' in front for descending) "
            f"or several of them, got {describe(order_by)}"
        )
    return tuple(_parse_one(options, name) for name in order_by)


def _parse_one(options: ModelOptions, name: Any) -> tuple[str, bool]:
    if not isinstance(name, str):
        raise QueryException(
            f"{options.model_name}: order_by takes field names, got {describe(name)}"
        )
    descending = name.startswith("-")
    field_name = name.removeprefix("-")
    field = options.fields.get(field_name)
    if field is None:
        raise QueryException(
            f"{options.model_name}: order_by={name!r} names no field; "
            f"fields are {', '.join(options.fields)}"
        )
    if isinstance(field, Relationship) or not issubclass(field.type, _ORDERABLE):
        raise QueryException(
            f"{field.label} cannot be ordered by: {type(field).__name__} values of type "
            f"{field.type.__name__} have no order"
        )
    return field_name, descending


def choose(options: ModelOptions, operand: Operand, order_by: Any) -> Order:
    """The order of a query without `computed_sort`."""
    if order_by is not None:
        return _by_fields(options, operand, parse(options, order_by))
    if "distance_unit" in operand.extra:
        return Order("found")
    if operand.order_field is not None:
        if operand.order_key is not None and _is_exact(options.fields[operand.order_field]):
            return Order("score", operand.order_key)
        return Order("values", fields=((operand.order_field, False),))
    if options.order_by is not None:
        return _by_fields(options, operand, parse(options, options.order_by))
    if "near" in operand.extra:
        return Order("found")
    return BY_KEY


def _is_exact(field: Field[Any]) -> bool:
    """Whether the index orders just as the values do (a double cannot tell Decimals apart)."""
    return field.type is not Decimal


def _by_fields(
    options: ModelOptions, operand: Operand, fields: tuple[tuple[str, bool], ...]
) -> Order:
    ((name, descending), *others) = fields
    field = options.fields[name]
    if not others and isinstance(field, SortedFieldMixin) and _is_exact(field):
        if not field.partition_by:
            return Order("score", field.sorted_set_key, descending)
        if operand.order_field == name and operand.order_key is not None:
            return Order("score", operand.order_key, descending)
    return Order("values", fields=fields)


def comparable(field: Field[Any], value: Any) -> tuple[Any, ...]:
    """What values of a field are ordered by: null first, then by value."""
    if value is None or (isinstance(field, GeoField) and value[0] is None):
        return (False,)
    if isinstance(value, datetime.datetime):
        offset = value.utcoffset()
        return (True, True, value.replace(tzinfo=None) - offset if offset else value.replace(tzinfo=None))
    # NaN is equal to nothing, itself included; it comes before all numbers.
    return (True, value == value, value)  # noqa: PLR0124


def ordered(
    options: ModelOptions,
    order: Order,
    rows: list[T],
    key_of: Callable[[T], str],
    value_of: Callable[[T, str], Any],
) -> list[T]:
    """Rows in the order of their values. Raises QueryException for values without order."""
    rows = sorted(rows, key=lambda row: key_of(row).encode("utf-8", "surrogateescape"))
    for name, descending in reversed(order.fields):
        field = options.fields[name]
        try:
            rows.sort(
                key=lambda row: comparable(field, value_of(row, name)),  # noqa: B023
                reverse=descending,
            )
        except TypeError as error:
            raise QueryException(
                f"{field.label} cannot be ordered by: its values have no common order ({error})"
            ) from error
    return rows
