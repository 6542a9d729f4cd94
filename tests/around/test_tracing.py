"""Spans of OpenTelemetry: one for each operation, with its name, model and cost."""

from __future__ import annotations

import subprocess
import sys

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from popoto import KeyField, Model, ModelException, QueryException, SortedField, UniqueField
from popoto.engine import tracing
from popoto.engine.db_key import DB_key
from tests.driver import Api


class Thing(Model):
    name = KeyField()
    code = UniqueField()
    rank = SortedField(type=int, default=0)


@pytest.fixture(params=["its own note", "asking the API"])
def spans(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> InMemorySpanExporter:
    """What was recorded, by a provider that is found either way."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    if request.param == "asking the API":
        monkeypatch.setattr(tracing, "_KNOWS_PROVIDER", False)
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    else:
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def taken(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    spans = list(exporter.get_finished_spans())
    exporter.clear()
    return spans


def test_each_operation_is_a_span(spans: InMemorySpanExporter, api: Api) -> None:
    thing = api(Thing.create, name="a", code="x")
    thing.rank = 2
    api(thing.save)
    api(Thing.query.get, name="a")
    api(Thing.query.filter(rank__gt=1).all)
    api(Thing.query.filter(rank__gt=1).count)
    api(thing.delete)
    found = taken(spans)
    assert [span.name for span in found] == [
        "create Thing",
        "save Thing",
        "get Thing",
        "query Thing",
        "count Thing",
        "delete Thing",
    ]
    for span in found:
        assert span.kind is SpanKind.CLIENT
        assert span.attributes is not None
        assert span.attributes["db.system.name"] == "redis"
        assert span.attributes["db.collection.name"] == "Thing"
        assert span.attributes["popoto.requests"] == 1
        assert span.status.status_code is StatusCode.UNSET


def test_a_failed_operation_is_a_failed_span(spans: InMemorySpanExporter, api: Api) -> None:
    api(Thing.create, name="a", code="x")
    taken(spans)
    with pytest.raises(ModelException):
        api(Thing.create, name="b", code="x")
    (span,) = taken(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert span.events[0].name == "exception"


def test_round_trips_and_commands_are_counted(
    spans: InMemorySpanExporter, api: Api, redis_client: redis.Redis
) -> None:
    """Also those that a plan asks for after the server's error has been thrown into it."""
    redis_client.set("$SortF:Thing:rank", "foreign")
    with pytest.raises(QueryException, match="rank"):
        api(Thing.query.filter(rank__gt=1).all)
    (span,) = taken(spans)
    assert span.attributes is not None
    assert span.attributes["popoto.requests"] == 2
    assert span.attributes["popoto.commands"] == 4
    assert span.attributes["db.operation.name"] == "query"
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.single_server("a key that tells no shard is looked for in all of a cluster's")
def test_a_bare_request_is_a_span_too(spans: InMemorySpanExporter, api: Api) -> None:
    """One that no operation of a model has made."""
    assert DB_key("Thing", "a").exists() is False
    (span,) = taken(spans)
    assert span.name == "exists Thing"
    assert span.attributes is not None
    assert (span.attributes["popoto.requests"], span.attributes["popoto.commands"]) == (1, 1)


def test_what_is_not_sampled_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter, api: Api
) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    assert api(Thing.create, name="a", code="x").name == "a"
    assert taken(spans) == []


def test_without_the_api_the_runners_are_as_they_are() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from popoto.engine import run, tracing\n"
        "assert tracing._tracer is None\n"
        "assert not hasattr(run.run, '__wrapped__') and not hasattr(run.arun, '__wrapped__')\n"
        "import popoto\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=250)
