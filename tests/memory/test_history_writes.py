"""Entries are part of the write that they tell of, whichever way it goes, or are not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import redis

import popoto
from popoto import (
    ConfidenceField,
    CyclicDecayField,
    History,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    RecallProposal,
    StringField,
    clock,
    transaction,
)
from popoto.exceptions import ConflictError, OutcomeUnknownError
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing.faults import FaultProxy
from tests.driver import Api, RoundTrips
from tests.memory.remembered import NOW, Fact, fact, last, learn, propose, told
from tests.truth.traced import calls, is_write, traced, unproven

LATER = NOW + 100


def change_all(one: Fact, other: Fact, pipeline: object) -> None:
    """Every kind of change, into a pipeline or a transaction."""
    one.touch("seen", pipeline=pipeline)
    learn(one, 0.9, pipeline=pipeline)
    one.strengthen_cycle("clock", 2.0, pipeline=pipeline)
    one.resolve_pressure("clock", pipeline=pipeline)
    Fact.links.link(Fact, one.pk, other.pk, 0.5, pipeline=pipeline)
    one.confirm_access(pipeline=pipeline)


CHANGES = [
    ("decay", "seen", NOW, LATER),
    ("confidence", "certainty", 0.5, 0.9),
    ("cycle", "clock", [[60, 0.5, 0]], [[60, 1.0, 0]]),
    ("pressure", "clock", NOW, LATER),
    ("link", "links", None, 0.5),
    ("access", "", 0, 1),
]


def test_one_change_is_one_round_trip(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    one, other = fact("a"), fact("b")
    learn(one, 0.5)
    with round_trips() as seen:
        learn(one, 0.5, api)
        api(one.touch, "seen")
        api(Fact.links.link, Fact, one.pk, other.pk)
        api(one.confirm_access)
    assert seen.sends == 4


def test_pipelines(redis_client: redis.Redis) -> None:
    one, other = fact("a"), fact("b")
    one.on_read()
    pipeline = POPOTO_REDIS_DB.pipeline()
    with clock.using(LATER), popoto.acting_as("ada"):
        change_all(one, other, pipeline)
    assert told(one) == []
    pipeline.execute()
    assert told(one) == CHANGES
    assert {(each.actor, each.at) for each in one.history()} == {("ada", LATER)}
    assert told(other) == [("link", "links", None, 0.5)]


def test_dropped_pipelines_leave_nothing(redis_client: redis.Redis) -> None:
    one, other = fact("a"), fact("b")
    change_all(one, other, POPOTO_REDIS_DB.pipeline())
    assert redis_client.keys("$History:*") == []


def test_saves_and_outcomes_in_a_pipeline() -> None:
    record = fact()
    propose(record)
    pipeline = POPOTO_REDIS_DB.pipeline()
    with clock.using(LATER):
        record.save(pipeline=pipeline)
        Fact(name="new").save(pipeline=pipeline)
        ObservationProtocol.on_context_used([record], {record.pk: "used"}, pipeline=pipeline)
        RecallProposal.resolve(record, "used", pipeline=pipeline)
    pipeline.execute()
    assert told(record) == [
        ("decay", "clock", NOW, LATER),
        ("decay", "seen", NOW, LATER),
        ("proposal", "", NOW, None),
    ]
    assert [each.cause for each in record.history()] == ["save", "save", "on_context_used"]
    new = Fact.query.get(name="new")
    assert told(new) == [("decay", "clock", None, LATER), ("decay", "seen", None, LATER)]


def test_transactions(api: Api) -> None:
    one, other = fact("a"), fact("b")
    one.on_read()
    together = transaction()
    with clock.using(LATER), popoto.acting_as("ada"):
        change_all(one, other, together)
        together.save(other)
        together.create(Fact, name="new")
    assert told(one) == []
    api(together.commit)
    assert sorted(told(one), key=str) == sorted(CHANGES, key=str)
    # Who acts is who asked for the change, not who commits it.
    assert {(each.actor, each.at) for each in one.history()} == {("ada", LATER)}
    assert ("decay", "clock", NOW, LATER) in told(other)
    assert last(Fact.query.get(name="new")).actor == "ada"


def test_many_records_at_once(api: Api) -> None:
    with clock.using(NOW):
        records = api(Fact.bulk_create, [Fact(name=name) for name in "abc"])
    assert [len(each.history()) for each in records] == [2, 2, 2]
    with clock.using(LATER), popoto.acting_as("ada"):
        api(Fact.bulk_touch, records, "seen")
        api(ConfidenceField.bulk_update_confidence, [(each, 0.9) for each in records], "certainty")
        pairs = [(records[0].pk, records[1].pk), (records[1].pk, records[2].pk)]
        api(Fact.links.bulk_link, Fact, pairs, 0.5)
        api(Fact.bulk_update, records, topic="play")
    for record in records:
        entries = record.history()[2:]
        assert {(each.actor, each.at) for each in entries} == {("ada", LATER)}
        kinds = [each.kind for each in entries]
        assert kinds[:2] == ["decay", "confidence"]
        assert kinds.count("link") == (2 if record is records[1] else 1)


def test_a_batch_that_is_refused_leaves_nothing(api: Api, redis_client: redis.Redis) -> None:
    one, gone = fact("a"), fact("b")
    gone.delete()
    before = redis_client.keys("$History:*")
    pairs = [(one, 0.9), (gone, 0.9)]
    with pytest.raises((ModelException, TypeError)):
        api(ConfidenceField.bulk_update_confidence, pairs, "certainty")
    with pytest.raises((ModelException, TypeError)):
        api(Fact.bulk_touch, [one, gone], "seen")
    assert redis_client.keys("$History:*") == before == []


def test_a_save_that_is_refused_leaves_nothing(api: Api) -> None:
    record = fact()
    stale = Fact.query.get(name="a")
    record.topic = "play"
    record.save()
    entries = told(record)
    with pytest.raises(ConflictError):
        api(stale.save, expected={"topic": "work"})
    assert told(record) == entries


def test_a_key_of_another_type_refuses_the_change(api: Api, redis_client: redis.Redis) -> None:
    one, other = fact("a"), fact("b")
    for record in (one, other):
        redis_client.set(f"$History:Fact:{record.pk}", "a string")
    links = Fact.links
    for change in (
        lambda: learn(one, 0.9, api),
        lambda: api(one.touch, "seen"),
        lambda: api(links.link, Fact, one.pk, other.pk),
        lambda: api(links.link, Fact, "rain", other.pk),
        lambda: api(one.save),
    ):
        with pytest.raises(ModelException, match=r"\$History:Fact:Fact:.* holds a string"):
            change()
    assert ConfidenceField.get_confidence_data(one, "certainty")["evidence_count"] == 0
    assert links.get_linked(Fact, one.pk) == []
    assert links.get_linked(Fact, "rain") == []


def test_a_lost_reply_does_not_write_twice(api: Api, proxy: FaultProxy) -> None:
    record = fact()
    learn(record, 0.9)
    proxy.lose_reply(b"LEARN")
    with pytest.raises(OutcomeUnknownError):
        learn(record, 0.3, api)
    assert [each.signal for each in record.history()] == [0.9, 0.3]


LEARNER = """
import sys
import popoto
from popoto import ConfidenceField, redis_db
from tests.memory.remembered import Fact

