"""Sorted fields: an index in the order of the values, whole or per partition."""

from __future__ import annotations

import builtins
import datetime
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any, ClassVar

from popoto.engine import keys
from popoto.engine.db_key import DB_key
from popoto.engine.tree import NOTHING, AllOf, Node, ScoreRange, all_of, any_of, negated
from popoto.exceptions import ModelException, QueryException
from popoto.fields.coercion import CoercionError, coerce, describe, is_list
from popoto.fields.entries import Entry, ScoreEntry
from popoto.fields.families import KeyFamily
from popoto.fields.field import LEFT_OUT, Field, LeftOut
from popoto.fields.lookups import (
    VALUE_SET_LOOKUPS,
    by_record,
    conjunction,
    several,
    unsupported,
    value_sets,
)
from popoto.fields.operands import Conditions, Operand, Scope, View
from popoto.fields.type_variables import MixedIn

VALID_SORTED_TYPES: frozenset[type] = frozenset(
    {int, float, Decimal, datetime.date, datetime.datetime}
)

#: The lookups that the order answers. "" is equality.
_IN_ORDER = ("", "gt", "gte", "lt", "lte", "between", "in", "ne")

#: Doubles tell integers apart up to here.
_EXACT_INTEGERS = 2**53
#: Doubles tell microseconds apart up to about this many seconds (year 2242).
_EXACT_SECONDS = 2**33

_UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=_UTC)


def _moment(value: datetime.datetime) -> float:
    try:
        return value.timestamp()
    except (OverflowError, ValueError, OSError):
        # Near the first and the last year a local time has no UTC twin.
        return (value.replace(tzinfo=_UTC) - _EPOCH).total_seconds()


_SCORES: dict[type, Callable[[Any], float]] = {
    int: int,
    float: float,
    Decimal: float,
    datetime.date: lambda value: value.toordinal(),
    datetime.datetime: _moment,
}


def _compare_key(value: Any) -> Any:
    """What values of one sorted field are compared by: exact where the score is not."""
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(_UTC) if 2 < value.year < 9998 else value.replace(tzinfo=_UTC)
        return moment - _EPOCH
    return value


