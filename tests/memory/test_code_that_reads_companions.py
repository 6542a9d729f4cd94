"""What applications written for popoto 1.6 read and write past the methods keeps working."""

from __future__ import annotations

import importlib
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    Defaults,
    EventStreamMixin,
    ExistenceFilter,
    FloatField,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    WriteFilterMixin,
    clock,
)
from tests.driver import Api
from tests.memory.words import text_of

NOW, DAY = 1_700_000_000.0, 86_400


class Fact(AccessTrackerMixin, WriteFilterMixin, PredictionLedgerMixin, EventStreamMixin, Model):
    name = KeyField()
    project = StringField(default="atlas: one")
    text = StringField(default="")
    worth = FloatField(default=0.5)
    relevance = DecayingSortedField(decay_rate=0.5, partition_by="project")
    rhythm = CyclicDecayField(decay_rate=0.5, cycles=[(DAY, 1.0)], pressure_rate=0.1)
    sure = ConfidenceField()
    links = CoOccurrenceField()
    words = ExistenceFilter(capacity=1000, fingerprint_fn=text_of)

    def compute_filter_score(self) -> float:
        return self.worth


@pytest.fixture
def facts() -> list[Fact]:
    found: list[Fact] = []
    for day, name in enumerate(("oldest", "older", "new")):
        with clock.using(NOW + day * DAY):
            found.append(Fact.create(name=name, text=f"{name} kubernetes"))
    return found


# ── Reading ──────────────────────────────────────────────────────────────────


def test_the_latest_records_are_read_from_the_index(
    facts: list[Fact], redis_client: redis.Redis
) -> None:
    key = DecayingSortedField.get_sortedset_db_key(Fact, "relevance", "atlas: one").redis_key
    assert key == "$DecayingSortF:Fact:relevance:atlas{&#58;} one"
    assert redis_client.zrevrange(key, 0, 1, withscores=True) == [
        (b"Fact:new", NOW + 2 * DAY),
        (b"Fact:older", NOW + DAY),
    ]
    assert redis_client.zrangebyscore(key, NOW, NOW + DAY) == [b"Fact:oldest", b"Fact:older"]
    with clock.using(NOW + 9 * DAY):
        facts[0].touch("relevance")
    assert redis_client.zrevrange(key, 0, 0) == [b"Fact:oldest"]
    unpartitioned = CyclicDecayField.get_sortedset_db_key(facts[0], "rhythm").redis_key
    assert redis_client.zrangebyscore(unpartitioned, "-inf", NOW) == [b"Fact:oldest"]


def test_evidence_is_read_from_its_hash(facts: list[Fact], redis_client: redis.Redis) -> None:
    ConfidenceField.update_confidence(facts[0], "sure", 0.25)
    key = Fact._meta.fields["sure"].get_data_hash_key(facts[0], "sure")
    stored = {record: msgpack.unpackb(found) for record, found in redis_client.hgetall(key).items()}
    assert stored == {
        b"Fact:oldest": {
            "confidence": 0.25,
            "evidence_count": 1,
            "corroborations": 0,
            "contradictions": 1,
        },
        **{
            key: {"confidence": 0.5, "evidence_count": 0, "corroborations": 0, "contradictions": 0}
            for key in (b"Fact:older", b"Fact:new")
        },
    }


def test_the_filter_is_asked_on_the_field(api: Api, facts: list[Fact]) -> None:
    field = Fact._meta.fields["words"]
    assert api(field.might_exist, Fact, "Kubernetes") is True
    assert api(field.definitely_missing, Fact, "gardening") is True


def test_accesses_are_confirmed_and_counted_on_the_record(api: Api, facts: list[Fact]) -> None:
    (record,) = Fact.query.filter(name="new").all()
    assert api(record.confirm_access) == 1
    assert (record.access_count, type(record.last_accessed)) == (1, float)
    (record,) = Fact.query.filter(name="new").no_track().all()
    assert api(record.confirm_access) == 0
    assert len(Fact.query.filter(project="atlas: one").no_track().top_by_decay("relevance")) == 3
    assert api(record.confirm_access) == 0


def test_a_save_that_is_not_worth_it_returns_false(api: Api, redis_client: redis.Redis) -> None:
    worthless = Fact(name="x", worth=0.05, text="gardening")
    assert api(worthless.save) is False
    assert redis_client.keys("*Fact*") == []
    assert api(Fact.words.might_exist, Fact, "gardening") is False
    # Nothing to save comes before the question whether it is worth it.
    assert api(worthless.save, update_fields=[]) is not False
    worthy = api(Fact.create, name="y")
    worthy.worth = 0.01
    assert api(worthy.save) is False
    assert api(Fact.bulk_update, Fact.query.filter(name="y"), worth=0.02) == 1
    assert Fact.query.get(name="y").worth == 0.5


# ── Writing ──────────────────────────────────────────────────────────────────


def test_records_are_aged_by_their_index(facts: list[Fact], redis_client: redis.Redis) -> None:
    key = "$DecayingSortF:Fact:relevance:atlas{&#58;} one"
    redis_client.zadd(key, {"Fact:new": NOW - 100 * DAY})
    with clock.using(NOW + 3 * DAY):
        found = Fact.query.filter(project="atlas: one").top_by_decay("relevance")
    assert [each.name for each in found] == ["older", "oldest", "new"]


