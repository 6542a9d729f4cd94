"""What queries ask of a field: lookups, their operands, and an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Generic

from popoto._stock import stock
from popoto.engine.db_key import DB_key
from popoto.engine.plain import Real, plain
from popoto.exceptions import QueryException
from popoto.fields.asking import orders
from popoto.fields.asking.comparing import Comparable
from popoto.fields.asking.lookups import storable
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.asking.orders import OrderIndex
from popoto.fields.asking.stored_values import stored_values
from popoto.fields.asking.value_sets import VALUE_SET_LOOKUPS, value_sets
from popoto.fields.coercion import CoercionError, coerce
from popoto.fields.describing import describe
from popoto.fields.keeping.written import Written
from popoto.fields.type_variables import Value
from popoto.memory.composite.signals import Signal


class Asked(Written, Comparable[Value], Generic[Value]):
    """How a field answers. What it can answer follows from what it keeps."""

    field_class_key: DB_key

    #: Whether a `filter_query` of a user's own is told the conditions on other fields too.
    is_told_all_conditions: ClassVar[bool] = False

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        """The lookups that this field understands; "" is equality."""
        return tuple(VALUE_SET_LOOKUPS) if self.keeps_value_sets else ("",)

    def get_filter_query_params(self, field_name: str) -> set[str]:
        """The filter keywords that this field announces."""
        if not self.keeps_value_sets:
            return set()
        return {f"{field_name}__{lookup}" if lookup else field_name for lookup in self.lookup_names}

    def answers_unannounced(self, lookup: str) -> bool:
        """Whether a lookup is answered, beside a `filter_query` of one's own, if not announced."""
        return not lookup

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        """Compile this field's conditions of one conjunction. Raises QueryException."""
        if self.keeps_value_sets:
            return value_sets(self, conditions)
        return stored_values(self, conditions)

    def wants_distances(self, conditions: Conditions) -> bool:
        """Whether conditions ask for the distances of what they find."""
        return False

    def circle_of(self, conditions: Conditions) -> Mapping[str, Any]:
        """The circle that conditions are about, as an `Operand` tells it; nothing if in none."""
        return {}

    def coerce_asked(self, value: Any) -> Any:
        """A value to compare with, in this field's type. Raises CoercionError."""
        return self.coerce(value)

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        """A lookup's operand in this field's type. Raises QueryException."""
        try:
            value = self.coerce_asked(value)
            # A moment keeps its zone: data of before may stand under the text of that.
            is_moment = self.is_spelled and isinstance(value, (Real.datetime, Real.time))
            value = plain(self.type, value) if is_moment else self.canonical(value)
            if self.type is Decimal:
                coerce(Decimal, value)
            return storable(self, value) if isinstance(value, str) else value
        except CoercionError as error:
            raise QueryException(
                f"{self.label}: {self.name}{'__' + lookup if lookup else ''}={describe(value)} "
                f"cannot be compared with a {self.type.__name__} field: {error}"
            ) from error

    def coerce_key_operand(self, value: Any) -> Any:
        """A key value to look a record up by. Raises QueryException."""
        return None if value is None else self.coerce_operand("", value)

    @classmethod
    @stock
    def filter_query(cls, model: Any, field_name: str, **params: Any) -> Any:
        """The keys of the records that match. Override it to answer lookups of your own.

        An override that calls this one gets what the field's index says: a list in the order of
        the values from a sorted field, a set from others. Of the conditions on other fields only
        the partitions of this one matter here.
        """
        field: Asked[Any] = model._meta.by_name[field_name]
        if not field.makes_entries:
            raise QueryException(
                f"filter_query is not allowed on base Field: {field.label} keeps no index"
            )
        found: list[bytes] = model.query.answered_by_index(field_name, params)
        return found if field.is_told_all_conditions else set(found)

    @classmethod
    def get_special_use_field_db_key(cls, model: Any, *field_names: Any) -> DB_key:
        """The `DB_key` of this field class's keys for a model (or instance) and further parts."""
        return DB_key(cls.field_class_key, model._meta.model_name, *field_names)

    # Order ------------------------------------------------------------------------

    @property
    def is_orderable(self) -> bool:
        """Whether results can be ordered by this field."""
        return issubclass(self.type, orders.ORDERABLE)

    def sort_key(self, value: Any) -> tuple[Any, ...]:
        """What values are compared by; null, and null alone, has a key of one part."""
        return orders.sort_key(value)

    def puts_nulls_last(self, *, descending: bool) -> bool:
        """Whether records without a value come behind the others, where nothing else is asked."""
        return descending

    def order_index(self, among: str | None) -> OrderIndex | None:
        """The sorted set that is in the order of the values; None where there is none.

        `among` is the one sorted set that the conditions of the query have left, if they have.
        """
        return None

    # Rankings ---------------------------------------------------------------------

    def signal(self, partition_values: Sequence[Any]) -> Signal | None:
        """The scores that it has for the records of one partition; None: it has none."""
        return None
