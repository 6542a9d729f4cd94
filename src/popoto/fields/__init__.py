"""The field classes. Each also stands in a module of its own below this package."""

from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.content_field import ContentField
from popoto.fields.dataframe_field import DataFrameField
from popoto.fields.datetime_field import DatetimeField
from popoto.fields.field import Field
from popoto.fields.geo_field import GeoField
from popoto.fields.indexed_field_mixin import IndexedFieldMixin
from popoto.fields.key_field_mixin import KeyFieldMixin
from popoto.fields.relationship import Relationship
from popoto.fields.shortcuts import (
    AutoKeyField,
    BooleanField,
    BytesField,
    DateField,
    DecimalField,
    DictField,
    FloatField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    SetField,
    SortedField,
    SortedKeyField,
    StringField,
    TimeField,
    TupleField,
    UniqueField,
    UniqueKeyField,
)
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.fields.unique_field_mixin import UniqueFieldMixin

__all__ = [
    "AutoFieldMixin",
    "AutoKeyField",
    "BooleanField",
    "BytesField",
    "ContentField",
    "DataFrameField",
    "DateField",
    "DatetimeField",
    "DecimalField",
    "DictField",
    "Field",
    "FloatField",
    "GeoField",
    "IndexedField",
    "IndexedFieldMixin",
    "IntField",
    "KeyField",
    "KeyFieldMixin",
    "ListField",
    "Relationship",
    "SetField",
    "SortedField",
    "SortedFieldMixin",
    "SortedKeyField",
    "StringField",
    "TimeField",
    "TupleField",
    "UniqueField",
    "UniqueFieldMixin",
    "UniqueKeyField",
]
