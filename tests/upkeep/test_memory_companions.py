"""Upkeep of what memory fields keep: what follows from something else is brought back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import msgpack
import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    IndexedField,
    KeyField,
    Model,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
    WriteFilterMixin,
    clock,
)
from popoto.recipes import PolicyEntry
from popoto.recipes.policy_cache import initialize_q_value
from tests.driver import Api
from tests.interference import before_each_commit
from tests.truth.remembering import DAY, Fact, fill, remember

from .zoo import state

#: What nothing else tells: records, and what was learned of them.
SOURCES = (
    *("Fact:", "$AT:", "$ConfidencF:", "$PL:Fact:meta:", "$RP:Fact:pending:"),
    "$CoOccurrencF:Fact:causes:",
)


class Told(Model):
    name = KeyField()
    agent = IndexedField()
    text = StringField(default="plan")
    words = BM25Field(source="text", partition_by="agent")


def is_derived(key: str) -> bool:
    # Without its lists of texts and keys a model is asked more slowly.
    is_source = key.startswith((*SOURCES, "$Values:")) or key.endswith((":cycles", ":pressure"))
    return not is_source


def problems(found: dict[str, Any]) -> dict[str, Any]:
    """What a check has found, without what it has not."""
    told: dict[str, Any] = {}
    for name, value in found.items():
        counts: Any = value
        if isinstance(value, dict):
            given = cast("dict[str, int]", value)
            counts = {each: count for each, count in given.items() if count}
        if counts:
            told[name] = counts
    return told


def test_nothing_is_wrong_after_everything_was_done_with_records(api: Api) -> None:
    fill()
    assert problems(api(Fact.check_indexes)) == {}


def test_every_key_that_follows_from_others_is_missed_and_brought_back(
    redis_client: redis.Redis, api: Api
) -> None:
    fill()
    before = state(redis_client)
    derived = [key for key in before if is_derived(key)]
    assert {"$WF:Fact:priority", "$PL:Fact:errors:default", "$RP:Fact:partitions"} < set(derived)
    assert "$CoOccurrenceIn:Fact:causes:Fact:one" in derived
    # A prediction that is open again does not tell how wrong the one before it was.
    redis_client.zrem("$PL:Fact:errors:default", "Fact:four")
    before = state(redis_client)
    for key in derived:
        redis_client.delete(key)
        assert api(Fact.check_indexes)["total"] > 0, key
        assert api(Fact.rebuild_indexes) == 4
        assert state(redis_client) == before, key
        assert problems(api(Fact.check_indexes)) == {}


def damage_edges(client: redis.Redis) -> None:
    client.zrem("$CoOccurrencF:Fact:near:Fact:three", "Fact:one")


def damage_incoming(client: redis.Redis) -> None:
    client.sadd("$CoOccurrenceIn:Fact:causes:Fact:one", "Fact:four")


def damage_errors(client: redis.Redis) -> None:
    client.zadd("$PL:Fact:errors:default", {"Fact:one": 0.5})


def damage_bases(client: redis.Redis) -> None:
    client.zadd("$DecayBase:Fact:relevance:a", {"Fact:one": 0.5})


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_edges, {"near": 1}),
        (damage_incoming, {"causes": 1}),
        (damage_errors, {"prediction_errors": 1}),
        (damage_bases, {"relevance:base": 1}),
    ],
)
def test_what_is_not_as_it_should_be_is_told_and_mended(
    redis_client: redis.Redis,
    api: Api,
    damage: Callable[[redis.Redis], None],
    told: dict[str, int],
) -> None:
    fill()
    before = state(redis_client)
    damage(redis_client)
    assert problems(api(Fact.check_indexes)) == {"missing_entries": told, "total": 1}
    api(Fact.rebuild_indexes)
    assert state(redis_client) == before


@pytest.mark.parametrize(
    "entry",
    [
        {"resolved": True, "prediction_error": math.nan},
        {"resolved": True, "prediction_error": [0.5]},
        {"resolved": True},
        {"resolved": False, "prediction_error": 0.5},
        {"prediction_error": 0.5},
        "no map",
    ],
    ids=str,
)
def test_what_tells_no_error_of_a_prediction_is_missing_nowhere(
    redis_client: redis.Redis, api: Api, entry: Any
) -> None:
    note: Any = with_memory()
    each = note.create(name="a")
    redis_client.hset("$PL:Note:meta:Note:a", each.pk, msgpack.packb(entry))
    assert problems(api(note.check_indexes)) == {}
    api(note.rebuild_indexes)
    assert problems(api(note.check_indexes)) == {}
    assert note.get_highest_errors(note) == []


@pytest.mark.parametrize("noted", [None, 0.25])
def test_an_error_below_nothing_is_noted_by_its_size(
    redis_client: redis.Redis, api: Api, noted: float | None
) -> None:
    note: Any = with_memory()
    each = note.create(name="a")
    entry = {"resolved": True, "prediction_error": -0.5}
    redis_client.hset("$PL:Note:meta:Note:a", each.pk, msgpack.packb(entry))
    if noted is not None:
        redis_client.zadd("$PL:Note:errors:default", {each.pk: noted})
    assert problems(api(note.check_indexes))["missing_entries"] == {"prediction_errors": 1}
    api(note.rebuild_indexes)
    assert problems(api(note.check_indexes)) == {}
    assert note.get_highest_errors(note) == [("Note:a", 0.5)]


class Fresh(Model):
    name = KeyField()
    agent = KeyField(default="a")
    fresh = DecayingSortedField(partition_by="agent")


@pytest.mark.parametrize(
    ("told", "kept"), [(500.0, 500.0), (50.0, 100.0), (100.0, 100.0), (math.inf, 100.0)]
)
def test_a_rebuild_takes_over_later_moments_that_the_index_alone_was_told(
    redis_client: redis.Redis, api: Api, told: float, kept: float
) -> None:
    """As popoto 1.6 does, which touches the index and not the record."""
    with clock.using(100.0):
        records = [Fresh.create(name=name) for name in "abc"]
    redis_client.zadd("$DecayingSortF:Fresh:fresh:a", {records[1].pk: told})
    with clock.using(1000.0):
        api(Fresh.rebuild_indexes, batch_size=2)
    assert [each.fresh for each in Fresh.query.order_by("name").all()] == [100.0, kept, 100.0]
    assert redis_client.zscore("$DecayingSortF:Fresh:fresh:a", records[1].pk) == kept


def test_a_rebuild_takes_over_nothing_from_a_key_of_another_program(
    redis_client: redis.Redis, api: Api
) -> None:
    with clock.using(100.0):
        record = Fresh.create(name="a")
    redis_client.delete("$DecayingSortF:Fresh:fresh:a")
    redis_client.set("$DecayingSortF:Fresh:fresh:a", "foreign")
    before = redis_client.hgetall(record.pk)
    api(Fresh.rebuild_indexes)
    assert redis_client.hgetall(record.pk) == before
    assert redis_client.get("$DecayingSortF:Fresh:fresh:a") == b"foreign"


def test_a_rebuild_leaves_a_moment_alone_that_cannot_be_read_or_is_none(
    redis_client: redis.Redis, api: Api
) -> None:
    with clock.using(100.0):
        torn, bare, odd = (Fresh.create(name=name) for name in ("torn", "bare", "odd"))
    redis_client.hset(torn.pk, "fresh", b"\xc1")
    redis_client.hdel(bare.pk, "fresh")
    redis_client.hset(odd.pk, "agent", b"\xc1")
    for each in (torn, bare, odd):
        redis_client.zadd("$DecayingSortF:Fresh:fresh:a", {each.pk: 500.0})
    before = [redis_client.hgetall(each.pk) for each in (torn, bare, odd)]
    api(Fresh.rebuild_indexes)
    assert [redis_client.hgetall(each.pk) for each in (torn, bare, odd)] == before


@pytest.mark.parametrize("moment", range(1, 6))
def test_a_touch_during_a_rebuild_is_later_than_what_the_index_was_told(
    redis_client: redis.Redis, api: Api, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    with clock.using(100.0):
        record = Fresh.create(name="a")
    redis_client.zadd("$DecayingSortF:Fresh:fresh:a", {record.pk: 500.0})
    other = Fresh.query.get(name="a", agent="a")
    assert other is not None
    asked: list[int] = []

    def touch() -> None:
        asked.append(1)
        if len(asked) == moment:
            with clock.using(900.0):
                other.touch("fresh")

    with monkeypatch.context() as patch:
        before_each_commit(patch, touch)
        api(Fresh.rebuild_indexes)
    assert len(asked) >= moment
    assert Fresh.query.get(name="a", agent="a").fresh == 900.0
    assert redis_client.zscore("$DecayingSortF:Fresh:fresh:a", record.pk) == 900.0


@pytest.mark.parametrize("told", [0.75, 0.125])
def test_a_rebuild_takes_over_what_an_index_was_told_of_a_value_that_is_no_moment(
    redis_client: redis.Redis, api: Api, told: float
) -> None:
    policy = PolicyEntry.create(
        entry_id="1" * 32, agent_id="a", state_fingerprint="f", action_type="act"
    )
    initialize_q_value(policy, 0.5)
    (index,) = [each for each in redis_client.keys("$DecayingSortF:*") if redis_client.zcard(each)]
    redis_client.zadd(index, {policy.pk: told})
    api(PolicyEntry.rebuild_indexes)
    assert PolicyEntry.query.get(redis_key=policy.pk).expected_value == told
    assert redis_client.zscore(index, policy.pk) == told


def test_a_base_in_another_partition_is_a_wrong_one(redis_client: redis.Redis, api: Api) -> None:
    fill()
    before = state(redis_client)
    redis_client.zadd("$DecayBase:Fact:relevance:elsewhere", {"Fact:one": 0.5})
    redis_client.zadd("$DecayBase:Fact:relevance:a", {"Fact:gone": 0.5})
    assert problems(api(Fact.check_indexes)) == {
        "companions": {"relevance:base": 1},
        "wrong_values": {"relevance:base": 1},
        "total": 2,
    }
    assert api(Fact.clean_indexes) == 1
    api(Fact.rebuild_indexes)
    assert state(redis_client) == before


def test_words_in_another_partition_are_wrong_ones(redis_client: redis.Redis, api: Api) -> None:
    """As after a raw update, or where a class without that partition has saved the record."""
    api(Told.create, name="one", agent="ann")
    api(Told.create, name="two", agent="ann")
    api(Told.raw_update, ["Told:one"], agent="bob")
    found = problems(api(Told.check_indexes))
    assert found["wrong_values"] == {"agent": 1, "words": 1}
    api(Told.rebuild_indexes)
    assert problems(api(Told.check_indexes)) == {}
    for agent, name in (("ann", "two"), ("bob", "one")):
        hits = api(Told.query.filter(agent=agent).keyword_search, "plan")
        assert [each.name for each in hits] == [name]
    assert redis_client.get("$BM25:Told:words:@ann:n") == b"1"


def test_priority_that_a_save_has_given_is_left_as_it_is(
    redis_client: redis.Redis, api: Api
) -> None:
    """A save may have known more than it stored."""
    fill()
    redis_client.zadd("$WF:Fact:priority", {"Fact:one": 0.75, "Fact:t{&#58;}wo": 0.9})
    before = state(redis_client)
    assert problems(api(Fact.check_indexes)) == {}
    api(Fact.rebuild_indexes)
    assert state(redis_client) == before


class Choosy(WriteFilterMixin, Model):
    name = KeyField()
    weight = FloatField(default=0.9)

    def compute_filter_score(self) -> float:
        return 0.9 / self.weight


def test_a_record_whose_score_cannot_be_told_is_reported(
    redis_client: redis.Redis, api: Api
) -> None:
    Choosy.create(name="a")
    odd = Choosy.create(name="b")
    Choosy.raw_update([odd.pk], weight=0.0)
    redis_client.delete("$WF:Choosy:priority")
    found = api(Choosy.check_indexes)
    assert found["missing_entries"] == {"priority": 1}
    assert found["unreadable_records"] == 1
    rebuilt = api(Choosy.rebuild_indexes)
    assert [(each.key, "cannot be told" in each.reason) for each in rebuilt.problems] == [
        ("Choosy:b", True)
    ]
    assert state(redis_client)["$WF:Choosy:priority"] == {(b"Choosy:a", 1.0)}


def test_cleaning_takes_what_a_missing_record_left_and_nothing_else(
    redis_client: redis.Redis, api: Api
) -> None:
    facts = fill()
    before = state(redis_client)
    extra = remember("extra", agent="a", weight=1.0)
    Fact.near.link(Fact, extra.pk, facts[1].pk, 0.5)
    Fact.causes.link(Fact, extra.pk, facts[0].pk, 0.5)
    Fact.causes.link(Fact, facts[0].pk, extra.pk, 0.5)
    redis_client.delete(extra.pk)
    assert api(Fact.check_indexes)["total"] > 0
    assert api(Fact.clean_indexes) > 0
    assert problems(api(Fact.check_indexes)) == {}
    # The list of texts may name what nobody has any more.
    lists = {"$Values:Fact", "$Values:Fact:name"}
    after = state(redis_client)
    assert {key: after[key] for key in after if key not in lists} == {
        key: before[key] for key in before if key not in lists
    }


# Models that change ------------------------------------------------------------------------


def plain() -> type[Model]:
    class Note(Model):
        name = KeyField()
        weight = FloatField(default=0.9)

    return Note


def with_memory() -> type[Any]:
    class Note(AccessTrackerMixin, PredictionLedgerMixin, WriteFilterMixin, Model):
        name = KeyField()
        weight = FloatField(default=0.9)
        sure = ConfidenceField(initial_confidence=0.25)
        fresh = DecayingSortedField(base_score_field="weight")
        season = CyclicDecayField(cycles=[(DAY, 0.5)], pressure_rate=0.5)
        near = CoOccurrenceField()
        causes = CoOccurrenceField(symmetric=False)

        def compute_filter_score(self) -> float:
            return float(self.weight)

    return Note


def test_memory_that_is_added_to_a_model_is_read_as_in_the_beginning_until_it_is_rebuilt(
    redis_client: redis.Redis, api: Api
) -> None:
    before = plain()
    before.bulk_create([before(name="a"), before(name="b")])
    note: Any = with_memory()
    old = api(note.query.get, name="a")
    assert api(ConfidenceField.get_confidence, old, "sure") == 0.25
    assert api(note.near.get_linked, note, old.pk) == []
    assert api(note.get_prediction_data, old) is None
    assert problems(api(note.check_indexes)) == {
        "missing_entries": {"sure": 2, "priority": 2},
        "total": 4,
    }
    api(note.rebuild_indexes)
    assert problems(api(note.check_indexes)) == {}
    assert set(redis_client.hgetall("$ConfidencF:Note:sure:data")) == {b"Note:a", b"Note:b"}
    assert state(redis_client)["$WF:Note:priority"] == {(b"Note:a", 0.9), (b"Note:b", 0.9)}
    # A record has no moment before it is saved or touched.
    api(old.save)
    assert problems(api(note.check_indexes)) == {}
    assert redis_client.hkeys("$CyclicDecayF:Note:season:cycles") == [b"Note:a"]


def test_evidence_that_was_gathered_before_a_rebuild_stays(api: Api) -> None:
    plain().create(name="a")
    note: Any = with_memory()
    old = note.query.get(name="a")
    learned = ConfidenceField.update_confidence(old, "sure", 1.0)
    api(note.rebuild_indexes)
    assert api(ConfidenceField.get_confidence, old, "sure") == learned


def test_a_cycle_that_is_declared_later_is_missed_and_filled_in(
    redis_client: redis.Redis, api: Api
) -> None:
    class Season(Model):
        name = KeyField()
        season = CyclicDecayField()

    Season.create(name="a")

    class Later(Model):
        name = KeyField()
        season = CyclicDecayField(cycles=[(DAY, 0.5)], pressure_rate=0.5)

    for kind in (":cycles", ":pressure"):
        assert not redis_client.exists(f"$CyclicDecayF:Season:season{kind}")
    Later.__name__ = "Season"
    again: Any = type("Season", (Model,), {"name": KeyField(), "season": Later.season})
    assert problems(api(again.check_indexes)) == {
        "missing_entries": {"season:cycles": 1, "season:pressure": 1},
        "total": 2,
    }
    api(again.rebuild_indexes)
    assert problems(api(again.check_indexes)) == {}
    assert again.query.get(name="a").strengthen_cycle("season", 2.0)[0][1] == 1.0


def test_what_was_learned_by_a_field_that_is_gone_stays_as_long_as_its_record(
    redis_client: redis.Redis, api: Api
) -> None:
    note: Any = with_memory()
    for name in ("a", "b"):
        each = note.create(name=name)
        each.on_read()
        each.confirm_access()
        note.record_prediction(each, {"n": 1})
        note.resolve_prediction(each, {"n": 0})
        RecallProposal.create_batch([each], partition="x")
    note.near.link(note, "Note:a", "Note:b")
    note.causes.link(note, "Note:a", "Note:b")
    before = state(redis_client)
    forgetful: Any = plain()
    assert problems(api(forgetful.check_indexes)) == {}
    api(forgetful.rebuild_indexes)
    # What nobody asks any more goes, as far as it can be made again.
    assert before.keys() - state(redis_client).keys() == {
        *("$DecayBase:Note:fresh", "$DecayingSortF:Note:fresh", "$CyclicDecayF:Note:season"),
        "$WF:Note:priority",
    }
    api(note.rebuild_indexes)
    assert state(redis_client) == before
    assert problems(api(note.check_indexes)) == {}


def test_what_was_learned_by_a_field_that_is_gone_is_cleaned_away_with_its_record(
    redis_client: redis.Redis, api: Api
) -> None:
    note: Any = with_memory()
    each = note.create(name="a")
    each.on_read()
    each.confirm_access()
    note.record_prediction(each, {"n": 1})
    note.resolve_prediction(each, {"n": 0})
    RecallProposal.create_batch([each])
    note.near.link(note, "Note:a", "idea")
    note.causes.link(note, "Note:a", "plan")
    forgetful: Any = plain()
    api(forgetful.query.get(name="a").delete)
    found = problems(api(forgetful.check_indexes))
    assert found["abandoned_indexes"].keys() == {
        *("$ConfidencF:Note:sure", "$CyclicDecayF:Note:season", "$DecayingSortF:Note:fresh"),
        *("$DecayBase:Note:fresh", "$WF:Note:priority", "$RP:Note:pending"),
        *(
            "$PL:Note:meta",
            "$PL:Note:errors",
            "$CoOccurrencF:Note:near",
            "$CoOccurrenceIn:Note:causes",
        ),
    }
    assert found["companions"].keys() == {
        *("$AT:Note:meta:*", "$AT:Note:access_log:*"),
        *("$CoOccurrencF:Note:near:*", "$CoOccurrencF:Note:causes:*"),
    }
    api(forgetful.clean_indexes)
    assert problems(api(forgetful.check_indexes)) == {}
    assert [key for key in state(redis_client) if not key.startswith("$Values")] == []
