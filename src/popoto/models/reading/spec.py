"""What one query is: conditions, order, window and shape, as its builder describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal, TypeAlias, cast

from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.describing import describe
from popoto.models.reading.by_pk import PK
from popoto.models.reading.fixing import fixed_shards
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record

Shape: TypeAlias = Literal["dicts", "tuples", "flat"]
#: Where records without a value come in an order.
Nulls: TypeAlias = Literal["first", "last"]


@dataclass(slots=True, frozen=True)
class QuerySpec:
    """One query as its builder describes it. Immutable; each builder method makes another."""

    model: type[Record]
    conditions: tuple[Q, ...] = ()
    #: what `filter` was given as keywords; all of it stands among the conditions too
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])
    order_by: Any = None
    #: where nulls come in that order: "first", "last", or None: where the field has them
    nulls: Nulls | None = None
    limit: Any = None
    offset: Any = 0
    values: tuple[str, ...] | None = None
    #: the fields that records are loaded with; None: all
    only: tuple[str, ...] | None = None
    #: what becomes of `values` of a record: a dict, a tuple, or (flat) the one value itself
    shape: Shape = "dicts"
    computed_sort: tuple[Callable[[Any], Any], bool] | None = None
    tracked: bool = True
    related: tuple[str, ...] = ()
    #: of every partition, also where the model requires one: for upkeep
    at_large: bool = False
    #: the one field whose conditions are asked of what it keeps, and not of its own `filter_query`;
    #: conditions on other fields only say which partitions are meant
    answered_by_index: str | None = None
    #: the shard that it asks, where its conditions do not say it
    within: ModelOptions | None = None
    #: whether replicas are asked
    replica: bool = False

    @property
    def options(self) -> ModelOptions:
        """The model's options; of one with `Meta.shard_by`, those of the one shard that it asks.

        Those of the model as a whole where it may ask several.
        """
        if self.within is not None:
            return self.within
        options = self.model._meta
        if options.shard_by is None:
            return options
        shards = fixed_shards(options, self.conditions)
        return shards[0] if shards is not None and len(shards) == 1 else options

    def changed(self, **changes: Any) -> QuerySpec:
        """Another one that differs in these. In half the time of `dataclasses.replace`."""
        values = list(_VALUES(self))
        for name, value in changes.items():
            values[_PLACES[name]] = value
        return QuerySpec(*values)


_PLACES = {each.name: place for place, each in enumerate(fields(QuerySpec))}
_VALUES = attrgetter(*_PLACES)


def check_count(options: ModelOptions, name: str, value: Any) -> int | None:
    """A limit or offset. Raises QueryException unless it is None or an int from 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise QueryException(
            f"{options.model_name}: {name} must be an int of 0 or more, got {describe(value)}"
        )
    return value


def check_values(
    options: ModelOptions, names: Sequence[Any], method: str = "values"
) -> tuple[str, ...]:
    """Names for a projection. Raises QueryException for unknown ones."""
    for name in names:
        if not isinstance(name, str) or (name != PK and name not in options.by_name):
            raise QueryException(
                f"{options.model_name}: {method} names {describe(name)}, which is no field; "
                f"fields are {', '.join(options.by_name)}"
            )
    return tuple(names)


def values_argument(options: ModelOptions, values: Any) -> tuple[str, ...] | None:
    """Names given as ``values=``; None for none. Raises QueryException unless they are a tuple."""
    if values is None:
        return None
    if not isinstance(values, tuple):
        raise QueryException(
            f"{options.model_name}: values takes a tuple of field names, such as "
            f"values=('name',), got {describe(values)}"
        )
    return check_values(options, cast("tuple[object, ...]", values)) or None
