"""Reports to Sentry: only when asked for, only popoto's own exceptions, never in the way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

import popoto
from popoto import _error_reporting, exceptions

DSN = "https://key@sentry.invalid/1"


@pytest.fixture(autouse=True)
def switched_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("POPOTO_SENTRY_DSN", raising=False)
    yield
    for kind, original in _error_reporting._original_inits.items():
        kind.__init__ = original
    _error_reporting._original_inits.clear()
    _error_reporting._enabled = False
    _error_reporting._client = None


class Kept(Transport):
    """Keeps what would be sent."""

    events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    original = sentry_sdk.Client
    monkeypatch.setattr(sentry_sdk, "Client", lambda **options: original(transport=Kept, **options))
    Kept.events = []
    popoto.enable_error_reporting(DSN)
    return Kept.events


@pytest.mark.parametrize(
    "name", ["ModelException", "QueryException", "PublisherException", "SubscriberException"]
)
def test_creating_an_exception_reports_it(name: str, reported: list[dict[str, Any]]) -> None:
    error = getattr(popoto, name)("what happened")
    assert str(error) == "what happened"
    (event,) = reported
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == (name, "what happened")
    assert value["module"] == "popoto.exceptions"
    assert event["release"] == f"popoto@{popoto.__version__}"
    assert value["stacktrace"]["frames"][-1]["function"] == (
        "test_creating_an_exception_reports_it"
    )
    assert "vars" not in value["stacktrace"]["frames"][-1]


def test_a_refused_value_is_reported_once(reported: list[dict[str, Any]]) -> None:
    class Thing(popoto.Model):
        name = popoto.KeyField()
        number = popoto.IntField()

    with pytest.raises(exceptions.ValidationError) as caught:
        Thing(name="a", number="x")
    assert caught.value.field_name == "number"
    assert {event["exception"]["values"][0]["type"] for event in reported} == {"ValidationError"}


def test_a_skipped_save_is_no_error(reported: list[dict[str, Any]]) -> None:
    assert str(exceptions.SkipSaveException("below the threshold")) == "below the threshold"
    assert reported == []


def test_exceptions_of_others_are_dropped(reported: list[dict[str, Any]]) -> None:
    _error_reporting.capture_exception(ValueError("not ours"))
    assert reported == []
    try:
        raise exceptions.PopotoException("ours, and handled")
    except exceptions.PopotoException:
        _error_reporting.capture_exception()
    assert len(reported) == 1


def test_before_send_decides_by_the_module_of_the_class() -> None:
    event = {"message": "x"}
    mine = (exceptions.QueryException, exceptions.QueryException("x"), None)
    assert _error_reporting._before_send(event, {"exc_info": mine}) is event
    theirs = (ValueError, ValueError("x"), None)
    for hint in ({"exc_info": theirs}, {}, None, {"exc_info": None}, {"exc_info": ()}, "text"):
        assert _error_reporting._before_send(event, hint) is None
    popotoish = type("Error", (Exception,), {"__module__": "popotolike.errors"})
    assert _error_reporting._before_send(event, {"exc_info": (popotoish, None, None)}) is None


def test_without_an_address_nothing_happens() -> None:
    assert _error_reporting._DEFAULT_DSN is None
    popoto.enable_error_reporting()
    assert not _error_reporting._enabled
    assert _error_reporting._original_inits == {}


def test_the_environment_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(_error_reporting, "_do_enable", seen.append)
    monkeypatch.setenv("POPOTO_SENTRY_DSN", "https://from@environment.invalid/1")
    popoto.enable_error_reporting()
    popoto.enable_error_reporting(DSN)
    assert seen == ["https://from@environment.invalid/1", DSN]


def test_without_the_package_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    popoto.enable_error_reporting(DSN)
    assert not _error_reporting._enabled


def test_an_address_that_is_none_is_no_error() -> None:
    popoto.enable_error_reporting("not an address")
    assert not _error_reporting._enabled
    assert str(popoto.ModelException("x")) == "x"


def test_the_client_is_isolated_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Fake:
        def __init__(self, **options: Any) -> None:
            made.append(options)

    monkeypatch.setattr(sentry_sdk, "Client", Fake)
    monkeypatch.setattr(sentry_sdk, "init", lambda *_, **__: pytest.fail("init is the user's"))
    popoto.enable_error_reporting(DSN)
    popoto.enable_error_reporting(DSN)
    (options,) = made
    assert options["dsn"] == DSN
    assert options["default_integrations"] is False
    assert options["auto_enabling_integrations"] is False
    assert options["send_default_pii"] is False
    assert options["before_send"] is _error_reporting._before_send


def test_a_failing_client_is_never_noticed() -> None:
    class Broken:
        def capture_event(self, event: object, hint: object) -> None:
            raise RuntimeError("no network")

    _error_reporting._enabled = True
    _error_reporting._client = Broken()
    _error_reporting.capture_exception(exceptions.QueryException("x"))
    _error_reporting._enabled = False
    _error_reporting.capture_exception(exceptions.QueryException("x"))
