"""What a history tells: of every change who, when, from, to and why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    ConfidenceField,
    HistoryEntry,
    KeyField,
    Model,
    RecallProposal,
    clock,
)
from tests.driver import Api
from tests.memory.remembered import NOW, Fact, fact, last, learn, propose, told
from tests.memory.test_observation import Both

LATER = NOW + 100


def by(record: Any, kind: str, field: str = "") -> list[HistoryEntry]:
    return [each for each in record.history() if (each.kind, each.field) == (kind, field)]


# Each kind of change -----------------------------------------------------------------------------


def test_a_confidence_that_learns(api: Api) -> None:
    record = fact()
    with clock.using(LATER), popoto.acting_as("agent-7"):
        learn(record, 0.9, api)
        learn(record, 0.3, api)
    first, second = api(record.history)
    assert first == HistoryEntry(
        kind="confidence",
        field="certainty",
        before=0.5,
        after=0.9,
        at=LATER,
        actor="agent-7",
        cause="update_confidence",
        signal=0.9,
        evidence_count=1,
    )
    assert (second.before, second.after, second.evidence_count) == (0.9, record.certainty, 2)


def test_a_signal_that_leaves_a_confidence_as_it_was_is_told_too() -> None:
    """It is evidence all the same."""
    record = fact()
    learn(record, 0.9)
    learn(record, 0.9)
    entry = last(record)
    assert (entry.before, entry.after, entry.evidence_count) == (0.9, 0.9, 2)


def test_a_confidence_without_evidence_begins_with_the_initial_one(
    redis_client: redis.Redis,
) -> None:
    record = fact()
    redis_client.hdel("$ConfidencF:Fact:certainty:data:work", record.pk)
    learn(record, 0.9)
    entry = last(record)
    assert (entry.before, entry.after, entry.evidence_count) == (0.5, 0.9, 1)


def test_a_clock_that_is_touched(api: Api) -> None:
    record = fact()
    with clock.using(LATER):
        api(record.touch, "clock")
    assert record.history() == [
        HistoryEntry("decay", "clock", NOW, LATER, LATER, cause="touch"),
    ]


def test_clocks_that_a_save_sets(api: Api) -> None:
    record = Fact(name="a")
    with clock.using(NOW):
        api(record.save)
    with clock.using(LATER):
        api(record.save)
    with clock.using(LATER + 1):
        api(record.save, update_fields=["seen"])
    assert told(record) == [
        ("decay", "clock", None, NOW),
        ("decay", "seen", None, NOW),
        ("decay", "clock", NOW, LATER),
        ("decay", "seen", NOW, LATER),
        ("decay", "seen", LATER, LATER + 1),
    ]
    assert {each.cause for each in record.history()} == {"save"}


def test_a_save_over_a_stored_record_goes_on_with_its_history() -> None:
    fact()
    with clock.using(LATER):
        record = Fact.create(name="a", overwrite=True)
    assert told(record)[0] == ("decay", "clock", NOW, LATER)
    with clock.using(LATER):
        Fact.create(name="a", overwrite=True)
    assert len(record.history()) == 2


def test_a_clock_that_is_moved_by_hand(api: Api) -> None:
    record = fact()
    api(record.atomic_increment, "seen", 5.5)
    assert api(Fact.raw_update, [record.pk], seen=7.0, topic="play") == 1
    first, second = record.history()
    assert (first.cause, first.before, first.after) == ("increment", NOW, NOW + 5.5)
    assert (second.cause, second.before, second.after) == ("raw_update", NOW + 5.5, 7.0)
    assert Fact.query.get(name="a").topic == "play"


def test_a_clock_that_is_moved_where_only_python_may_do_it(api: Api) -> None:
    class Versioned(Model):
        name = KeyField()
        at = popoto.DecayingSortedField()
        version = popoto.IntField(default=0)

        class Meta:
            history = True
            version_field = "version"

    with clock.using(NOW):
        record = Versioned.create(name="a")
    api(record.atomic_increment, "at", 5.5)
    assert told(record)[1:] == [("decay", "at", NOW, NOW + 5.5)]
    assert last(record).cause == "increment"


def test_other_numbers_are_not_told(api: Api) -> None:
    record = fact()
    api(record.atomic_increment, "told", 1)
    api(Fact.raw_update, [record.pk], told=7)
    record.told = 8
    record.save(update_fields=["told"])
    assert record.history() == []


def test_cycles_that_are_learned(api: Api) -> None:
    record = fact()
    api(record.strengthen_cycle, "clock", 2.0)
    api(record.weaken_cycle, "clock")
    first, second = record.history()
    assert (first.kind, first.field, first.cause, first.signal) == (
        *("cycle", "clock", "strengthen_cycle", 2.0),
    )
    assert (first.before, first.after) == ([[60, 0.5, 0]], [[60, 1.0, 0]])
    assert (second.after, second.cause, second.signal) == ([[60, 0.8, 0]], "weaken_cycle", 0.8)


def test_a_factor_that_changes_nothing_leaves_no_entry() -> None:
    record = fact()
    record.strengthen_cycle("clock", 1.0)
    assert record.history() == []


def test_cycles_that_are_declared_anew() -> None:
    def wave(cycles: list[tuple[float, float]], rate: float) -> Any:
        class Wave(Model):
            name = KeyField()
            at = popoto.CyclicDecayField(cycles=cycles, pressure_rate=rate)

            class Meta:
                history = True

        return Wave

    with clock.using(NOW):
        wave([(60, 0.5)], 0.1).create(name="a")
    calm = wave([], 0.0).query.get(name="a")
    with clock.using(LATER):
        calm.save()
    (cycle,), (pressure,) = by(calm, "cycle", "at"), by(calm, "pressure", "at")
    assert (cycle.before, cycle.after, cycle.cause) == ([[60, 0.5, 0]], None, "save")
    assert (pressure.before, pressure.after) == (NOW, None)
    busy = wave([(7, 0.25)], 0.1).query.get(name="a")
    with clock.using(LATER + 1):
        busy.save()
    assert last(busy, "cycle").after == [[7, 0.25, 0]]
    assert last(busy, "pressure").after == LATER + 1


def test_pressure_that_is_resolved(api: Api) -> None:
    record = fact()
    with clock.using(LATER):
        api(record.resolve_pressure, "clock")
    entry = HistoryEntry("pressure", "clock", NOW, LATER, LATER, cause="resolve_pressure")
    assert record.history() == [entry]


def test_links_are_told_at_both_ends_where_they_lead_both_ways(api: Api) -> None:
    one, other = fact("a"), fact("b")
    links = Fact.links
    api(links.link, Fact, one.pk, other.pk, 0.25)
    api(links.link, Fact, one.pk, other.pk, 0.75)
    api(links.strengthen, Fact, one.pk, other.pk, 0.5)
    api(links.weaken_all, Fact, other.pk, 0.5)
    api(links.unlink, Fact, one.pk, other.pk)
    steps = [(None, 0.25), (0.25, 0.75), (0.75, 0.375), (0.375, None)]
    for record, far in ((one, other), (other, one)):
        entries = record.history()
        assert [(each.before, each.after) for each in entries] == steps
        assert [each.cause for each in entries] == ["link", "strengthen", "weaken_all", "unlink"]
        assert [each.signal for each in entries] == [None, 0.5, 0.5, None]
        assert {each.target for each in entries} == {far.pk}
        assert {each.field for each in entries} == {"links"}


def test_links_of_one_direction_are_told_where_they_begin() -> None:
    one, other = fact("a"), fact("b")
    Fact.ways.link(Fact, one.pk, other.pk, 0.25)
    Fact.ways.weaken_all(Fact, one.pk, 0.0)
    assert [(each.before, each.after) for each in one.history()] == [(None, 0.25), (0.25, None)]
    assert other.history() == []


def test_weights_that_do_not_change_are_not_told() -> None:
    one, other = fact("a"), fact("b")
    Fact.links.link(Fact, one.pk, other.pk, 0.25)
    Fact.links.link(Fact, other.pk, one.pk, 0.75)
    Fact.links.weaken_all(Fact, one.pk, 1.0)
    Fact.links.unlink(Fact, one.pk, "nothing")
    assert told(one) == told(other) == [("link", "links", None, 0.25)]


def test_links_of_keys_that_are_no_records_are_told_where_there_is_one(
    redis_client: redis.Redis,
) -> None:
    record = fact()
    Fact.links.link(Fact, "rain", record.pk, 0.5)
    Fact.links.link(Fact, "rain", "coat", 0.5)
    assert [each.target for each in record.history()] == ["rain"]
    assert redis_client.keys("$History:*") == [b"$History:Fact:Fact:a"]


def test_a_link_that_another_one_drives_out_is_told() -> None:
    class Note(Model):
        name = KeyField()
        links = popoto.CoOccurrenceField(max_edges=1)

        class Meta:
            history = True

    light, heavy, last_one = (Note.create(name=name) for name in "abc")
    Note.links.link(Note, heavy.pk, light.pk, 0.1)
    Note.links.link(Note, heavy.pk, last_one.pk, 0.9)
    ended = [(each.target, each.before, each.after) for each in heavy.history()]
    assert ended[0] == (light.pk, None, 0.1)
    assert sorted(ended[1:]) == [(light.pk, 0.1, None), (last_one.pk, None, 0.9)]
    assert told(light)[-1] == ("link", "links", 0.1, None)
    entries = told(heavy)
    # It is the lightest itself, and never stood.
    Note.links.link(Note, heavy.pk, light.pk, 0.1)
    assert told(heavy) == entries
    assert len(told(light)) == 2


def test_reads_that_are_confirmed(api: Api) -> None:
    record = fact()
    record.on_read()
    record.on_read()
    api(record.confirm_access)
    api(record.confirm_access)
    record.on_read()
    record.discard_staged_access()
    assert told(record) == [("access", "", 0, 2)]
    assert last(record).cause == "confirm_access"


@pytest.mark.parametrize("partition", [None, "lunch"])
def test_proposals_that_are_resolved(api: Api, partition: str | None) -> None:
    record = fact()
    with clock.using(NOW):
        RecallProposal.create_batch([record], partition=partition)
    with clock.using(LATER):
        assert api(RecallProposal.resolve, record, "used", partition) == 1
        assert api(RecallProposal.resolve, record, "used", partition) == 0
    entry = HistoryEntry("proposal", "", NOW, None, LATER, cause="resolve", outcome="used")
    assert record.history() == [entry]


def test_outcomes_are_told_with_all_that_follows_from_them(api: Api) -> None:
    acted, doubted = fact("a"), fact("b")
    acted.on_read()
    propose(acted)
    # It is pending since the earliest of these, in whatever order they came.
    for seconds, partition in ((2, "tea"), (5, "lunch"), (4, "dinner")):
        with clock.using(NOW - seconds):
            RecallProposal.create_batch([acted], partition=partition)
    outcomes = {acted.pk: "acted", doubted.pk: "contradicted"}
    with clock.using(LATER), popoto.acting_as("ada"):
        api(Both().on_context_used, [acted, doubted], outcomes)
    assert told(acted) == [
        ("decay", "clock", NOW, LATER),
        ("decay", "seen", NOW, LATER),
        ("access", "", 0, 1),
        ("cycle", "clock", [[60, 0.5, 0]], [[60, 0.6, 0]]),
        ("pressure", "clock", NOW, LATER),
        ("confidence", "certainty", 0.5, 0.9),
        ("proposal", "", NOW - 5, None),
    ]
    assert told(doubted) == [
        ("cycle", "clock", [[60, 0.5, 0]], [[60, 0.25, 0]]),
        ("confidence", "certainty", 0.5, doubted.certainty),
    ]
    for record in (acted, doubted):
        for entry in record.history():
            assert (entry.cause, entry.outcome) == ("on_context_used", outcomes[record.pk])
            assert (entry.actor, entry.at) == ("ada", LATER)


def test_predictions_tell_what_they_do_to_a_confidence(api: Api) -> None:
    wrong, right = fact("a"), fact("b")
    for record in (wrong, right):
        Fact.record_prediction(record, {"x": 1})
    assert api(Fact.resolve_prediction, right, {"x": 1}) == 0
    assert api(Fact.auto_resolve, wrong, "contradicted") == 0.9
    assert right.history() == []
    (entry,) = wrong.history()
    assert (entry.kind, entry.before, entry.signal) == ("confidence", 0.5, 0.2)
    assert (entry.cause, entry.outcome) == ("auto_resolve", "contradicted")
    # It counts only where it lowers the confidence.
    learn(wrong, 0.0)
    Fact.record_prediction(wrong, {"x": 1})
    before = len(wrong.history())
    api(Fact.resolve_prediction, wrong, {"x": 0})
    assert len(wrong.history()) == before
    Fact.record_prediction(right, {"x": 1})
    api(Fact.resolve_prediction, right, {"x": 0})
    assert (last(right).cause, last(right).outcome) == ("resolve_prediction", None)


# Who ---------------------------------------------------------------------------------------------


def test_who_acts_is_said_by_blocks_which_may_stand_in_each_other() -> None:
    record = fact()
    learn(record, 0.1)
    with popoto.acting_as("outer"):
        with popoto.acting_as("inner"):
            learn(record, 0.2)
        learn(record, 0.3)
    learn(record, 0.4)
    assert [each.actor for each in record.history()] == [None, "inner", "outer", None]


def test_each_task_acts_for_itself() -> None:
    records = [fact(name) for name in "abc"]

    async def act(record: Fact) -> None:
        with popoto.acting_as(f"agent of {record.name}"):
            await asyncio.sleep(0)
            await ConfidenceField.async_update_confidence(record, "certainty", 0.9)

    async def all_of_them() -> None:
        await asyncio.gather(*map(act, records))

    asyncio.run(all_of_them())
    assert [last(each).actor for each in records] == ["agent of a", "agent of b", "agent of c"]


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (None, TypeError), (7, TypeError)])
def test_an_actor_has_a_name(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="actor"), popoto.acting_as(name):
        pass
