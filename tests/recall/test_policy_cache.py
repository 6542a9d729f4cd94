"""The policy cache: fingerprints, bounds, values that learn, entries that come of events."""

from __future__ import annotations

import asyncio
import datetime
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

import popoto
from popoto import ObservationProtocol, clock, redis_db, transaction
from popoto.exceptions import (
    ModelException,
    NotReplicatedError,
    OutcomeUnknownError,
    StoredDataError,
)
from popoto.memory.policy.formula import recurrences
from popoto.models.upkeep.registry import Registry
from popoto.recipes import policy_cache
from popoto.recipes.policy_cache import (
    PolicyEntry,
    chi_squared_uniform,
    compute_fingerprint,
    crystallization_handler,
    initialize_q_value,
    temporal_discovery_handler,
    update_q_value,
    wilson_ci_lower,
)
from popoto.testing.faults import FaultProxy
from tests.driver import Api, RoundTrips

# Formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "fingerprint"),
    [
        ({"task": "deploy", "env": "staging"}, "86e6b7501eb99c29"),
        ({"env": "staging", "task": "deploy"}, "86e6b7501eb99c29"),
        ({"task": "deploy"}, "c0ec4f6d2679a33d"),
        ({}, "44136fa355b3678a"),
        ({"n": 1}, "e5d5f7c1d225fd6b"),
        ({"n": 1.0}, "98f25079e96d7424"),
        ({"u": "é"}, "ec3d970405a5051d"),
        ({"l": [1, 2]}, "633ddfc1635c021d"),
        ({"d": {"b": 1, "a": 2}}, "e1b1ee04ba71d442"),
        ({"t": None}, "b54a9e614af2d05e"),
        ({"d": datetime.date(2024, 1, 2)}, "7a62697edb4b85ce"),
    ],
)
def test_fingerprints(features: dict[str, Any], fingerprint: str) -> None:
    assert compute_fingerprint(features) == fingerprint


def test_fingerprints_of_some_features_and_of_the_hour() -> None:
    features = {"task": "deploy", "env": "staging"}
    assert compute_fingerprint(features, include_fields=["task"]) == "c0ec4f6d2679a33d"
    with pytest.raises(KeyError):
        compute_fingerprint(features, include_fields=["nothing"])
    told = []
    for now in (7200, 10_799, 10_800):
        with clock.using(now):
            told.append(compute_fingerprint(features, include_timestamp=True))
    assert told[0] == told[1] != told[2]
    assert told[0] == compute_fingerprint({**features, "__hour_bucket__": 2})
    assert "__hour_bucket__" not in features


@pytest.mark.parametrize(
    ("successes", "total", "bound"),
    [
        *((1, 1, 0.206543), (3, 3, 0.438494), (5, 5, 0.565509), (6, 6, 0.609657)),
        *((7, 7, 0.645661), (8, 8, 0.675584), (10, 10, 0.72246), (9, 10, 0.595844)),
        *((8, 10, 0.490157), (5, 10, 0.23659), (1, 2, 0.0945287), (2, 10, 0.0566809)),
        *((16, 20, 0.583978), (17, 20, 0.639577), (18, 20, 0.698962), (95, 100, 0.888248)),
        (0, 0, 0),
    ],
)
def test_bounds(successes: int, total: int, bound: float) -> None:
    assert wilson_ci_lower(successes, total) == pytest.approx(bound, rel=1e-5)


