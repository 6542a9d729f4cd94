"""`DefaultMemory`: a model of memories for those who have none of their own."""

from __future__ import annotations

from popoto.fields.access_tracker import AccessTrackerMixin
from popoto.fields.bm25_field import BM25Field
from popoto.fields.co_occurrence_field import CoOccurrenceField
from popoto.fields.confidence_field import ConfidenceField
from popoto.fields.decaying_sorted_field import DecayingSortedField
from popoto.fields.shortcuts import AutoKeyField, FloatField, KeyField, StringField
from popoto.models.base import Model

__all__ = ["DefaultMemory"]


class DefaultMemory(AccessTrackerMixin, Model):
    """What an agent remembers: a text, how important it is, and what memory says of it.

    Found by its words, by how recent and important it is, how sure, how often it was read, and
    what was remembered with it. The fields are those of popoto 1.10, and so are their keys.
    """

    memory_id = AutoKeyField()
    agent_id = KeyField()
    content = StringField(default="")
    importance = FloatField(default=1.0)
    relevance = DecayingSortedField(base_score_field="importance", partition_by="agent_id")
    confidence = ConfidenceField()
    content_bm25 = BM25Field(source="content")
    associations = CoOccurrenceField()
