"""Reads of single keys that another program uses for something else: the key is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    EmbeddingField,
    KeyField,
    ListField,
    Model,
    PredictionLedgerMixin,
    RecallProposal,
    Relationship,
    RetrievalQuality,
    SortedField,
    StringField,
)
from popoto.exceptions import ModelException
from popoto.fields.embedding_field import invalidate_cache
from tests.driver import Api
from tests.vectors.provider import Known


class Shop(Model):
    name = KeyField()


class Visit(AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    shop = Relationship(Shop)
    log = ListField(max_length=3)
    text = StringField()
    certainty = ConfidenceField()
    others = CoOccurrenceField()


_EDGES = Visit._meta.by_name["others"]


@pytest.fixture
def visit() -> Visit:
    visit = Visit.create(name="a", shop=Shop.create(name="s"), log=["l"], text="t")
    Visit.record_prediction(visit, 0.5)
    RecallProposal.create_batch([visit])
    return visit


#: What is read, the key that stands in its way, and what belongs there.
READS: dict[str, tuple[str, str, Callable[[Api, Visit], Any]]] = {
    "refresh": ("Visit:a", "hash", lambda api, visit: api(visit.refresh)),
    "refresh of a list": ("Visit:a::log", "list", lambda api, visit: api(visit.refresh, ["log"])),
    "select_related": (
        "Shop:s",
        "hash",
        lambda api, _: api(Visit.query.filter(name="a").select_related("shop").all),
    ),
    "access_count": (
        "$AT:Visit:meta:Visit:a",
        "hash",
        lambda api, visit: (
            api.run(visit.async_access_count()) if api.is_async else visit.access_count
        ),
    ),
    "confidence": (
        "$ConfidencF:Visit:certainty:data",
        "hash",
        lambda api, visit: api(ConfidenceField.get_confidence, visit, "certainty"),
    ),
    "edges": (
        _EDGES.get_edge_key(Visit, "Visit:a"),
        "zset",
        lambda api, visit: api(_EDGES.get_linked, Visit, visit.pk),
    ),
    "activation": (
        _EDGES.get_edge_key(Visit, "Visit:a"),
        "zset",
        lambda api, visit: api(_EDGES.propagate, Visit, [visit.pk]),
    ),
    "prediction": (
        "$PL:Visit:meta:Visit:a",
        "hash",
        lambda api, visit: api(Visit.get_prediction_data, visit),
    ),
    "errors": (
        Visit._error_key(Visit),
        "zset",
        lambda api, _: api(Visit.get_highest_errors, Visit),
    ),
    "proposals": (
        RecallProposal._pending_key(Visit),
        "zset",
        lambda api, _: api(RecallProposal.get_pending, Visit),
    ),
}


@pytest.mark.parametrize("name", READS)
def test_the_key_is_named(api: Api, redis_client: redis.Redis, visit: Visit, name: str) -> None:
    key, expected, read = READS[name]
    redis_client.delete(key)
    redis_client.set(key, "foreign")
    with pytest.raises(ModelException) as caught:
        read(api, visit)
    assert str(caught.value) == (
        f"the key {key!r} holds a string where a {expected} belongs. Rename or delete that key."
    )


class Page(Model):
    name = KeyField()
    text = StringField()
    rank = SortedField(type=float, default=0.0)
    certainty = ConfidenceField()
    words = BM25Field(source="text")
    vector = EmbeddingField(source="text", provider=Known({}), store="server")


_VECTORS = "$EmbeddingF:Page:vector"

#: The same of what records are found by.
SEARCHES: dict[str, tuple[str, str, Callable[[Api], Any]]] = {
    "documents": (
        "$BM25:Page:words:df",
        "zset",
        lambda api: api(BM25Field.get_idf, Page, "words", "tea"),
    ),
    "vectors": (
        f"{_VECTORS}:vectors",
        "hash",
        lambda api: api(Page.query.semantic_search, "tea"),
    ),
    "changes of vectors": (
        f"{_VECTORS}:changes",
        "zset",
        lambda api: api(Page.query.semantic_search, "tea"),
    ),
    "what vectors are of": (f"{_VECTORS}:note", "hash", lambda api: api(Page.reembed)),
    "vectors that lack": (f"{_VECTORS}:vectors", "hash", lambda api: api(Page.reembed)),
    "records without a vector": (
        f"{_VECTORS}:missing",
        "zset",
        lambda api: api(Page.embed_missing),
    ),
    "all records": ("$Class:Page", "set", lambda api: api(Page.reembed)),
    "the quality of what was found": (
        "$ConfidencF:Page:certainty:data",
        "hash",
        lambda api: api(RetrievalQuality.from_records, Page.query.all()),
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_key_of_a_search_is_named(api: Api, redis_client: redis.Redis, name: str) -> None:
    key, expected, read = SEARCHES[name]
    Page.create(name="a", text="tea")
    assert redis_client.exists(key) or key.endswith(":missing")
    redis_client.delete(key)
    redis_client.set(key, "foreign")
    invalidate_cache()
    told = re.escape(f"the key {key!r} holds a string where a {expected} belongs")
    with pytest.raises(ModelException, match=told):
        read(api)