@pytest.mark.parametrize(("z", "bound"), [(1.0, 0.649078), (1.6449, 0.540785), (2.576, 0.400796)])
def test_bounds_at_other_levels(z: float, bound: float) -> None:
    assert wilson_ci_lower(8, 10, z) == pytest.approx(bound, rel=1e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_bound_lies_between_nothing_and_the_share(one: int, other: int) -> None:
    successes, total = min(one, other), max(one, other, 1)
    assert 0 <= wilson_ci_lower(successes, total) <= successes / total


@pytest.mark.parametrize(("successes", "total"), [(11, 10), (-1, 10), (0, -1)])
def test_bounds_of_what_cannot_be(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        wilson_ci_lower(successes, total)


@pytest.mark.parametrize(
    ("observed", "expected", "statistic"),
    [
        ([10] * 7, 10, 0),
        ([70, 0, 0, 0, 0, 0, 0], 10, 420),
        ([5, 3, 8, 4, 6, 2, 7], 5, 5.6),
        ([20, 0, 0, 0, 0, 0, 0], 20 / 7, 120),
        ([1, 0], 0.5, 1),
        ([1, 2], 0, 0),
        ([1, 2], -1, 0),
        ([], 1, 0),
    ],
)
def test_uniformity(observed: list[float], expected: float, statistic: float) -> None:
    assert chi_squared_uniform(observed, expected) == pytest.approx(statistic)


def test_numbers_of_the_module() -> None:
    critical = {2: 5.991, 3: 7.815, 6: 12.592, 11: 19.675, 23: 35.172}
    assert critical == policy_cache.CHI_SQUARED_CRITICAL_VALUES
    assert (policy_cache.TD_ALPHA, policy_cache.TD_GAMMA) == (0.1, 0.95)
    assert policy_cache.MIN_EVENTS_FOR_CRYSTALLIZATION == 3
    assert policy_cache.WILSON_CI_THRESHOLD == 0.6


# Values ----------------------------------------------------------------------------------------


def entry(agent: str = "a", **values: Any) -> PolicyEntry:
    return PolicyEntry.create(
        **{"agent_id": agent, "state_fingerprint": "f", "action_type": "act", **values}
    )


def index(agent: str = "a") -> str:
    return f"$DecayingSortF:PolicyEntry:expected_value:{agent}"


def test_a_value_learns_from_rewards(redis_client: redis.Redis) -> None:
    policy = entry()
    initialize_q_value(policy)
    differences = [
        update_q_value(policy, 1),
        *(update_q_value(policy, 1, 0.5) for _ in range(1)),
        update_q_value(policy, -1),
        update_q_value(policy, 1, 2, 0.5, 0.9),
        update_q_value(policy, 0),
    ]
    assert differences == pytest.approx([1, 1.375, -1.2375, 2.68625, -1.45687], rel=1e-5)
    assert redis_client.zscore(index(), policy.pk) == pytest.approx(1.31119, rel=1e-5)
    assert policy.expected_value == pytest.approx(1.31119, rel=1e-5)


def test_without_a_value_it_is_0(redis_client: redis.Redis) -> None:
    policy = entry()
    redis_client.zrem(index(), policy.pk)
    assert update_q_value(policy, 1) == 1


def test_a_value_stays_when_the_entry_is_saved_and_indexes_are_rebuilt(
    redis_client: redis.Redis,
) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    policy.state_features = {"load": 3}
    policy.save()
    again = PolicyEntry.query.get(redis_key=policy.pk)
    again.action_spec = {"steps": [1]}
    asyncio.run(again.async_save())
    assert PolicyEntry.check_indexes()["total"] == 0
    PolicyEntry.rebuild_indexes()
    assert redis_client.zscore(index(), policy.pk) == 0.25
    again = PolicyEntry.query.get(redis_key=policy.pk)
    assert (again.state_features, again.action_spec) == ({"load": 3}, {"steps": [1]})


def saved_alone(policy: PolicyEntry) -> None:
    policy.save(update_fields=["action_spec"])


def saved_in_a_transaction(policy: PolicyEntry) -> None:
    with transaction() as changes:
        changes.save(policy)


def saved_in_a_pipeline(policy: PolicyEntry) -> None:
    waiting = redis_db.POPOTO_REDIS_DB.pipeline()
    policy.save(pipeline=waiting)
    waiting.execute()


def changed_in_bulk(policy: PolicyEntry) -> None:
    PolicyEntry.bulk_update(PolicyEntry.query.filter(agent_id="a"), action_spec={"steps": [2]})


def moved(policy: PolicyEntry) -> None:
    policy.action_type = "other"
    policy.save(migrate_key=True)


def acted(policy: PolicyEntry) -> None:
    ObservationProtocol.on_context_used([policy], {policy.pk: "acted"})


WAYS = [saved_alone, saved_in_a_transaction, saved_in_a_pipeline, changed_in_bulk, moved, acted]


@pytest.mark.parametrize("way", WAYS)
def test_no_write_takes_a_value_for_a_moment(
    redis_client: redis.Redis, way: Callable[[PolicyEntry], None]
) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    policy.action_spec = {"steps": [1]}
    way(policy)
    (stored,) = PolicyEntry.query.all()
    assert redis_client.zrange(index(), 0, -1, withscores=True) == [(stored.pk.encode(), 0.25)]
    assert stored.expected_value == 0.25


def test_a_value_cannot_be_touched(redis_client: redis.Redis) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    with pytest.raises(TypeError, match="a value that was learned"):
        policy.touch("expected_value")
    with pytest.raises(TypeError, match="a value that was learned"):
        PolicyEntry.bulk_touch([policy], "expected_value")
    assert redis_client.zscore(index(), policy.pk) == 0.25


def test_entries_are_ranked_by_their_values(api: Api) -> None:
    policies = [entry(state_fingerprint=name) for name in "abc"]
    for policy, value in zip(policies, (0.1, 0.9, -0.5), strict=True):
        initialize_q_value(policy, value)
    of_agent = PolicyEntry.query.filter(agent_id="a")
    ranked = api(of_agent.composite_score, {"expected_value": 2})
    assert [(each.state_fingerprint, each._composite_score) for each in ranked] == [
        ("b", 1.8),
        ("a", 0.2),
        ("c", -1.0),
    ]
    ranked = api(of_agent.top_by_decay, "expected_value")
    assert [each.state_fingerprint for each in ranked] == ["b", "a", "c"]


def test_a_value_that_popoto_1_6_has_learned_is_kept(redis_client: redis.Redis) -> None:
    """It stands in the index alone there, and the record has the moment of its creation."""
    policy = entry()
    redis_client.zadd(index(), {policy.pk: 0.75})
    loaded = PolicyEntry.query.get(redis_key=policy.pk)
    loaded.save()
    assert redis_client.zscore(index(), policy.pk) == 0.75
    PolicyEntry.rebuild_indexes()
    assert redis_client.zscore(index(), policy.pk) == 0.75
    assert PolicyEntry.query.get(redis_key=policy.pk).expected_value == 0.75


@pytest.mark.parametrize("number", [math.nan, math.inf, "much", None])
def test_what_is_no_finite_number_is_no_reward(redis_client: redis.Redis, number: Any) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    for refused in (
        partial(update_q_value, policy, number),
        partial(update_q_value, policy, 1, max_future_q=number),
        partial(initialize_q_value, policy, number),
    ):
        with pytest.raises((ValueError, TypeError), match=r"must be a (finite )?number, got"):
            refused()
    assert redis_client.zscore(index(), policy.pk) == 0.25


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("alpha", (-0.1, 1.1, math.nan, "much")),
        ("gamma", (-0.1, 1.1, math.inf)),
        ("reward", (math.inf, 10**400)),
        ("max_future_q", (-math.inf, [1])),
    ],
)
def test_what_is_outside_of_its_range_teaches_nothing(
    redis_client: redis.Redis, name: str, numbers: Any
) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    for number in numbers:
        with pytest.raises((ValueError, TypeError), match=f"{name} must be a .*number"):
            update_q_value(policy, **{"reward": 1.0, name: number})
    assert redis_client.zscore(index(), policy.pk) == 0.25


