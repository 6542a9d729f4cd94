"""Typed shortcuts, and the key, unique, indexed and sorted fields."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, overload

from popoto.engine import keys
from popoto.engine.codec import DecodeError, decoder_for
from popoto.exceptions import ModelException
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.asking.stored_values import by_record
from popoto.fields.asking.value_sets import VALUE_SET_LOOKUPS
from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.capped_list import CappedListProxy, encode_items, is_capped, read_items
from popoto.fields.field import Field
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.type_variables import Items, Number, Value
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


class _TypedField(Field[Value]):
    """A field whose class decides the type of its values."""

    value_type: ClassVar[type] = str

    def __init__(self, **options: Any) -> None:
        options["type"] = self.value_type
        super().__init__(**options)

    def takes_type(self, wanted: type) -> bool:
        return wanted is self.value_type


class IntField(_TypedField[int]):
    """A field of type int (-2**63 to 2**64 - 1)."""

    value_type = int


class FloatField(_TypedField[float]):
    """A field of type float; infinities and NaN included."""

    value_type = float


class DecimalField(_TypedField[Decimal]):
    """A field of type Decimal, stored as exact text."""

    value_type = Decimal


class StringField(_TypedField[str]):
    """A field of type str."""

    value_type = str


class BooleanField(_TypedField[bool]):
    """A field of type bool. The texts true, false, 1 and 0 are accepted."""

    value_type = bool


class BytesField(_TypedField[bytes]):
    """A field of type bytes."""

    value_type = bytes


class DictField(_TypedField[dict[Any, Any]]):
    """A field of type dict."""

    value_type = dict


class SetField(_TypedField[set[Any]]):
    """A field of type set."""

    value_type = set


class TupleField(_TypedField[tuple[Any, ...]]):
    """A field of type tuple."""

    value_type = tuple


class DateField(_TypedField[datetime.date]):
    """A field of type date."""

    value_type = datetime.date


class TimeField(_TypedField[datetime.time]):
    """A field of type time."""

    value_type = datetime.time


class ListField(_TypedField[Items]):
    """A field of type list.

    With `max_length` it is a *capped list*: kept in a list of its own beside the
    record, newest first, never longer than that; see `CappedListProxy.push`.
    """

    value_type = list

    if TYPE_CHECKING:
        # A capped list is read as a proxy and assigned from any iterable.
        def __set__(self, instance: object, value: Iterable[Any] | Items | None) -> None: ...

        @overload
        def __init__(
            self: ListField[list[Any]],
            *,
            max_length: None = None,
            null: bool = True,
            default: object = None,
            **options: Any,
        ) -> None: ...
        @overload
        def __init__(
            self: ListField[CappedListProxy[Any]],
            *,
            max_length: int,
            null: bool = True,
            default: object = None,
            **options: Any,
        ) -> None: ...
        def __init__(self, **options: Any) -> None: ...

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        capacity = self.max_length
        if capacity is not None and (type(capacity) is not int or capacity < 1):
            raise ModelException(
                f"ListField(max_length={capacity!r}): a capped list holds 1 or more items"
            )
        self.in_hash = capacity is None

    def codec(self) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        if self.in_hash:
            return super().codec()
        decode_item = decoder_for(object)
        capacity = self.max_length

        def encode(value: Any) -> tuple[bytes, ...]:
            return encode_items(value[:capacity] if value else ())

        def decode(items: Sequence[bytes]) -> list[Any]:
            if isinstance(items, (bytes, str)):
                raise DecodeError("a capped list is not kept in the record's hash")
            return [decode_item(item) for item in items]

        return encode, decode

    def coerce(self, value: Any) -> Any:
        if is_capped(value):
            return value if not self.in_hash else list(value)
        return super().coerce(value)

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if is_capped(value):
            return None
        if value is None and not self.in_hash:
            return None
        return super().problem(value, null_check=null_check)

    def assigned_value(self, instance: Any, value: Any) -> Any:
        if self.in_hash or (is_capped(value) and value.belongs_to(instance)):
            return value
        return CappedListProxy(value or (), self, instance)

    def loaded_value(self, instance: Any, value: Any) -> Any:
        return value if self.in_hash else CappedListProxy(value, self, instance)

    def missing_value(self, instance: Any) -> Any:
        if not self.in_hash and instance._is_persisted:
            items: Any = read_items(self, instance)
            instance._stored[self.name] = items
            return self.loaded_value(instance, self.decode(items))
        value = self.make_default()
        return value if self.in_hash else CappedListProxy(value or (), self, instance)

    def companion_keys(self, key: str) -> Sequence[str]:
        return () if self.in_hash else (keys.capped_list_key(key, self.name),)


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


class SortedKeyField(SortedFieldMixin[Number], KeyFieldMixin[Number], Field[Number]):
    """A sorted field that is part of the record key.

    It has the lookups of both families; null it never is.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"key": True, "null": False}
