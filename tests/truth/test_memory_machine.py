"""Random work on records with every memory field leaves beside them what a plain model says.

The histories are new ones on every run; ``POPOTO_TRUTH_EXAMPLES=300`` tries more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from popoto import ConfidenceField, RecallProposal, redis_db
from popoto.exceptions import AlreadyExistsError, NotStoredError
from popoto.models.transactions import transaction
from tests.truth.remembered import Memory, Remembered, differences
from tests.truth.remembering import Fact
from tests.truth.test_state_machine import PATIENCE, try_histories

NAMES = ("one", "t:wo", "three", "None")
AGENTS = ("a", "b:c", "data")
#: The first is not worth keeping, the last has priority.
WEIGHTS = (0.05, 0.5, 0.9)
SIGNALS = (0.0, 0.3, 0.9, 1.0)

names = st.sampled_from(NAMES)
agents = st.sampled_from(AGENTS)
weights = st.sampled_from(WEIGHTS)
kept_weights = st.sampled_from(WEIGHTS[1:])
signals = st.sampled_from(SIGNALS)
confidences = st.sampled_from(("certainty", "worth"))
partitions = st.sampled_from((None, "evening", "x:y"))


def key_of(name: str) -> str:
    return Fact._meta.record_key({"name": name})


class MemoryMachine(RuleBasedStateMachine):
    """Does one thing after another, and says of each what it means for the memory."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.client = client
        self.memory = Memory()
        #: instances that were loaded a while ago, by key
        self.old: dict[str, Any] = {}
        client.flushall()

    @property
    def facts(self) -> dict[str, Remembered]:
        return self.memory.facts

    def loaded(self, name: str, *, stale: bool = False) -> Any:
        """The stored record, or an instance that was loaded earlier; None where there is none."""
        key = key_of(name)
        if key not in self.facts:
            self.old.pop(key, None)
            assert Fact.query.get(name=name) is None
            return None
        if stale and key in self.old:
            return self.old[key]
        self.old[key] = Fact.query.get(name=name)
        return self.old[key]

    def change(self, name: str, how: Callable[[Remembered], Remembered]) -> None:
        self.facts[key_of(name)] = how(self.facts[key_of(name)])

    # Saving -----------------------------------------------------------------------------

    @rule(name=names, agent=agents, weight=weights)
    def create(self, name: str, agent: str, weight: float) -> None:
        is_new = key_of(name) not in self.facts
        try:
            Fact.create(name=name, agent=agent, weight=weight)
        except AlreadyExistsError:
            assert not is_new
            return
        assert is_new or weight < 0.1
        if weight >= 0.1:
            self.facts[key_of(name)] = Remembered(agent, weight)

    @rule(rows=st.lists(st.tuples(names, agents, kept_weights), unique_by=lambda row: row[0]))
    def bulk_create(self, rows: list[tuple[str, str, float]]) -> None:
        """Takes the place of the values of records that are there, and of nothing beside them."""
        Fact.bulk_create(
            [Fact(name=name, agent=agent, weight=weight) for name, agent, weight in rows]
        )
        for name, agent, weight in rows:
            before = self.facts.get(key_of(name))
            now = Remembered(agent, weight)
            if before is not None:
                now = before.but(agent=agent, weight=weight, shown=0.4)
            self.facts[key_of(name)] = now

    @rule(name=names, agent=agents, weight=weights, partly=st.booleans())
    def save(self, name: str, agent: str, weight: float, partly: bool) -> None:
        fact = self.loaded(name)
        if fact is None:
            return
        fact.agent, fact.weight = agent, weight
        saved = fact.save(update_fields=["agent", "weight"] if partly else None)
        assert saved is not False or weight < 0.1
        if weight >= 0.1:
            self.change(name, lambda each: each.but(agent=agent, weight=weight))
        self.old.pop(key_of(name))

    @rule(agent=agents, among=st.lists(names, unique=True))
    def bulk_update(self, agent: str, among: list[str]) -> None:
        facts = [each for each in map(self.loaded, among) if each is not None]
        Fact.bulk_update(facts, agent=agent)
        for fact in facts:
            self.change(fact.name, lambda each: each.but(agent=agent))

    @rule(name=names, to=names, agent=agents)
    def migrate(self, name: str, to: str, agent: str) -> None:
        fact = self.loaded(name)
        if fact is None:
            return
        self.old.pop(key_of(name))
        fact.name, fact.agent = to, agent
        try:
            fact.save(migrate_key=True)
        except AlreadyExistsError:
            assert key_of(to) in self.facts
            return
        self.memory.move(key_of(name), key_of(to))
        self.change(to, lambda each: each.but(agent=agent))

    # Going --------------------------------------------------------------------------------

    @rule(among=st.lists(names, min_size=1, unique=True))
    def delete(self, among: list[str]) -> None:
        facts = [each for each in map(self.loaded, among) if each is not None]
        if len(facts) == 1:
            assert facts[0].delete()
        else:
            Fact.bulk_delete(facts)
        for fact in facts:
            self.memory.forget(key_of(fact.name))
            self.old.pop(key_of(fact.name))

    def expire(self, name: str) -> None:
        """Let a record's time be over now, as the server does: keys go, entries stay."""
        fact = self.loaded(name)
        fact._ttl = 1000
        fact.save()
        for key in (fact.pk, *Fact._meta.companion_keys(fact.pk)):
            self.client.pexpireat(key, 1)
        self.client.zadd("$Expiry:Fact", {fact.pk: 1})
        self.memory.forget(fact.pk)
        self.old.pop(fact.pk)

    @rule(name=names, healed_by=st.sampled_from(("query", "clean", "rebuild", "create", "move")))
    def expired(self, name: str, healed_by: str) -> None:
        if key_of(name) not in self.facts:
            return
        self.expire(name)
        self.heal(name, healed_by)

    def heal(self, name: str, healed_by: str) -> None:
        others = [each for each in NAMES if key_of(each) in self.facts]
        if healed_by == "query":
            assert name not in {fact.name for fact in Fact.query.filter(agent__in=AGENTS)}
        elif healed_by == "clean":
            Fact.clean_indexes()
        elif healed_by == "rebuild":
            Fact.rebuild_indexes()
        elif healed_by == "move" and others:
            self.migrate(others[0], name, "a")
        else:
            self.create(name, "b:c", 0.9)

    @rule(name=names, healed_by=st.sampled_from(("clean", "rebuild", "create", "move")))
    def deleted_by_hand(self, name: str, healed_by: str) -> None:
        if key_of(name) not in self.facts:
            return
        self.client.delete(key_of(name))
        self.memory.forget(key_of(name))
        self.old.pop(key_of(name), None)
        self.heal(name, healed_by)

    # What stands beside records ---------------------------------------------------------------

    @rule(name=names, stale=st.booleans(), which=st.sampled_from(("relevance", "season")))
    def touch(self, name: str, stale: bool, which: str) -> None:
        fact = self.loaded(name, stale=stale)
        if fact is not None:
            fact.touch(which)

    @rule(name=names, stale=st.booleans(), which=confidences, signal=signals)
    def learn(self, name: str, stale: bool, which: str, signal: float) -> None:
        fact = self.loaded(name, stale=stale)
        if fact is not None:
            ConfidenceField.update_confidence(fact, which, signal)
            self.change(name, lambda each: each.learned(which, signal))

    @rule(among=st.lists(names), which=confidences, signal=signals)
    def learn_in_bulk(self, among: list[str], which: str, signal: float) -> None:
        """A record may be named more than once."""
        facts = [each for each in map(self.loaded, among) if each is not None]
        ConfidenceField.bulk_update_confidence([(fact, signal) for fact in facts], which)
        for fact in facts:
            self.change(fact.name, lambda each: each.learned(which, signal))

    @rule(name=names, stale=st.booleans(), factor=st.sampled_from((0.01, 0.8, 1.2, 500.0)))
    def amplify(self, name: str, stale: bool, factor: float) -> None:
        fact = self.loaded(name, stale=stale)
        if fact is not None:
            fact.strengthen_cycle("season", factor)
            fact.resolve_pressure("season")
            self.change(name, lambda each: each.amplified(factor))

    @rule(name=names, reads=st.integers(0, 3), end=st.sampled_from(("confirm", "discard", "wait")))
    def read(self, name: str, reads: int, end: str) -> None:
        fact = self.loaded(name)
        if fact is None:
            return
        for _ in range(reads):
            fact.on_read()
        staged = self.facts[key_of(name)].staged + reads
        if end == "confirm":
            assert fact.confirm_access() == staged
            self.change(name, lambda each: each.but(staged=0, confirmed=each.confirmed + staged))
        elif end == "discard":
            fact.discard_staged_access()
            self.change(name, lambda each: each.but(staged=0))
        else:
            self.change(name, lambda each: each.but(staged=staged))

    @rule(name=names, stale=st.booleans())
    def predict(self, name: str, stale: bool) -> None:
        fact = self.loaded(name, stale=stale)
        if fact is not None:
            Fact.record_prediction(fact, {"n": 1.0})
            self.change(name, lambda each: each.but(prediction="open"))

    @rule(name=names, actual=st.sampled_from((1.0, 0.75, 0.0)))
    def resolve(self, name: str, actual: float) -> None:
        fact = self.loaded(name)
        if fact is None:
            return
        error = Fact.resolve_prediction(fact, {"n": actual})
        if self.facts[key_of(name)].prediction != "open":
            assert error is None
            return
        assert error == 1.0 - actual
        self.change(name, lambda each: each.but(prediction=error, error=error))
        if error > 0.7:
            for which in ("certainty", "worth"):
                before = self.facts[key_of(name)]
                now = before.learned(which, 0.2)
                if getattr(now, which).confidence < getattr(before, which).confidence:
                    self.facts[key_of(name)] = now

    @rule(one=names, other=names, weight=st.sampled_from((0.25, 0.5)), ends=st.booleans())
    def link(self, one: str, other: str, weight: float, ends: bool) -> None:
        source, target = key_of(one), key_of(other)
        if one == other or source not in self.facts or target not in self.facts:
            return
        pair, way = frozenset((source, target)), (source, target)
        if ends:
            Fact.near.unlink(Fact, source, target)
            Fact.causes.unlink(Fact, source, target)
            self.memory.near.pop(pair, None)
            self.memory.causes.pop(way, None)
        else:
            Fact.near.link(Fact, source, target, weight)
            self.memory.near.setdefault(pair, weight)
            Fact.causes.strengthen(Fact, source, target, weight)
            self.memory.causes[way] = self.memory.causes.get(way, 0.0) + weight

    @rule(among=st.lists(names, unique=True), partition=partitions, ends=st.booleans())
    def propose(self, among: list[str], partition: str | None, ends: bool) -> None:
        facts = [each for each in map(self.loaded, among) if each is not None]
        place = frozenset({partition or "default"})
        if not ends:
            RecallProposal.create_batch(facts, partition=partition)
        for fact in facts:
            if ends:
                RecallProposal.resolve(fact, "used", partition)
                self.change(fact.name, lambda each: each.but(pending=each.pending - place))
            else:
                self.change(fact.name, lambda each: each.but(pending=each.pending | place))

    # Several at once -----------------------------------------------------------------------

    @rule(one=names, other=names, agent=agents, signal=signals)
    def together(self, one: str, other: str, agent: str, signal: float) -> None:
        """In a transaction one record moves to another partition, and another one goes."""
        first, second = self.loaded(one), self.loaded(other)
        if one == other or first is None or second is None:
            return
        with transaction() as joined:
            first.agent = agent
            joined.save(first)
            ConfidenceField.update_confidence(first, "worth", signal, pipeline=joined)
            joined.delete(second)
        self.change(one, lambda each: each.but(agent=agent).learned("worth", signal))
        self.memory.forget(key_of(other))
        self.old.clear()

    @rule(one=names, other=names, agent=agents, signal=signals, is_dropped=st.booleans())
    def queued(self, one: str, other: str, agent: str, signal: float, is_dropped: bool) -> None:
        first, second = self.loaded(one), self.loaded(other)
        if one == other or first is None or second is None:
            return
        pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
        first.agent = agent
        first.save(pipeline=pipeline)
        ConfidenceField.update_confidence(first, "certainty", signal, pipeline=pipeline)
        first.strengthen_cycle("season", 0.5, pipeline=pipeline)
        Fact.near.link(Fact, first.pk, second.pk, 0.5, pipeline=pipeline)
        second.delete(pipeline=pipeline)
        self.old.clear()
        if is_dropped:
            pipeline.reset()
            return
        pipeline.execute()
        self.change(one, lambda each: each.learned("certainty", signal).amplified(0.5))
        self.change(one, lambda each: each.but(agent=agent))
        self.memory.forget(key_of(other))

    @rule(name=names)
    def write_to_what_is_gone(self, name: str) -> None:
        """An instance whose record was deleted by others changes nothing beside it."""
        fact = self.loaded(name)
        if fact is None:
            return
        Fact.query.get(name=name).delete()
        self.memory.forget(key_of(name))
        for write in (
            lambda: fact.touch("relevance"),
            lambda: ConfidenceField.update_confidence(fact, "worth", 0.9),
            lambda: fact.strengthen_cycle("season"),
            fact.confirm_access,
            fact.on_read,
            lambda: Fact.record_prediction(fact, {"n": 1}),
            lambda: RecallProposal.create_batch([fact]),
        ):
            try:
                write()
            except (NotStoredError, TypeError):
                continue
        self.old.pop(key_of(name))

    @precondition(lambda self: self.facts)
    @rule(how=st.sampled_from(("clean", "rebuild")))
    def look_after(self, how: str) -> None:
        assert how == "rebuild" or Fact.clean_indexes() == 0
        assert how == "clean" or Fact.rebuild_indexes() == len(self.facts)

    # What holds after every step -----------------------------------------------------------

    @invariant()
    def everything_beside_records_is_as_it_should_be(self) -> None:
        assert differences(self.client, self.memory) == {}

    @invariant()
    def a_check_finds_nothing(self) -> None:
        found = Fact.check_indexes()
        assert found["total"] == found["unreadable_records"] == 0, found

    def teardown(self) -> None:
        for fact in Fact.query.all():
            fact.delete()
        left = [key for key in self.client.keys("*") if key != b"$RP:Fact:partitions"]
        assert left == []


@pytest.mark.traced(0)
@pytest.mark.slow(40)
@pytest.mark.timeout(PATIENCE)
def test_what_stands_beside_records_is_what_was_done_with_them(redis_client: redis.Redis) -> None:
    try_histories(lambda: MemoryMachine(redis_client))