def test_rates_may_be_0_and_1(redis_client: redis.Redis) -> None:
    policy = entry()
    initialize_q_value(policy, 0.25)
    assert update_q_value(policy, 1.0, 5.0, alpha=0, gamma=0) == 0.75
    assert update_q_value(policy, 1.0, 5.0, alpha=1, gamma=1) == 5.75
    assert redis_client.zscore(index(), policy.pk) == 6.0


def test_a_value_that_would_be_no_finite_number_is_not_learned(
    redis_client: redis.Redis,
) -> None:
    policy = entry()
    initialize_q_value(policy, 1e308)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    with pytest.raises(redis.ResponseError, match=f"{policy.pk} would be inf.*nothing was written"):
        update_q_value(policy, 1.7e308, 1.7e308, 1.0, 1.0)
    redis_client.zadd(index(), {policy.pk: math.inf})
    with pytest.raises(redis.ResponseError, match=r"would be -?nan.*initialize_q_value"):
        update_q_value(policy, 1)
    redis_client.zadd(index(), {policy.pk: 1e308})
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


def test_features_are_dicts_or_texts(api: Api) -> None:
    made = entry(state_features='{"load": 3}', action_spec={"steps": [1]})
    again = api(PolicyEntry.query.get, redis_key=made.pk)
    assert (again.state_features, again.action_spec) == ('{"load": 3}', {"steps": [1]})
    for wrong in (3, ["load"], b"load"):
        with pytest.raises(ModelException, match="state_features"):
            entry(state_features=wrong)