def test_companions_are_written_by_hand(facts: list[Fact], redis_client: redis.Redis) -> None:
    record, key = facts[0], "$CyclicDecayF:Fact:rhythm"
    redis_client.hset(f"{key}:cycles", record.pk, msgpack.packb([[DAY, 50.0, NOW + 3 * DAY]]))
    resolved = {"rate": 2, "last_resolved": NOW}
    redis_client.hset(f"{key}:pressure", facts[1].pk, msgpack.packb(resolved))
    with clock.using(NOW + 3 * DAY):
        found = Fact.query.no_track().top_by_decay("rhythm")
    assert [each.name for each in found] == ["oldest", "older", "new"]
    known = {"confidence": 0.4, "evidence_count": 2, "corroborations": 1, "contradictions": 1}
    redis_client.hset("$ConfidencF:Fact:sure:data", record.pk, msgpack.packb(known))
    assert ConfidenceField.get_confidence(record, "sure") == 0.4
    assert ConfidenceField.update_confidence(record, "sure", 0.6) == pytest.approx(0.515470)
    redis_client.rpush(record._at_key("staged"), "1000.5", "1001.5")
    assert record.confirm_access() == 2
    redis_client.zadd(Fact.links.get_edge_key(Fact, record.pk), {"other": 0.75})
    assert Fact.links.get_linked(Fact, record.pk) == [("other", 0.75)]
    redis_client.zadd(RecallProposal._pending_key(Fact), {record.pk: NOW})
    assert RecallProposal.get_pending(Fact) == [(record.pk, NOW)]
    redis_client.zadd(Fact._error_key(Fact), {record.pk: 0.75})
    assert Fact.get_highest_errors(Fact) == [(record.pk, 0.75)]
    assert (record._get_stream_key(), record._wf_key("priority")) == (
        "stream:mutations",
        "$WF:Fact:priority",
    )


def test_many_staged_reads_fill_the_log(facts: list[Fact], redis_client: redis.Redis) -> None:
    record = facts[0]
    redis_client.rpush(record._at_key("staged"), *(str(number) for number in range(1000, 1150)))
    assert record.confirm_access() == 150
    log = redis_client.lrange(record._at_key("access_log"), 0, -1)
    assert (len(log), log[0], log[-1]) == (100, b"1050", b"1149")
    assert (record.access_count, record.last_accessed) == (150, 1149.0)


# ── Defaults that are assigned ───────────────────────────────────────────────

BEFORE_THE_CLASS = {
    "DECAY_RATE": (0.25, lambda model: model.relevance.decay_rate),
    "INITIAL_CONFIDENCE": (0.75, lambda model: model.sure.initial_confidence),
    "CO_OCCURRENCE_DECAY_FACTOR": (0.5, lambda model: model.links.decay_factor),
}


@pytest.mark.parametrize("name", BEFORE_THE_CLASS)
def test_defaults_hold_for_classes_that_are_made_afterwards(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, taken = BEFORE_THE_CLASS[name]

    def made() -> Any:
        body = {
            "name": KeyField(),
            "relevance": CyclicDecayField(),
            "sure": ConfidenceField(),
            "links": CoOccurrenceField(),
            "__module__": __name__,
        }
        return type("Late", (Model,), body)

    before = made()
    usual = getattr(Defaults, name)
    monkeypatch.setattr(Defaults, name, value)
    assert (taken(made()), taken(before)) == (value, usual)


def test_defaults_that_a_subclass_or_an_argument_overrides(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    monkeypatch.setattr(Defaults, "DECAY_RATE", 0.25)
    monkeypatch.setattr(Defaults, "WF_PRIORITY_THRESHOLD", 0.3)
    monkeypatch.setattr(Defaults, "CO_OCCURRENCE_INITIAL_WEIGHT", 0.9)
    assert DecayingSortedField(decay_rate=0.75).decay_rate == 0.75
    record = Fact.create(name="x", worth=0.4)
    assert redis_client.zscore("$WF:Fact:priority", "Fact:x") == 0.4

    class Own(Fact):
        _wf_priority_threshold = 0.45

    Own.create(name="x", worth=0.4)
    assert redis_client.exists("$WF:Own:priority") == 0
    assert Fact.links.link(Fact, "a", "b") == 0.9
    assert Fact.links.link(Fact, "a", "c", 0.2) == 0.2
    assert record.relevance is not None


def test_numbers_of_outcomes_may_be_assigned_to_the_module(
    monkeypatch: pytest.MonkeyPatch, facts: list[Fact]
) -> None:
    module = importlib.import_module("popoto.fields.observation")
    monkeypatch.setattr(module, "CONTRADICTED_CONFIDENCE_SIGNAL", 0.35, raising=False)
    ObservationProtocol.on_context_used(facts[:1], {facts[0].pk: "contradicted"})
    monkeypatch.undo()
    ObservationProtocol.on_context_used(facts[1:2], {facts[1].pk: "contradicted"})
    found = [ConfidenceField.get_confidence(each, "sure") for each in facts[:2]]
    assert found == pytest.approx([0.35, 0.1])
