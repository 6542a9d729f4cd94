"""The order of results: what the server can order by, and ordering in Python.

First match wins: `computed_sort`; explicit `order_by`; distance, when distances
were asked for; the field of a sorted condition, ascending; `Meta.order_by`;
distance; the record key. Nulls come first ascending and last descending, ties in
ascending order of record keys either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Operand
from popoto.fields.describing import describe
from popoto.models.reading.by_pk import PK
from popoto.models.record.options import ModelOptions

T = TypeVar("T")


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
    #: scores beyond this do not tell values apart (0 = all do); the query is then
    #: asked again with `by_value`
    exact_to: int = 0

    def by_value(self) -> Order:
        """The same order, decided in Python by the values themselves."""
        return Order("values", fields=self.fields)


#: By record key, without the help of an index.
BY_KEY = Order("key")


def by_key(options: ModelOptions) -> Order:
    """By record key, along the index of record keys where that covers them."""
    return Order("key", options.record_keys_key)


def parse(options: ModelOptions, order_by: Any) -> tuple[tuple[str, bool], ...]:
    """(field, descending) pairs from what a caller gave. Raises QueryException."""
    names: tuple[Any, ...] = ()
    if isinstance(order_by, str):
        names = (order_by,)
    elif isinstance(order_by, tuple):
        names = cast("tuple[object, ...]", order_by)
    if not names:
        raise QueryException(
            f"{options.model_name}: order_by takes a field name ('-' in front for descending) "
            f"or a tuple of several, got {describe(cast('object', order_by))}"
        )
    return tuple(_parse_one(options, name) for name in _without_pk(options, names))


def _without_pk(options: ModelOptions, names: tuple[Any, ...]) -> list[Any]:
    """The names, with those of the key fields in place of `pk`."""
    found: list[Any] = []
    for name in names:
        if name in (PK, f"-{PK}"):
            found += [name.removesuffix(PK) + key_name for key_name in options.key_names]
        else:
            found.append(name)
    return found


def _parse_one(options: ModelOptions, name: Any) -> tuple[str, bool]:
    if not isinstance(name, str):
        raise QueryException(
            f"{options.model_name}: order_by takes field names, got {describe(name)}"
        )
    descending = name.startswith("-")
    field_name = name.removeprefix("-")
    field = options.by_name.get(field_name)
    if field is None:
        raise QueryException(
            f"{options.model_name}: order_by={name!r} names no field; "
            f"fields are {', '.join(options.by_name)}"
        )
    if not field.is_orderable:
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
        return _by_fields(options, operand, ((operand.order_field, False),))
    if options.order_by is not None:
        return _by_fields(options, operand, parse(options, options.order_by))
    if "near" in operand.extra:
        return Order("found")
    return by_key(options)


def _by_fields(
    options: ModelOptions, operand: Operand, fields: tuple[tuple[str, bool], ...]
) -> Order:
    ((name, descending), *others) = fields
    if not others:
        among = operand.order_key if operand.order_field == name else None
        index = options.by_name[name].order_index(among)
        if index is not None:
            return Order("score", index.key, descending, fields, index.exact_to)
    return Order("values", fields=fields)


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
        field = options.by_name[name]
        try:
            rows.sort(
                key=lambda row: field.sort_key(value_of(row, name)),
                reverse=descending,
            )
        except TypeError as error:
            raise QueryException(
                f"{field.label} cannot be ordered by: its values have no common order ({error})"
            ) from error
    return rows