def test_texts_that_popoto_1_6_has_made_of_dicts_can_be_read_and_changed(
    api: Api, redis_client: redis.Redis
) -> None:
    made = entry(state_features={"load": 3})
    redis_client.hset(
        made.pk, mapping={"state_features": b"\xab{'load': 3}", "action_spec": b"\xc0"}
    )
    PolicyEntry.rebuild_indexes()
    (again,) = api(PolicyEntry.query.filter(agent_id="a").all)
    assert (again.state_features, again.action_spec) == ("{'load': 3}", None)
    again.action_spec = {"steps": [1]}
    api(again.save)
    again = api(PolicyEntry.query.get, redis_key=made.pk)
    assert (again.state_features, again.action_spec) == ("{'load': 3}", {"steps": [1]})
    redis_client.hset(made.pk, "state_features", b"\x93\x01\x02\x03")
    planted = api(PolicyEntry.query.get, redis_key=made.pk)
    with pytest.raises(StoredDataError, match="state_features"):
        planted.state_features.keys()


def test_entries_that_are_not_stored_have_no_value(redis_client: redis.Redis) -> None:
    unsaved = PolicyEntry(agent_id="a", state_fingerprint="f", action_type="act")
    gone = entry()
    gone_too = PolicyEntry.query.get(redis_key=gone.pk)
    gone.delete()
    for policy in (unsaved, gone, gone_too):
        with pytest.raises(ValueError, match="saved"):
            update_q_value(policy, 1)
        with pytest.raises(ValueError, match="saved"):
            initialize_q_value(policy)
        with pytest.raises(ValueError, match="saved"):
            asyncio.run(policy_cache.async_update_q_value(policy, 1))
    assert redis_client.exists(index()) == 0


