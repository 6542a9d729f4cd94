"""The field classes. Each also stands in a module of its own below this package."""

from popoto.fields.auto_field_mixin import AutoFieldMixin
from popoto.fields.bm25_field import BM25Field
from popoto.fields.co_occurrence_field import CoOccurrenceField
from popoto.fields.confidence_field import ConfidenceField
from popoto.fields.content_field import ContentField
from popoto.fields.cyclic_decay_field import CyclicDecayField
from popoto.fields.dataframe_field import DataFrameField
from popoto.fields.datetime_field import DatetimeField
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.embedding_field import EmbeddingField
from popoto.fields.existence_filter import ExistenceFilter
from popoto.fields.field import Field
from popoto.fields.frequency_sketch import FrequencySketch
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
    "BM25Field",
    "BooleanField",
    "BytesField",
    "CoOccurrenceField",
    "ConfidenceField",
    "ContentField",
    "CyclicDecayField",
    "DataFrameField",
    "DateField",
    "DatetimeField",
    "DecayingSortedField",
    "DecimalField",
    "DictField",
    "EmbeddingField",
    "ExistenceFilter",
    "Field",
    "FloatField",
    "FrequencySketch",
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
