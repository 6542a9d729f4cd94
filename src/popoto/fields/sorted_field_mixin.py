"""Sorted fields: an index in the order of the values, whole or per partition."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any, ClassVar

from popoto._stock import is_replaced, stock
from popoto.engine import keys
from popoto.engine.codec import MAX_INT, MIN_INT
from popoto.engine.db_key import DB_key
from popoto.engine.plain import Real, plain, unwrapped
from popoto.exceptions import ModelException, QueryException
from popoto.fields.adapting import text_in_key
from popoto.fields.asking.in_order import IN_ORDER, in_order
from popoto.fields.asking.lookups import conjunction
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.asking.orders import OrderIndex
from popoto.fields.asking.stored_values import by_record
from popoto.fields.asking.value_sets import VALUE_SET_LOOKUPS, value_sets
from popoto.fields.coercion import CoercionError, coerce
from popoto.fields.describing import describe
from popoto.fields.given import field_named, record_in
from popoto.fields.keeping.adding import ServerAddition, server_addition
from popoto.fields.keeping.entries import Entry, ScoreEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.scores import EXACT_TO, SCORES, is_exact, score_without_zone
from popoto.fields.partitioned_field_mixin import PartitionedFieldMixin
from popoto.fields.spelling import spellings
from popoto.fields.type_variables import MixedIn
from popoto.fields.valued import Valued
from popoto.fields.zone import check_zone, idle_zone
from popoto.memory.composite import signals
from popoto.memory.composite.signals import Signal

VALID_SORTED_TYPES: frozenset[type] = frozenset(SCORES)


def _is_number(value: float) -> bool:
    return value == value  # noqa: PLR0124 - NaN, the only one that differs from itself


class SortedFieldMixin(PartitionedFieldMixin[MixedIn]):
    """Keeps records in the order of this field's values.

    `type`          int, float, Decimal, date or datetime (default float)
    `partition_by`  a field name or a tuple of them: one order per combination of their
                    values. Range conditions then need a value for each of them.
    `null`          whether records may have no value (False): they then have no entry, and
                    come last in any order
    `auto_now`, `auto_now_add`  fill the value with the current time at every save, or
                    where there is none (numbers: seconds since 1970)
    `tz`            time zone of moments that are filled in; naive local time by default

    An index entry is a double. Values that doubles cannot tell apart (integers beyond
    2**53, Decimals) are compared again by their exact value.
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "type": float,
        "null": False,
        "sorted": True,
        "auto_now": False,
        "auto_now_add": False,
        "tz": None,
    }
    valid_types: ClassVar[frozenset[type] | None] = VALID_SORTED_TYPES
    is_told_all_conditions: ClassVar[bool] = True
    shown_keywords: ClassVar[tuple[str, ...]] = ("auto_now", "auto_now_add")

    auto_now: bool
    auto_now_add: bool
    tz: datetime.tzinfo | None

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        null: object = self.null
        if not isinstance(null, bool):
            raise ModelException(f"{type(self).__name__}: null is True or False, not {null!r}")
        if self.type not in VALID_SORTED_TYPES:
            known = ", ".join(sorted(valid.__name__ for valid in VALID_SORTED_TYPES))
            raise ModelException(
                f"{describe(self.type)} is not a valid type of {type(self).__name__}, which keeps "
                f"an order of numbers; use one of {known}"
            )
        if self.max_length is not None:
            raise ModelException(f"{type(self).__name__} has no max_length")
        check_zone(self)
        if self.tz is not None and not issubclass(self.type, datetime.date):
            raise ModelException(f"{type(self).__name__}(tz=…) needs the type datetime or date")
        for name in ("key", "auto", "indexed", "value"):
            if getattr(self, name) != self.field_defaults[name]:
                raise ModelException(
                    f"{type(self).__name__} cannot take {name}={describe(getattr(self, name))}; "
                    "a sorted field that is part of the record key is a SortedKeyField"
                )

    def without_effect(self, model: Any) -> Iterator[str]:
        yield from super().without_effect(model)
        yield from idle_zone(self)

    @property
    def never_null(self) -> str:
        return "a record without a value would have no place in its key" if self.key else ""

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.sorted_set_key = f"{self.field_class_key}:{model_name}:{name}"
        if self.unique or self.indexed:
            # Under the field's own prefix, a value could be taken for a partition.
            prefix = keys.field_prefix("UniqueField" if self.unique else "IndexedField")
            self.value_set_prefix = f"{prefix}:{model_name}:{name}:"

    # Values ---------------------------------------------------------------------

    @stock
    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if value is None and (self.auto_now or self.auto_now_add):
            return None
        problem = super().problem(value, null_check=null_check)
        if problem is None and value is not None and math.isnan(self.score(value)):
            return "NaN has no place in an order"
        return problem

    def quick_look(self) -> Callable[[Any], bool] | None:
        cls = type(self)
        if (
            self.type in (int, float)
            and cls.problem is SortedFieldMixin.problem
            and cls.coerce is Valued.coerce
            and cls.score is SortedFieldMixin.score
        ):
            look = self.look_at_exact()
            return look if look is None or self.type is int else _is_number
        return super().quick_look()

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        overwrite = self.auto_now and not kwargs.get("skip_auto_now")
        if overwrite or (field_value is None and self.auto_now_add):
            return self.current_value()
        return field_value

    def current_value(self) -> Any:
        """Now, in this field's type."""
        if self.type is Real.datetime:
            return datetime.datetime.now(self.tz)
        if self.type is Real.date:
            return datetime.datetime.now(self.tz).date()
        if self.type is Decimal:
            return Decimal(time.time_ns()) / 1_000_000_000
        return self.type(time.time())

    @stock
    def score(self, value: Any) -> float:
        """The value's place in the order, as the index holds it."""
        if isinstance(value, (int, float)):
            return value if not isinstance(value, bool) else int(value)
        return SCORES[self.type](self.canonical(value))

    def is_exact(self, value: Any) -> bool:
        """Whether a double can tell this value from its neighbours."""
        return is_exact(self.type, value)

    @property
    def stamps_writes(self) -> bool:
        return self.auto_now

    # Entries --------------------------------------------------------------------

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"sorted"}

    @property
    def keeps_value_sets(self) -> bool:
        # Uniqueness is decided by equal values, not by equal scores. `indexed` comes from an
        # IndexedFieldMixin beside this one.
        return self.unique or self.indexed

    @property
    def makes_entries(self) -> bool:
        return True

    def partition_key(self, partition_values: Sequence[Any]) -> str:
        """The key of one partition's sorted set."""
        if not partition_values:
            return self.sorted_set_key
        parts = (keys.escape(text_in_key(value)) for value in partition_values)
        return f"{self.sorted_set_key}:{keys.SEPARATOR.join(parts)}"

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        value = values[self.name]
        if value is None:
            return ()
        partition = self.partition_values(values)
        kept = score_without_zone(value) if self.type is datetime.datetime else None
        entry = ScoreEntry(self.partition_key(partition), key, self.score(value), kept)
        return (entry, self.value_entry(key, value)) if self.unique or self.indexed else (entry,)

    def entries_to_remove(self, instance: Any, value: Any, key: str) -> Sequence[Entry]:
        return self.entries_of_any(instance, value, key, self.current_value())

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
            model, field_name, *map(text_in_key, DB_key(*partition_field_values))
        )

    @classmethod
    def get_partitioned_sortedset_db_key(cls, model_instance: Any, field_name: str) -> DB_key:
        """The key of the sorted set that an instance belongs to."""
        options = record_in(model_instance, "get_partitioned_sortedset_db_key()")._meta
        field = field_named(options, field_name)
        if not isinstance(field, SortedFieldMixin):
            raise ModelException(
                f"{options.model_name} has no sorted field {describe(field_name)}, so it has no "
                f"sorted set; fields are {', '.join(options.by_name)}"
            )
        values = field.partition_values(
            {name: getattr(model_instance, name) for name in field.partition_by}
        )
        key: DB_key = field.get_sortedset_db_key(model_instance, field_name, *values)
        return key

    # Lookups ----------------------------------------------------------------------

    def partitions(self, scope: Scope) -> list[str]:
        """The sorted sets that a condition in this scope looks at. Raises QueryException."""
        found = self.partitions_in(scope)
        if any(isinstance(value, Decimal) for values in scope.fixed.values() for value in values):
            found = (each for values in found for each in product(*map(_equal_ones, values)))
        return list(dict.fromkeys(map(self.partition_key, found)))

    @property
    def lookup_names(self) -> tuple[str, ...]:
        if self.key or self.indexed:
            # A key or index mixin stands beside this one: the lookups of both are understood.
            return tuple(dict.fromkeys((*IN_ORDER, *VALUE_SET_LOOKUPS)))
        return self.ordered_lookups

    @property
    def ordered_lookups(self) -> tuple[str, ...]:
        """The lookups that the order answers. What is null has no other entry either."""
        return (*IN_ORDER, "isnull") if self.null else IN_ORDER

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__{name}" if name else field_name for name in self.lookup_names}

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        if value is None:
            if self.null and lookup in ("", "ne", "in"):
                return None
            why = "null has no place in the order" if self.null else "this field is never null"
            raise QueryException(
                f"{self.label}: {self.name}{'__' + lookup if lookup else ''}=None: {why}; "
                f"give a {self.type.__name__}"
            )
        is_datetime = isinstance(value, datetime.datetime)
        if self.type is Real.datetime and isinstance(value, datetime.date) and not is_datetime:
            value = Real.datetime.combine(value, datetime.time())
        if self.type is Real.date and is_datetime:
            # A question loses nothing: whatever its time, a moment lies on its day.
            value = value.date()
        if self.type is int and _is_bound(inside := unwrapped(value)):
            value = inside
            # A bound need not be an integer itself: n > 2.5 is a fair question. Nor need it be one
            # that can be stored: beyond those, all are alike.
            if not MIN_INT <= value <= MAX_INT:
                return MIN_INT - 1 if value < 0 else MAX_INT + 1
            whole = int(value)
            return whole if whole == value else plain(Decimal, plain(float, value))
        try:
            value = self.canonical(coerce(self.type, value))
        except CoercionError as error:
            raise QueryException(
                f"{self.label}: {describe(value)} cannot be compared with a "
                f"{self.type.__name__} field: {error}"
            ) from error
        if math.isnan(self.score(value)):
            raise QueryException(f"{self.label}: NaN cannot be compared")
        return value

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        ranges = [each for each in conditions if each[0] in self.ordered_lookups]
        others = [each for each in conditions if each[0] not in self.ordered_lookups]
        if not others or not (self.key or self.indexed):
            return in_order(self, conditions, self.partitions(scope))
        looked_at = value_sets(self, others) if self.indexed else by_record(self, others)
        if not ranges:
            return looked_at
        operand = in_order(self, ranges, self.partitions(scope))
        both = conjunction([operand, looked_at])
        both.order_field, both.order_key = operand.order_field, operand.order_key
        return both

    # Order ------------------------------------------------------------------------

    def order_index(self, among: str | None) -> OrderIndex | None:
        key = among if self.partition_by else self.sorted_set_key
        if key is None or self.type is Decimal:
            # A double cannot tell Decimals apart.
            return None
        return OrderIndex(key, EXACT_TO.get(self.type, 0), self.null)

    def puts_nulls_last(self, *, descending: bool) -> bool:
        return True

    def signal(self, partition_values: Sequence[Any]) -> Signal | None:
        return signals.scores(self.partition_key(partition_values))

    # Increments -------------------------------------------------------------------

    def server_addition(self, delta: Any) -> ServerAddition | None:
        if (
            self.keeps_value_sets
            or self.decides_how_numbers_are_stored
            or is_replaced(type(self), "entries")
            or is_replaced(type(self), "score")
        ):
            return None
        return server_addition(self.type, delta, self._order_key)

    def _order_key(self, values: Mapping[str, Any]) -> str:
        return self.partition_key(self.partition_values(values))


def _equal_ones(value: Any) -> Sequence[Any]:
    """The values equal to this one that other texts stand for."""
    if not isinstance(value, Decimal):
        return (value,)
    return [Decimal(text) for text in spellings(Decimal, value)]


def _is_bound(value: object) -> bool:
    """Whether integers can be compared with it. NaN compares with nothing."""
    if isinstance(value, Decimal):
        return not value.is_nan()
    return isinstance(value, (int, float)) and value == value  # noqa: PLR0124 - NaN is not