def test_updates_of_two_copies_both_count(
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    policy = entry()
    initialize_q_value(policy)
    copy = PolicyEntry.query.get(redis_key=policy.pk)
    asyncio.run(policy_cache.async_update_q_value(copy, 1, alpha=0.5))
    with round_trips() as seen:
        assert update_q_value(policy, 1, alpha=0.5) == 0.5
    assert seen.sends == 1
    asyncio.run(policy_cache.async_initialize_q_value(policy, 3))
    assert policy.expected_value == 3


def test_keys_and_events(redis_client: redis.Redis) -> None:
    policy = entry()
    assert policy.pk == f"PolicyEntry:act:a:{policy.entry_id}:f"
    assert redis_client.xlen("stream:policy_mutations:a") == 1
    assert PolicyEntry.bloom.might_exist(PolicyEntry, "f")


# Learning from events --------------------------------------------------------------------------


EVIDENCE = "$Policy:PolicyEntry:evidence"


def events(successes: int, failures: int = 0, **told: str) -> list[tuple[str, dict[str, str]]]:
    common = {"state_fingerprint": "f", "action_type": "act", **told}
    outcomes = ["success"] * successes + ["failure"] * failures
    return [(f"{place}-0", {**common, "outcome": each}) for place, each in enumerate(outcomes)]


def learn(*batches: list[tuple[str, dict[str, str]]]) -> list[PolicyEntry]:
    async def handled() -> None:
        for batch in batches:
            await crystallization_handler(batch)

    asyncio.run(handled())
    return PolicyEntry.query.all()


def test_what_succeeds_often_enough_becomes_an_entry(redis_client: redis.Redis) -> None:
    features = {"state_features": json.dumps({"load": 1}), "action_spec": "no JSON"}
    (made,) = learn(events(8, agent_id="ada", **features))
    assert (made.agent_id, made.state_fingerprint, made.action_type) == ("ada", "f", "act")
    assert (made.state_features, made.action_spec) == ({"load": 1}, {})
    assert redis_client.zscore(index("ada"), made.pk) == pytest.approx(0.675584, rel=1e-5)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        *(('["restart", "web"]', '["restart", "web"]'), ("5", "5"), ('"web"', '"web"')),
        *(("null", {}), ("", {}), ("[1", {})),
    ],
)
def test_what_is_no_object_is_kept_as_its_text(told: str, kept: Any) -> None:
    (made,) = learn(events(8, action_spec=told))
    assert made.action_spec == kept