class SortedFieldMixin(Field[MixedIn]):
    """Keeps records in the order of this field's values.

    `type`          int, float, Decimal, date or datetime (default float)
    `partition_by`  a field name or a tuple of them: one order per combination of their
                    values. Range conditions then need a value for each of them.
    `auto_now`, `auto_now_add`  fill the value with the current time at every save, or
                    where there is none (numbers: seconds since 1970)

    An index entry is a double. Values that doubles cannot tell apart (integers beyond
    2**53, Decimals) are compared again by their exact value.
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "type": float,
        "null": False,
        "sorted": True,
        "partition_by": (),
        "auto_now": False,
        "auto_now_add": False,
    }
    valid_types: ClassVar[frozenset[type] | None] = VALID_SORTED_TYPES

    partition_by: tuple[str, ...]
    auto_now: bool
    auto_now_add: bool

    def __init__(
        self,
        *,
        type: builtins.type[MixedIn] | LeftOut = LEFT_OUT,  # noqa: A002 - the contract's name
        **options: Any,
    ) -> None:
        if "sort_by" in options:
            if "partition_by" in options:
                raise ModelException(
                    "sort_by is the old name of partition_by: give partition_by only, not both"
                )
            _warn_sort_by()
            options["partition_by"] = options.pop("sort_by")
        super().__init__(type=type, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        if self.null is not False:
            raise ModelException(
                f"{type(self).__name__} cannot be null: a record without a value has no place "
                "in the order. Give it a default."
            )
        if self.type not in VALID_SORTED_TYPES:
            known = ", ".join(sorted(valid.__name__ for valid in VALID_SORTED_TYPES))
            raise ModelException(
                f"{describe(self.type)} is not a valid type of {type(self).__name__}, which keeps "
                f"an order of numbers; use one of {known}"
            )
        partition_by: object = self.partition_by
        if isinstance(partition_by, str):
            partition_by = (partition_by,)
        if not isinstance(partition_by, tuple) or not all(
            isinstance(name, str) for name in partition_by
        ):
            raise ModelException(
                f"partition_by must be a field name or a tuple of field names, "
                f"got {describe(partition_by)}"
            )
        self.partition_by = partition_by
        if self.max_length is not None:
            raise ModelException(f"{type(self).__name__} has no max_length")
        for name in ("key", "auto", "indexed", "value"):
            if getattr(self, name) != self.field_defaults[name]:
                raise ModelException(
                    f"{type(self).__name__} cannot take {name}={describe(getattr(self, name))}; "
                    "a sorted field that is part of the record key is a SortedKeyField"
                )

    @property
    def sort_by(self) -> tuple[str, ...]:
        """Deprecated name of `partition_by`."""
        _warn_sort_by()
        return self.partition_by

    @sort_by.setter
    def sort_by(self, value: str | tuple[str, ...]) -> None:
        _warn_sort_by()
        self.partition_by = (value,) if isinstance(value, str) else value

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.sorted_set_key = f"{self.field_class_key}:{model_name}:{name}"
        if self.unique or self.indexed:
            # Under the field's own prefix, a value could be taken for a partition.
            prefix = keys.field_prefix("UniqueField" if self.unique else "IndexedField")
            self.value_set_prefix = f"{prefix}:{model_name}:{name}:"

    # Values ---------------------------------------------------------------------

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if value is None and (self.auto_now or self.auto_now_add):
            return None
        problem = super().problem(value, null_check=null_check)
        if problem is None and value is not None and math.isnan(self.score(value)):
            return "NaN has no place in an order"
        return problem

    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        overwrite = self.auto_now and not kwargs.get("skip_auto_now")
        if overwrite or (field_value is None and self.auto_now_add):
            return self.current_value()
        return field_value

    def current_value(self) -> Any:
        """Now, in this field's type."""
        if self.type is datetime.datetime:
            return datetime.datetime.now()  # noqa: DTZ005 - naive local time is the contract
        if self.type is datetime.date:
            return datetime.date.today()  # noqa: DTZ011 - the local day is the contract
        if self.type is Decimal:
            return Decimal(time.time_ns()) / 1_000_000_000
        return self.type(time.time())

    def score(self, value: Any) -> float:
        """The value's place in the order, as the index holds it."""
        if isinstance(value, (int, float)):
            return value if not isinstance(value, bool) else int(value)
        return _SCORES[self.type](self.canonical(value))

    def is_exact(self, value: Any) -> bool:
        """Whether a double can tell this value from its neighbours."""
        if self.type is float or self.type is datetime.date:
            return True
        if self.type is int:
            return abs(value) < _EXACT_INTEGERS or math.isinf(value)
        if self.type is datetime.datetime:
            return abs(_moment(value)) < _EXACT_SECONDS
        return False

    @property
    def exact_to(self) -> int:
        """The score from which on doubles do not tell values apart; 0 = they always do."""
        return {int: _EXACT_INTEGERS, datetime.datetime: _EXACT_SECONDS}.get(self.type, 0)

    # Entries --------------------------------------------------------------------

    @property
    def keeps_value_sets(self) -> bool:
        # Uniqueness is decided by equal values, not by equal scores. `indexed` comes from an
        # IndexedFieldMixin beside this one.
        return self.unique or self.indexed

    @property
    def depends_on(self) -> tuple[str, ...]:
        return self.partition_by

    @property
    def makes_entries(self) -> bool:
        return True

    def partition_key(self, partition_values: Sequence[Any]) -> str:
        """The key of one partition's sorted set."""
        if not partition_values:
            return self.sorted_set_key
        parts = (keys.escape(str(value)) for value in partition_values)
        return f"{self.sorted_set_key}:{keys.SEPARATOR.join(parts)}"

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        value = values[self.name]
        if value is None:
            return ()
        partition = [values[name] for name in self.partition_by]
        entry = ScoreEntry(self.partition_key(partition), key, self.score(value))
        return (entry, self.value_entry(key, value)) if self.unique or self.indexed else (entry,)

    def key_families(self) -> Sequence[KeyFamily]:
        stem = self.sorted_set_key
        family = KeyFamily("sorted_fields", self.name, stem, "zset", is_open=True)
        if not (self.unique or self.indexed):
            return (family,)
        return (family, self.value_set_family("indexed_fields"))

    @classmethod
    def get_sortedset_db_key(
        cls, model: Any, field_name: str, *partition_field_values: Any
    ) -> DB_key:
        """The key of one partition's sorted set."""
        return cls.get_special_use_field_db_key(
            model, field_name, *(str(value) for value in partition_field_values)
        )

    @classmethod
    def get_partitioned_sortedset_db_key(cls, model_instance: Any, field_name: str) -> DB_key:
        """The key of the sorted set that an instance belongs to."""
        field = model_instance._meta.fields[field_name]
        values = [getattr(model_instance, name) for name in field.partition_by]
        return field.get_sortedset_db_key(model_instance, field_name, *values)

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        if self.key or self.indexed:
            # A key or index mixin stands beside this one: the lookups of both are understood.
            return tuple(dict.fromkeys((*_IN_ORDER, *VALUE_SET_LOOKUPS)))
        return _IN_ORDER

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__{name}" if name else field_name for name in self.lookup_names}

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        if value is None:
            raise QueryException(
                f"{self.label}: {self.name}{'__' + lookup if lookup else ''}=None: sorted fields "
                f"are never null; give a {self.type.__name__}"
            )
        if self.type is datetime.datetime and type(value) is datetime.date:
            value = datetime.datetime.combine(value, datetime.time())
        if isinstance(value, str) and self.type in (datetime.date, datetime.datetime):
            raise QueryException(
                f"{self.label}: {describe(value)} is text; give a {self.type.__name__}"
            )
        if self.type is int and isinstance(value, (float, Decimal)):
            # A bound need not be an integer itself: n > 2.5 is a fair question.
            if not math.isnan(value):
                return value
        else:
            try:
                value = self.canonical(
                    value if isinstance(value, self.type) else coerce(self.type, value)
                )
            except CoercionError as error:
                raise QueryException(
                    f"{self.label}: {describe(value)} cannot be compared with a "
                    f"{self.type.__name__} field: {error}"
                ) from error
        if math.isnan(self.score(value)):
            raise QueryException(f"{self.label}: NaN cannot be compared")
        return value

    def partitions(self, scope: Scope) -> list[str]:
        """The sorted sets that a condition in this scope looks at. Raises QueryException."""
        missing = [name for name in self.partition_by if name not in scope.fixed]
        if missing:
            raise QueryException(
                f"{self.label} is partitioned by {', '.join(self.partition_by)}: a condition on "
                f"it needs an exact value for {', '.join(missing)} as well"
            )
        choices = [scope.fixed[name] for name in self.partition_by]
        found = dict.fromkeys(self.partition_key(values) for values in product(*choices))
        return list(found)

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        ranges = [each for each in conditions if each[0] in _IN_ORDER]
        others = [each for each in conditions if each[0] not in _IN_ORDER]
        if not others or not (self.key or self.indexed):
            return self._in_order(conditions, scope)
        looked_at = value_sets(self, others) if self.indexed else by_record(self, others)
        if not ranges:
            return looked_at
        operand = self._in_order(ranges, scope)
        both = conjunction([operand, looked_at])
        both.order_field, both.order_key = operand.order_field, operand.order_key
        return both

    def _in_order(self, conditions: Conditions, scope: Scope) -> Operand:
        partitions = self.partitions(scope)
        operand = conjunction(
            [self._condition(lookup, value, partitions) for lookup, value in conditions]
        )
        ranges = [child for child in _children(operand.node) if isinstance(child, ScoreRange)]
        if len(partitions) == 1 and len(ranges) > 1:
            tightest = _tightest(partitions[0], ranges)
            others = [child for child in _children(operand.node) if child not in ranges]
            operand.node = all_of([tightest, *others])
        operand.order_field = self.name
        operand.order_key = partitions[0] if len(partitions) == 1 else None
        return operand

    def _condition(self, lookup: str, value: Any, partitions: list[str]) -> Operand:
        if lookup == "between":
            if not is_list(value) or len(value) != 2:
                raise QueryException(
                    f"{self.label}: {self.name}__between takes a tuple or list of 2 elements "
                    f"(low, high), got {describe(value)}"
                )
            low, high = (self.coerce_operand(lookup, bound) for bound in value)
            return conjunction(
                [self._bound("gte", low, partitions), self._bound("lte", high, partitions)]
            )
        if lookup == "in":
            members = several(self, lookup, value)
            operands = [self._equal(member, partitions) for member in members]
            return Operand(
                any_of([operand.node for operand in operands]),
                lambda view: any(operand.test(view) for operand in operands),
                all(operand.exact for operand in operands),
                frozenset({self.name}),
            )
        if lookup not in _IN_ORDER:
            hint = " Sorted fields are never null." if lookup == "isnull" else ""
            raise unsupported(self, lookup, hint)
        operand = self.coerce_operand(lookup, value)
        if lookup == "":
            return self._equal(operand, partitions)
        if lookup == "ne":
            equal = self._equal(operand, partitions)
            everything = any_of([ScoreRange(key) for key in partitions])
            node = all_of([everything, negated(equal.node)])
            return Operand(
                node if equal.exact else everything,
                lambda view: not equal.test(view),
                equal.exact,
                equal.needs,
            )
        return self._bound(lookup, operand, partitions)

    def _equal(self, value: Any, partitions: list[str]) -> Operand:
        score = _score_text(self.score(value))
        wanted = _compare_key(value)
        name = self.name

        def test(view: View) -> bool:
            stored = view.value(name)
            return stored is not None and _compare_key(self.canonical(stored)) == wanted

        node = any_of([ScoreRange(key, score, score) for key in partitions])
        return Operand(node, test, self.is_exact(value), frozenset({name}))

    def _bound(self, lookup: str, value: Any, partitions: list[str]) -> Operand:
        exact = self.is_exact(value)
        score = _score_text(self.score(value))
        # Where doubles are too coarse, take the neighbours too and compare again.
        edge = f"({score}" if exact and lookup in ("gt", "lt") else score
        low, high = (edge, "+inf") if lookup in ("gt", "gte") else ("-inf", edge)
        wanted = _compare_key(value)
        compare = _COMPARISONS[lookup]
        name = self.name

        def test(view: View) -> bool:
            stored = view.value(name)
            return stored is not None and compare(_compare_key(self.canonical(stored)), wanted)

        node = any_of([ScoreRange(key, low, high) for key in partitions])
        return Operand(node, test, exact, frozenset({name}))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda stored, wanted: stored > wanted,
    "gte": lambda stored, wanted: stored >= wanted,
    "lt": lambda stored, wanted: stored < wanted,
    "lte": lambda stored, wanted: stored <= wanted,
}


def _score_text(score: float) -> str:
    if isinstance(score, float):
        if math.isinf(score):
            return "+inf" if score > 0 else "-inf"
        return repr(score)
    return str(score)


def _children(node: Node) -> Sequence[Node]:
    return node.children if isinstance(node, AllOf) else (node,)


def _tightest(key: str, ranges: Sequence[ScoreRange]) -> Node:
    """The one range that all of these ranges of one sorted set amount to."""

    def edge(text: str) -> tuple[float, bool]:
        exclusive = text.startswith("(")
        number = text.removeprefix("(")
        return float(number), exclusive

    low = max((edge(each.low) for each in ranges), key=lambda pair: (pair[0], pair[1]))
    high = min((edge(each.high) for each in ranges), key=lambda pair: (pair[0], not pair[1]))
    lows = {edge(each.low): each.low for each in ranges}
    highs = {edge(each.high): each.high for each in ranges}
    if low[0] > high[0]:
        return NOTHING
    return ScoreRange(key, lows[low], highs[high])


def _warn_sort_by() -> None:
    warnings.warn("sort_by is deprecated, use partition_by", DeprecationWarning, stacklevel=3)
