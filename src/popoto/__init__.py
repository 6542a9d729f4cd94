"""popoto: Python classes as records on Redis and Valkey."""

from ._one_package import be_one

be_one(__name__, __file__)

from popoto import exceptions as exceptions
from popoto import fields as fields
from popoto import models as models
from popoto import pubsub as pubsub
from popoto import redis_db as redis_db
from popoto import streams as streams
from popoto._configure import configure
from popoto._error_reporting import enable_error_reporting
from popoto._version import __version__
from popoto.acting import acting_as
from popoto.engine.replication import wait_for_replicas
from popoto.exceptions import (
    KeyMutationError,
    ModelException,
    PublisherException,
    QueryException,
    SkipSaveException,
    SubscriberException,
)
from popoto.fields.access_tracker import AccessTrackerMixin
from popoto.fields.bm25_field import BM25Field
from popoto.fields.co_occurrence_field import CoOccurrenceField
from popoto.fields.confidence_field import ConfidenceField
from popoto.fields.constants import Defaults, InteractionWeight, TemporalPeriod
from popoto.fields.content_field import ContentField
from popoto.fields.cyclic_decay_field import CyclicDecayField
from popoto.fields.dataframe_field import DataFrameField
from popoto.fields.datetime_field import DatetimeField
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.embedding_field import EmbeddingField
from popoto.fields.event_stream import EventStreamMixin
from popoto.fields.existence_filter import ExistenceFilter
from popoto.fields.field import Field
from popoto.fields.frequency_sketch import FrequencySketch
from popoto.fields.geo_field import GeoField
from popoto.fields.history.entries import HistoryEntry
from popoto.fields.history.explaining import async_explain_confidence, explain_confidence
from popoto.fields.observation import ObservationProtocol, RecallProposal
from popoto.fields.on_delete import CASCADE, DO_NOTHING, PROTECT, SET_NULL
from popoto.fields.prediction_ledger import PredictionLedgerMixin
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
from popoto.fields.write_filter import WriteFilterMixin
from popoto.memory.history.noting import History
from popoto.memory.recall.declared import Recall
from popoto.models.base import Model, ModelBase
from popoto.models.expressions import CombinedExpression, Expression
from popoto.models.expressions import F as F
from popoto.models.q import Q
from popoto.models.subjects import async_erase, erase
from popoto.models.transactions import transaction
from popoto.models.upkeep.erasure import Erasure
from popoto.pubsub import Publisher, Subscriber
from popoto.recipes import AdaptiveAssembler, AssemblyResult, ContextAssembler, RetrievalQuality
from popoto.redis_db import POPOTO_REDIS_DB as POPOTO_REDIS_DB
from popoto.redis_db import get_async_redis_db
from popoto.redis_db import get_REDIS_DB as get_redis
from popoto.streams import StreamConsumer

__all__ = [
    "CASCADE",
    "DO_NOTHING",
    "PROTECT",
    "SET_NULL",
    "AccessTrackerMixin",
    "AdaptiveAssembler",
    "AssemblyResult",
    "AutoKeyField",
    "BM25Field",
    "BooleanField",
    "BytesField",
    "CoOccurrenceField",
    "CombinedExpression",
    "ConfidenceField",
    "ContentField",
    "ContextAssembler",
    "CyclicDecayField",
    "DataFrameField",
    "DateField",
    "DatetimeField",
    "DecayingSortedField",
    "DecimalField",
    "Defaults",
    "DictField",
    "EmbeddingField",
    "Erasure",
    "EventStreamMixin",
    "ExistenceFilter",
    "Expression",
    "F",
    "Field",
    "FloatField",
    "FrequencySketch",
    "GeoField",
    "History",
    "HistoryEntry",
    "IndexedField",
    "IntField",
    "InteractionWeight",
    "KeyField",
    "KeyMutationError",
    "ListField",
    "Model",
    "ModelBase",
    "ModelException",
    "ObservationProtocol",
    "PredictionLedgerMixin",
    "Publisher",
    "PublisherException",
    "Q",
    "QueryException",
    "Recall",
    "RecallProposal",
    "Relationship",
    "RetrievalQuality",
    "SetField",
    "SkipSaveException",
    "SortedField",
    "SortedKeyField",
    "StreamConsumer",
    "StringField",
    "Subscriber",
    "SubscriberException",
    "TemporalPeriod",
    "TimeField",
    "TupleField",
    "UniqueField",
    "UniqueKeyField",
    "WriteFilterMixin",
    "__version__",
    "acting_as",
    "async_erase",
    "async_explain_confidence",
    "configure",
    "enable_error_reporting",
    "erase",
    "explain_confidence",
    "get_async_redis_db",
    "get_redis",
    "transaction",
    "wait_for_replicas",
]
