"""Typed shortcuts, and the key, unique, indexed and sorted fields."""

from __future__ import annotations

import builtins
import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.asking.stored_values import by_record
from popoto.fields.asking.value_sets import VALUE_SET_LOOKUPS
from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.capped_list import CappedListProxy
from popoto.fields.field import LEFT_OUT, Field, LeftOut
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.list_field import ListField
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.type_variables import Number, Value
from popoto.fields.typed_field import TypedField
from popoto.fields.unique_field_mixin import NeverNullMixin, UniqueFieldMixin

__all__ = [
    "AutoKeyField",
    "BooleanField",
    "BytesField",
    "CappedListProxy",
    "DateField",
    "DecimalField",
    "DictField",
    "Field",
    "FloatField",
    "IndexedField",
    "IntField",
    "KeyField",
    "ListField",
    "SetField",
    "SortedField",
    "SortedKeyField",
    "StringField",
    "TimeField",
    "TupleField",
    "UniqueField",
    "UniqueKeyField",
]

#: The type that `type=` names, where values may be None as well.
Given = TypeVar("Given")


class IntField(TypedField[int]):
    """A field of type int (-2**63 to 2**64 - 1)."""

    value_type = int


class FloatField(TypedField[float]):
    """A field of type float; infinities and NaN included."""

    value_type = float


class DecimalField(TypedField[Decimal]):
    """A field of type Decimal, stored as exact text."""

    value_type = Decimal


class StringField(TypedField[str]):
    """A field of type str."""

    value_type = str


class BooleanField(TypedField[bool]):
    """A field of type bool. The texts true, false, 1 and 0 are accepted."""

    value_type = bool


class BytesField(TypedField[bytes]):
    """A field of type bytes."""

    value_type = bytes


class DictField(TypedField[dict[Any, Any]]):
    """A field of type dict."""

    value_type = dict


class SetField(TypedField[set[Any]]):
    """A field of type set."""

    value_type = set


class TupleField(TypedField[tuple[Any, ...]]):
    """A field of type tuple."""

    value_type = tuple


class DateField(TypedField[datetime.date]):
    """A field of type date."""

    value_type = datetime.date


class TimeField(TypedField[datetime.time]):
    """A field of type time."""

    value_type = datetime.time


class KeyField(KeyFieldMixin[Value], Field[Value]):
    """Part of the record key. All key fields together identify a record."""


class UniqueKeyField(
    UniqueFieldMixin[Value], NeverNullMixin[Value], KeyFieldMixin[Value], Field[Value]
):
    """A key field whose value no other record holds."""


class AutoKeyField(
    AutoFieldMixin, UniqueFieldMixin[str], NeverNullMixin[str], KeyFieldMixin[str], Field[str]
):
    """A key field that generates its own value (see `AutoFieldMixin`)."""

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return tuple(VALUE_SET_LOOKUPS)

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {f"{field_name}__{name}" if name else field_name for name in self.lookup_names}

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        return by_record(self, conditions)


class IndexedField(IndexedFieldMixin[Value], Field[Value]):
    """A field with a set of records per value, for equality and text lookups."""


class UniqueField(
    UniqueFieldMixin[Value], NeverNullMixin[Value], IndexedFieldMixin[Value], Field[Value]
):
    """An indexed field whose value no other record holds."""


class SortedField(SortedFieldMixin[Number], Field[Number]):
    """A field with an index in the order of its values, for ranges (see `SortedFieldMixin`)."""

    if TYPE_CHECKING:
        # With null=True a value may be None, which an annotation need not say then.
        @overload
        def __init__(
            self: SortedField[Given | None],
            *,
            type: builtins.type[Given],
            null: Literal[True],
            **options: Any,
        ) -> None: ...
        @overload
        def __init__(
            self: SortedField[float | None], *, null: Literal[True], **options: Any
        ) -> None: ...
        @overload
        def __init__(
            self,
            *,
            type: builtins.type[Number] | LeftOut = LEFT_OUT,
            **options: Any,
        ) -> None: ...
        def __init__(self, **options: Any) -> None: ...


class SortedKeyField(SortedFieldMixin[Number], KeyFieldMixin[Number], Field[Number]):
    """A sorted field that is part of the record key.

    It has the lookups of both families; null it never is.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"key": True, "null": False}