def test_an_entry_is_created_with_its_value(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that ended between two steps left an entry that was worth the time of its creation.
    async def ended(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(policy_cache, "async_initialize_q_value", ended)
    (made,) = learn(events(8))
    assert redis_client.zscore(index("default"), made.pk) == pytest.approx(0.675584, rel=1e-5)


@pytest.mark.parametrize(
    ("successes", "failures", "made"),
    [
        *((0, 0, 0), (2, 0, 0), (5, 0, 0), (6, 0, 1), (2, 8, 0)),
        *((9, 1, 0), (16, 4, 0), (17, 3, 1)),
    ],
)
def test_how_often_is_enough(successes: int, failures: int, made: int) -> None:
    assert len(learn(events(successes, failures))) == made


def test_batches_add_up_and_one_entry_is_made() -> None:
    assert len(learn(events(4))) == 0
    (made,) = learn(events(4), events(8))
    assert made.agent_id == "default"


def test_consumers_that_come_as_far_at_once_make_one_entry() -> None:
    async def at_once() -> None:
        await asyncio.gather(*(crystallization_handler(events(8)) for _ in range(10)))

    asyncio.run(at_once())
    assert PolicyEntry.query.count() == 1


def test_evidence_is_counted_once_or_not_at_all(proxy: FaultProxy) -> None:
    learn(events(1))
    before = proxy.sent(b"HINCRBY")
    proxy.lose_reply(b"HINCRBY")
    with pytest.raises(OutcomeUnknownError):
        learn(events(1))
    assert proxy.sent(b"HINCRBY") == before + 1
    with popoto.wait_for_replicas(1, timeout=0.01), pytest.raises(NotReplicatedError):
        learn(events(1))


def test_upkeep_knows_evidence(redis_client: redis.Redis) -> None:
    (made,) = learn(events(8, agent_id="ada"))
    counts = redis_client.hgetall(EVIDENCE)
    registry = Registry(PolicyEntry._meta)
    texts = {key for _, _, *pair in registry.text_fields for key in pair}
    unknown = {
        key.decode()
        for key in redis_client.scan_iter()
        if not registry.is_record_key(key.decode())
        and registry.companion_of(key.decode()) is None
        and not registry.candidates(key.decode())
    }
    assert unknown - texts == {"stream:policy_mutations:ada"}
    assert PolicyEntry.check_indexes()["total"] == 0
    assert PolicyEntry.clean_indexes() == 0
    PolicyEntry.rebuild_indexes()
    # It stands beside no record, and is as long kept as there are events.
    made.delete()
    assert redis_client.hgetall(EVIDENCE) == counts
    assert 0 < redis_client.ttl(EVIDENCE) <= 90 * 86_400
    PolicyEntry.delete_all()
    assert redis_client.exists(EVIDENCE) == 0


def test_agents_and_actions_are_apart() -> None:
    assert len(learn(events(4, agent_id="a"), events(4, agent_id="b"))) == 0
    found = learn(events(4, agent_id="a"), events(8, agent_id="a", action_type="other"))
    assert {(each.agent_id, each.action_type) for each in found} == {("a", "act"), ("a", "other")}


def test_the_latest_event_tells_the_features() -> None:
    old, new = (events(4, state_features=json.dumps({"n": n})) for n in (1, 2))
    (made,) = learn(old + new)
    assert made.state_features == {"n": 2}


def test_events_that_tell_too_little_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    batch = events(8)
    for _, told in batch:
        del told["action_type"]
    assert learn(batch, events(8, state_fingerprint=""), []) == []
    assert "tells no state_fingerprint and action_type" in caplog.text


MONDAY = datetime.datetime(2025, 1, 6, 12, tzinfo=datetime.UTC)
WEEKLY, MONTHLY, YEARLY = 604_800, 2_592_000, 31_536_000


UTC = datetime.UTC
FIRSTS = [(MONTHLY, 0.5, 0.0)]
MARCHES = [(MONTHLY, 0.5, 1.5708), (YEARLY, 0.5, math.pi / 3)]


def at(*moments: datetime.datetime) -> list[tuple[str, dict[str, str]]]:
    return [("0-1", {"ts": str(moment.timestamp())}) for moment in moments]


def days(count: int, step: int = 1, first: datetime.datetime = MONDAY) -> Any:
    return at(*(first + datetime.timedelta(days=step * place) for place in range(count)))


@pytest.mark.parametrize(
    ("entries", "cycles"),
    [
        (days(20, 7), [(WEEKLY, 0.5, 0.0)]),
        (days(12, 7, MONDAY + datetime.timedelta(days=3)), [(WEEKLY, 0.5, 6 * math.pi / 7)]),
        (days(6, 7), []),
        *((days(count), []) for count in (12, 26, 31, 70, 200, 365, 366, 1000)),
        *((days(count, 3), []) for count in (20, 122, 365)),
        (days(40 * 365, first=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)), []),
        # On the first days of months; in March.
        (at(*[datetime.datetime(2025, month, 1, tzinfo=UTC) for month in range(1, 13)]), FIRSTS),
        (at(*[datetime.datetime(2020 + n, 3, 4 + n, tzinfo=UTC) for n in range(14)]), MARCHES),
        (
            at(*[MONDAY + datetime.timedelta(days=2)] * 12),
            [(WEEKLY, 0.5, 1.7952), (MONTHLY, 0.5, 1.5708), (YEARLY, 0.5, 0.0)],
        ),
        (at(*[MONDAY] * 4), [(MONTHLY, 0.5, 0.0)]),
        # A little more than chance: it would be none if a further day was looked at.
        (days(17, 15) + days(1, first=MONDAY + datetime.timedelta(days=1)), [(MONTHLY, 0.5, 0.0)]),
        (at(MONDAY, MONDAY), []),
        ([], []),
        ([("1-0", {"ts": each}) for each in ("soon", "nan", "inf", "1e300", "-1e17")], []),
        ([("1-1", {})] * 3, []),
    ],
)
def test_cycles_in_events(entries: Any, cycles: list[tuple[int, float, float]]) -> None:
    found = asyncio.run(temporal_discovery_handler(entries))
    assert [each[:2] for each in found] == [each[:2] for each in cycles]
    assert [each[2] for each in found] == pytest.approx([each[2] for each in cycles], rel=1e-4)


@given(st.dates(datetime.date(1975, 1, 1), datetime.date(2035, 1, 1)), st.integers(3, 1500))
def test_what_happens_every_day_has_no_cycle(first: datetime.date, count: int) -> None:
    start = datetime.datetime.combine(first, datetime.time(23, 59), UTC)
    assert asyncio.run(temporal_discovery_handler(days(count, first=start))) == []


def test_seven_mondays_are_weekly() -> None:
    found = asyncio.run(temporal_discovery_handler(days(7, 7)))
    assert WEEKLY in [period for period, _, _ in found]


def chance(statistic: float, degrees: int) -> float:
    """How often chance alone makes a chi-squared statistic as large."""
    half = statistic / 2
    at, tail = (0.5, math.erfc(math.sqrt(half))) if degrees % 2 else (1.0, math.exp(-half))
    while at < degrees / 2:
        tail += half**at * math.exp(-half) / math.gamma(at + 1)
        at += 1
    return tail


CALENDARS: list[tuple[int, int, Callable[[datetime.date], int]]] = [
    (WEEKLY, 7, datetime.date.weekday),
    (MONTHLY, 4, lambda date: min(date.day // 7, 3)),
    (YEARLY, 12, lambda date: date.month - 1),
]


def by_chance(dates: list[datetime.date]) -> tuple[list[tuple[int, float]], set[int]]:
    """What is more than chance, and the degrees of freedom of what is nearly that."""
    first = min(dates)
    span = [first + datetime.timedelta(day) for day in range((max(dates) - first).days + 1)]
    found: list[tuple[int, float]] = []
    near: set[int] = set()
    for period, buckets, bucket_of in CALENDARS:
        days = Counter(map(bucket_of, span)) if len(span) > 1 else Counter(range(buckets))
        means = {each: len(dates) * days[each] / days.total() for each in range(buckets)}
        counts = Counter(map(bucket_of, dates))
        excess = {
            each: (counts[each] - mean) / math.sqrt(mean)
            for each, mean in means.items()
            if mean >= 0.5
        }
        degrees = len(excess) - 1
        if len(dates) < buckets or degrees < 1:
            continue
        statistic = sum(each**2 for each in excess.values())
        if chance(statistic, degrees) < 0.05:
            found.append((period, 2 * math.pi * max(excess, key=excess.__getitem__) / buckets))
        if chance(max(statistic - 1, 0), degrees) > 0.05 > chance(statistic, degrees):
            near.add(degrees)
    return found, near


def test_a_cycle_is_what_chance_would_make_once_in_twenty_times() -> None:
    draw = random.Random(2)
    told: set[int] = set()
    for _ in range(2_000):
        days = draw.choice([0, 1, 2, 3, 4, 5, 6, 14, *(30 * months for months in range(1, 12))])
        first = datetime.date(2025, 1, 1) + datetime.timedelta(draw.randrange(365))
        dates = [
            first + datetime.timedelta(round(days * draw.random() ** draw.choice([1, 1.3])))
            for _ in range(draw.randint(3, 40))
        ]
        expected, near = by_chance(dates)
        noon = [datetime.datetime.combine(date, datetime.time(12), UTC) for date in dates]
        found = recurrences([each.timestamp() for each in noon], 0.5)
        assert [(period, phase) for period, _, phase in found] == expected, dates
        told |= near
    # Each of the critical values has decided something.
    assert told == set(range(1, 12))