redis_db.set_REDIS_DB_settings(unix_socket_path=sys.argv[1])
record = Fact.query.get(name="a")
print("ready", flush=True)
sys.stdin.readline()
with popoto.acting_as(sys.argv[2]):
    for number in range(40):
        ConfidenceField.update_confidence(record, "certainty", number / 40)
"""


def test_two_processes_write_one_history(server_url: str) -> None:
    record = fact()
    path = server_url.removeprefix("unix://")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LEARNER, path, actor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for actor in ("one", "two")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    entries = record.history()
    assert sorted(each.actor or "" for each in entries) == ["one"] * 40 + ["two"] * 40
    assert [each.evidence_count for each in entries] == list(range(1, 81))
    assert popoto.explain_confidence(record).is_whole


class Calm(Model):
    """Has neither cycles nor pressure: a save takes away what an earlier definition has left."""

    name = KeyField()
    note = StringField()
    at = CyclicDecayField()

    class Meta:
        history = True


def write_everything(api: Api, one: Fact, other: Fact) -> None:
    learn(one, 0.9, api)
    api(one.touch, "seen")
    api(one.atomic_increment, "seen", 1.0)
    api(one.strengthen_cycle, "clock")
    api(one.resolve_pressure, "clock")
    for links in (Fact.links, Fact.ways):
        api(links.link, Fact, one.pk, other.pk)
        api(links.strengthen, Fact, other.pk, one.pk)
        api(links.weaken_all, Fact, one.pk)
        api(links.unlink, Fact, one.pk, other.pk)
        api(links.link, Fact, one.pk, other.pk)
    api(Fact.bulk_touch, [one, other], "seen")
    together = transaction()
    for record in (one, other):
        record.on_read()
        record.confirm_access(pipeline=together)
    api(together.commit)
    other._ttl = 1000
    api(other.save)
    api(ConfidenceField.bulk_update_confidence, [(one, 0.5), (other, 0.5)], "certainty")
    for partition in (None, "lunch"):
        RecallProposal.create_batch([one, other], partition=partition)
    api(RecallProposal.resolve, one, "used", "lunch")
    Fact.record_prediction(one, {"x": 1})
    api(Fact.resolve_prediction, one, {"x": 0})
    ObservationProtocol.on_context_used([one, other], {}, partition="lunch")
    outcomes = {one.pk: "acted", other.pk: "contradicted"}
    ObservationProtocol.on_context_used([one, other], outcomes)
    one.topic = "play"
    api(one.save)
    api(Fact.raw_update, [one.pk], seen=1.0, topic="rest")
    one.name = "moved"
    api(one.save, migrate_key=True)
    api(one.delete)
    api(Fact.bulk_create, [Fact(name=name) for name in "xyz"])
    api(Calm.bulk_update, api(Calm.bulk_create, [Calm(name=name) for name in "xyz"]), note="new")


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = fact("a"), fact("b")
    with clock.using(NOW):
        learn(one, 0.5)
    monkeypatch.setattr(Fact._meta, "history", History(max_age=60))
    with traced():
        write_everything(api, one, other)
    asked = calls(redis_client)
    assert sum(each.name == "XADD" for call in asked for each in call if is_write(each)) > 20
    left = [f"{each.how} {each.name} {each.key!r}" for call in asked for each in unproven(call)]
    assert left == []
