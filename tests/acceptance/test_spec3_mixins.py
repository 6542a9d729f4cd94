"""Statements about memory mixins and outcomes that the suites of the single ones did not make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    Defaults,
    EventStreamMixin,
    ExistenceFilter,
    FrequencySketch,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    SortedField,
    StringField,
    WriteFilterMixin,
    clock,
)
from tests.driver import Api
from tests.memory.words import text_of

NOW = 1_700_000_000.5


class Read(AccessTrackerMixin, Model):
    name = KeyField()
    rank = SortedField(type=int, default=0)
    kind = StringField(default="k")


# ── Reads ────────────────────────────────────────────────────────────────────


def staged(client: redis.Redis) -> dict[str, int]:
    found = {
        key.decode().rpartition(":")[2]: client.llen(key)
        for key in client.keys("$AT:Read:staged:*")
    }
    return dict(sorted(found.items()))


def several_looks_at_one_result() -> Any:
    found = Read.query.filter(kind="k")
    return found[0], found[1], len(found), list(found), len(found)


def a_slice() -> Any:
    return Read.query.filter(kind="k").order_by("rank")[1:3]


WHAT_IS_HANDED_OUT: dict[str, tuple[Callable[[], Any], str]] = {
    "limit": (lambda: Read.query.filter(kind="k").order_by("rank").limit(2).all(), "ab"),
    "limit as a keyword": (
        lambda: Read.query.filter(kind="k", order_by="rank", limit=1).all(),
        "a",
    ),
    "several looks": (several_looks_at_one_result, "abcd"),
    "a slice": (lambda: list(a_slice()), "bc"),
    "a condition that Python decides": (
        lambda: Read.query.filter(rank__gte=0, kind="k").all(),
        "abcd",
    ),
    "all with a limit": (lambda: Read.query.all(order_by="rank", limit=3), "abc"),
    "many by key, some missing": (lambda: Read.query.get_many(["Read:a", "Read:x"]), "a"),
    "update_or_create": (lambda: Read.update_or_create(name="d", defaults={"rank": 9}), "d"),
}


@pytest.fixture
def four() -> None:
    for rank, name in enumerate("abcd"):
        Read.create(name=name, rank=rank)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("how", WHAT_IS_HANDED_OUT)
def test_what_is_handed_out_is_staged_once_and_nothing_else(
    how: str, redis_client: redis.Redis
) -> None:
    ask, names = WHAT_IS_HANDED_OUT[how]
    ask()
    assert staged(redis_client) == dict.fromkeys(names, 1)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("method", ["async_all", "async_filter", "async_get"])
def test_so_it_is_for_asyncio(method: str, api: Api, redis_client: redis.Redis) -> None:
    conditions: dict[str, Any] = {
        "async_all": {},
        "async_filter": {"kind": "k", "order_by": "rank", "limit": 1},
        "async_get": {"rank": 2},
    }[method]
    api.run(getattr(Read.query, method)(**conditions))
    names = {"async_all": "abcd", "async_filter": "a", "async_get": "c"}[method]
    assert staged(redis_client) == dict.fromkeys(names, 1)


def test_defaults_of_the_tracker(api: Api) -> None:
    assert (Read._max_access_log, Read._track_reads) == (100, True)
    record = Read.create(name="x")
    assert api(record.on_read) is None
    assert api(record.discard_staged_access) is None
    assert (record.access_count, record.last_accessed) == (0, None)


# ── Outcomes ─────────────────────────────────────────────────────────────────


class Judged(PredictionLedgerMixin, AccessTrackerMixin, Model):
    name = KeyField()
    sure = ConfidenceField()


def test_the_map_may_have_other_keys_and_lack_some(api: Api) -> None:
    one, other = Judged.create(name="one"), Judged.create(name="other")
    for record in (one, other):
        record.on_read()
    outcomes = {one.pk: "used", "Judged:unknown": "acted", "Other:x": "dismissed"}
    ObservationProtocol.on_context_used([one, Judged(name="new"), other], outcomes)
    assert (one.access_count, other.access_count) == (1, 0)
    assert other.confirm_access() == 0
    assert [ConfidenceField.get_confidence(each, "sure") for each in (one, other)] == [0.5, 0.5]


def test_nothing_surfaced_and_nothing_used_is_nothing(redis_client: redis.Redis) -> None:
    ObservationProtocol.on_surfaced([])
    ObservationProtocol.on_context_used([], {"x": "not even looked at"})
    assert redis_client.keys("*") == []


def test_proposals_are_filed_by_partition_and_not_by_reason(redis_client: redis.Redis) -> None:
    assert RecallProposal.DEFAULT_TTL == 3600
    record = Judged.create(name="x")
    with clock.using(NOW):
        ObservationProtocol.on_surfaced([record], reason="asked for", partition="")
    assert RecallProposal.get_pending(Judged) == [("Judged:x", NOW)]
    assert RecallProposal.get_pending(Judged, "asked for") == []
    with clock.using(NOW + 3599.75):
        assert RecallProposal.expire_stale(Judged) == []
    assert RecallProposal.get_pending(Judged) == [("Judged:x", NOW)]


# ── Predictions ──────────────────────────────────────────────────────────────


class Strict(Judged):
    _pl_partition = "strict"
    _pl_confidence_error_threshold = 0.2
    _pl_confidence_low_signal = 0.4
    _pl_auto_resolve_errors = {"used": 0.25, "ignored": 0.05}


def test_a_class_has_numbers_of_its_own(
    api: Api, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    monkeypatch.setattr(Defaults, "PL_CONFIDENCE_ERROR_THRESHOLD", 0.9)
    record = Strict.create(name="x")
    api(Strict.record_prediction, record, {"x": 1})
    assert api(Strict.auto_resolve, record, "ignored") == 0.05
    assert ConfidenceField.get_confidence_data(record, "sure")["evidence_count"] == 0
    api(Strict.record_prediction, record, {"x": 1})
    assert api(Strict.auto_resolve, record, "used") == 0.25
    assert ConfidenceField.get_confidence(record, "sure") == pytest.approx(0.4)
    assert redis_client.zscore("$PL:Strict:errors:strict", record.pk) == 0.25
    assert Strict.get_highest_errors(Strict) == []
    assert Strict.get_highest_errors(Strict, partition="strict") == [(record.pk, 0.25)]
    with pytest.raises(ValueError, match="Invalid outcome"):
        api(Strict.auto_resolve, record, "acted")


def test_a_new_prediction_takes_the_place_of_a_resolved_one(api: Api) -> None:
    record = Judged.create(name="x")
    api(Judged.record_prediction, record, {"x": 1})
    api(Judged.auto_resolve, record, "dismissed")
    with clock.using(NOW):
        api(Judged.record_prediction, record, {"y": 2})
    found = Judged.get_prediction_data(record)
    assert found == {
        "predicted": {"y": 2},
        "recorded_at": NOW,
        "resolved": False,
        **dict.fromkeys(("resolution_mode", "prediction_error", "resolved_at")),
    }
    # The error of the former one stays until this one has its own.
    assert Judged.get_highest_errors(Judged) == [(record.pk, 0.5)]
    api(Judged.resolve_prediction, record, {"y": 1})
    assert Judged.get_highest_errors(Judged) == [(record.pk, 0.5)]
    assert Judged.error_summary(Judged, partition="other") == {
        "__all__": {"count": 0, **dict.fromkeys(("mean", "stddev", "max"), 0.0)}
        | dict.fromkeys(("p50", "p90", "p99"), 0.0)
    }


# ── What is not worth keeping ────────────────────────────────────────────────


class Kept(WriteFilterMixin, EventStreamMixin, Model):
    name = KeyField()
    text = StringField(default="kubernetes")
    words = ExistenceFilter(capacity=100, fingerprint_fn=text_of)
    counts = FrequencySketch(width=50, depth=2, fingerprint_fn=text_of)

    _score: Any = 0.5

    def compute_filter_score(self) -> Any:
        if isinstance(self._score, Exception):
            raise self._score
        return self._score


def kept(score: Any) -> Kept:
    record = Kept(name="x")
    vars(record)["_score"] = score
    return record


def test_what_is_skipped_leaves_no_trace(api: Api, redis_client: redis.Redis) -> None:
    assert api(kept(0.05).save) is False
    assert redis_client.keys("*") == []
    assert api(kept(2.0).save) is not False
    assert redis_client.zscore("$WF:Kept:priority", "Kept:x") == 2.0
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    record = Kept.query.get(name="x")
    vars(record)["_score"] = 0
    record.text = "deployment"
    for names in (None, ["text"]):
        assert api(record.save, update_fields=names) is False
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
    assert api(Kept.counts.get_frequency, Kept, "kubernetes") == 1


def test_what_the_score_raises_reaches_the_caller(api: Api, redis_client: redis.Redis) -> None:
    with pytest.raises(ZeroDivisionError):
        api(kept(ZeroDivisionError()).save)
    assert redis_client.keys("*") == []
