"""The order of results: what the server can order by, and ordering in Python.

First match wins: `computed_sort`; explicit `order_by`; distance, when distances
were asked for; the field of a sorted condition, ascending; the list that a field's own
`filter_query` answers with; `Meta.order_by`; distance; the record key. Nulls come where
they are asked to; of sorted fields last, of others first ascending and last descending.
Ties are in ascending order of record keys either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from popoto.exceptions import QueryException
from popoto.fields.asking.operands import Operand
from popoto.fields.describing import describe
from popoto.models.reading.by_pk import PK
from popoto.models.record.options import ModelOptions

T = TypeVar("T")


class ByField(NamedTuple):
    """One field that results are ordered by."""

    name: str
    descending: bool
    nulls_last: bool


@dataclass(slots=True, frozen=True)
class Order:
    """How the results of one query are ordered.

    `kind`: ``score`` (by the sorted set `key`, on the server), ``nulls_first`` and
    ``nulls_last`` (the same where records may have no entry), ``found`` (the nearest to a place
    first), ``key`` (by record key) or ``values`` (by `fields`, in Python).
    """

    kind: str
    key: str | None = None
    reverse: bool = False
    fields: tuple[ByField, ...] = ()
    #: scores beyond this do not tell values apart (0 = all do); the query is then
    #: asked again with `by_value`
    exact_to: int = 0
    #: places of record keys, for results in the order of a list; others come behind these
    places: Mapping[str, int] | None = None

    def by_value(self) -> Order:
        """The same order, decided in Python by the values themselves."""
        return Order("values", fields=self.fields)


#: By record key, without the help of an index.
BY_KEY = Order("key")


def by_key(options: ModelOptions) -> Order:
    """By record key, along the index of record keys where that covers them."""
    return Order("key", options.record_keys_key)


def parse(options: ModelOptions, order_by: Any, nulls: Any = None) -> tuple[ByField, ...]:
    """What a caller wants results to be ordered by. Raises QueryException.

    `nulls` is ``first`` or ``last``; None: where the field has them.
    """
    if nulls not in (None, "first", "last"):
        raise QueryException(
            f"{options.model_name}: nulls come 'first' or 'last', not {describe(nulls)}"
        )
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
    return tuple(_parse_one(options, name, nulls) for name in _without_pk(options, names))


def _without_pk(options: ModelOptions, names: tuple[Any, ...]) -> list[Any]:
    """The names, with those of the key fields in place of `pk`."""
    found: list[Any] = []
    for name in names:
        if name in (PK, f"-{PK}"):
            found += [name.removesuffix(PK) + key_name for key_name in options.key_names]
        else:
            found.append(name)
    return found


def _parse_one(options: ModelOptions, name: Any, nulls: str | None) -> ByField:
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
            f"{field.label} cannot be ordered by: "
            + (
                field.takes_no_default
                or f"{type(field).__name__} values of type {field.type.__name__} have no order"
            )
        )
    if nulls is None:
        return ByField(field_name, descending, field.puts_nulls_last(descending=descending))
    return ByField(field_name, descending, nulls == "last")


def choose(options: ModelOptions, operand: Operand, order_by: Any, nulls: Any = None) -> Order:
    """The order of a query without `computed_sort`."""
    if order_by is not None:
        return _by_fields(options, operand, parse(options, order_by, nulls))
    if "distance_unit" in operand.extra:
        return Order("found")
    if "listed" in operand.extra and operand.order_field is None:
        return Order("values", places=operand.extra["listed"])
    by_default = operand.order_field or options.order_by
    if by_default is not None:
        return _by_fields(options, operand, parse(options, by_default))
    if "near" in operand.extra:
        return Order("found")
    return by_key(options)


def _by_fields(options: ModelOptions, operand: Operand, fields: tuple[ByField, ...]) -> Order:
    (first, *others) = fields
    if not others:
        among = operand.order_key if operand.order_field == first.name else None
        index = options.by_name[first.name].order_index(among)
        if index is not None:
            kind = "score"
            if index.may_lack:
                kind = "nulls_last" if first.nulls_last else "nulls_first"
            return Order(kind, index.key, first.descending, fields, index.exact_to)
    return Order("values", fields=fields)


def _placed(key: tuple[Any, ...], nulls_greatest: bool) -> tuple[bool, tuple[Any, ...]]:
    """What to sort by so that null, whose key has one part, is greatest or least."""
    return (len(key) == 1) is nulls_greatest, key


def ordered(
    options: ModelOptions,
    order: Order,
    rows: list[T],
    key_of: Callable[[T], str],
    value_of: Callable[[T, str], Any],
) -> list[T]:
    """Rows in the order of their values. Raises QueryException for values without order."""
    rows = sorted(rows, key=lambda row: key_of(row).encode("utf-8", "surrogateescape"))
    places = order.places
    if places is not None:
        rows.sort(key=lambda row: places.get(key_of(row), len(places)))
    for name, descending, nulls_last in reversed(order.fields):
        field = options.by_name[name]
        nulls_greatest = nulls_last is not descending
        try:
            rows.sort(
                key=lambda row: _placed(field.sort_key(value_of(row, name)), nulls_greatest),
                reverse=descending,
            )
        except TypeError as error:
            raise QueryException(
                f"{field.label} cannot be ordered by: its values have no common order ({error})"
            ) from error
    return rows
