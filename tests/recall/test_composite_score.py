"""`composite_score`: the numbers, what may be among the results, what is refused."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    IntField,
    KeyField,
    Model,
    Q,
    QueryException,
    SortedField,
    StringField,
    WriteFilterMixin,
    clock,
)
from popoto.memory.decay.formula import decay_score
from tests.driver import Api, RoundTrips

NOW = 1_700_000_000.0
DAY = 86_400


class M(WriteFilterMixin, AccessTrackerMixin, Model):
    agent = KeyField()
    name = KeyField()
    imp = FloatField(default=0.5)
    topic = StringField(default="t")
    rank = SortedField(type=float)
    rel = DecayingSortedField(decay_rate=0.5, base_score_field="imp", partition_by="agent")
    conf = ConfidenceField(0.5)

    def compute_filter_score(self) -> float:
        return self.imp


class Bare(Model):
    name = KeyField()
    priority = IntField(default=0)
    rank = SortedField(type=float, default=0.0)
    rel = DecayingSortedField()


class Told(Model):
    """A field bears the name of what a mixin keeps elsewhere."""

    name = KeyField()
    priority = SortedField(type=int, default=0)


def keep(model: type[Any], days: float = 0, **values: Any) -> Any:
    with clock.using(NOW - days * DAY):
        return model.create(**values)


@pytest.fixture
def abc() -> None:
    keep(M, 4, agent="x", name="a", imp=0.9, rank=10.0)
    keep(M, 1, agent="x", name="b", imp=0.5, rank=20.0)
    keep(M, 1, agent="y", name="c", imp=0.8, rank=30.0)


def totals(found: list[Any]) -> list[tuple[str, float]]:
    return [(each.name, round(each._composite_score, 6)) for each in found]


def scored(api: Api, query: Any, *arguments: Any, **options: Any) -> list[tuple[str, float]]:
    with clock.using(NOW):
        return totals(api(query.composite_score, *arguments, **options))


# The numbers -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("abc")
def test_the_worked_numbers(api: Api) -> None:
    everything, of_x = M.query, M.query.filter(agent="x")
    assert scored(api, everything, {"rank": 1}) == [("c", 30), ("b", 20), ("a", 10)]
    assert scored(api, everything, {"rank": -1}) == [("a", -10), ("b", -20), ("c", -30)]
    assert scored(api, of_x, {"rel": 1}) == [("b", 0.5), ("a", 0.45)]
    both = {"rel": 0.4, "conf": 0.3}
    assert scored(api, of_x, both) == [("b", 0.35), ("a", 0.33)]
    a = M.query.get(agent="x", name="a")
    ConfidenceField.update_confidence(a, "conf", 0.9)
    assert scored(api, of_x, both) == [("a", 0.45), ("b", 0.35)]
    assert scored(api, of_x, both, aggregate="MIN") == [("a", 0.18), ("b", 0.15)]
    assert scored(api, of_x, both, aggregate="max") == [("a", 0.27), ("b", 0.2)]
    assert scored(api, everything, {"priority": 1}) == [("a", 0.9), ("c", 0.8)]


@pytest.mark.usefixtures("abc")
def test_indexes_of_different_scales_count_from_0_to_1(api: Api, redis_client: redis.Redis) -> None:
    everything, of_x = M.query, M.query.filter(agent="x")
    assert scored(api, everything, {"rank": 1}, normalize=True) == [("c", 1), ("b", 0.5), ("a", 0)]
    assert scored(api, everything, {"rank": -2}, normalize=True) == [("a", 0), ("b", -1), ("c", -2)]
    # Among the records of the query: none of y says what is much.
    assert scored(api, of_x, {"rank": 1}, normalize=True) == [("b", 1), ("a", 0)]
    # All have the same confidence; nobody was read.
    both = {"rank": 1, "conf": 0.5, "access_count": 7}
    assert scored(api, of_x, both, normalize=True) == [("b", 1.5), ("a", 0.5)]
    assert scored(api, of_x, both, normalize=True, min_score=0.6, temperature=2) == [("b", 0.75)]
    # Further numbers stay as they are.
    boost = {"M:x:a": 3}
    found = scored(api, of_x, {"rank": 1}, normalize=True, co_occurrence_boost=boost)
    assert found == [("a", 3), ("b", 1)]
    assert scored(api, of_x, {"rel": 1, "rank": 1}, normalize=True) == [("b", 2), ("a", 0)]
    # What is gone says nothing, nor do infinities.
    redis_client.delete("M:y:c")
    assert scored(api, everything, {"rank": 1}, normalize=True) == [("b", 1), ("a", 0)]
    for name, rank in (("d", float("inf")), ("e", -1.0e308), ("f", 1.0e308)):
        redis_client.zadd("$SortF:M:rank", {keep(M, agent="x", name=name, rank=0.0).pk: rank})
    found = scored(api, everything, {"rank": 1}, normalize=True)
    assert sorted(found[:2]) == [("d", 1), ("f", 1)]
    assert found[2:] == [("b", 0.5), ("a", 0.5), ("e", 0)]


def test_of_many_records_the_spans_are_right(api: Api) -> None:
    made = [M(agent="x", name=f"{number:04}", rank=float(number)) for number in range(1500)]
    api(M.bulk_create, made)
    best = scored(api, M.query, {"rank": 1, "conf": 1}, normalize=True, limit=2)
    assert best == [("1499", 2.0), ("1498", round(1 + 1498 / 1499, 6))]
    among = M.query.filter(rank__lt=100)
    assert scored(api, among, {"rank": 1}, normalize=True, limit=1) == [("0099", 1)]


def test_the_spans_are_those_of_all_parts_in_which_many_are_ranked(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popoto.models.reading.ranking.composite._MOST_CANDIDATES", 3)
    for number in range(8):
        Told.create(name=str(number), priority=number)
    # Which of them match, only Python can tell.
    several = Told.query.filter(priority__lt=2**53 + 1)
    assert "in Python" in str(several.explain())
    for among in (Told.query, several):
        found = api(among.composite_score, {"priority": 7}, normalize=True, limit=4)
        assert [each._composite_score for each in found] == [7, 6, 5, 4]


@pytest.mark.usefixtures("abc")
def test_boosts_are_further_signals(api: Api) -> None:
    for name in ("co_occurrence_boost", "similarity_boost"):
        boost = {"M:x:a": 100, "M:zz:ghost": 1000}
        found = scored(api, M.query, {"rank": 1}, **{name: boost})
        assert found == [("a", 110), ("c", 30), ("b", 20)]
        assert scored(api, M.query, {"priority": 1}, **{name: {b"M:x:b": 5}}) == [
            *(("b", 5), ("a", 0.9), ("c", 0.8))
        ]
        assert scored(api, M.query, {"rank": 1}, **{name: {}}) == [("c", 30), ("b", 20), ("a", 10)]


@pytest.mark.usefixtures("abc")
def test_a_boost_brings_in_no_other_models_record_and_no_other_partitions(api: Api) -> None:
    other = keep(Bare, name="other")
    boost = {other.pk: 1000.0, "M:y:c": 50.0}
    assert scored(api, M.query, {"rank": 1}, co_occurrence_boost=boost)[0] == ("c", 80)
    found = scored(api, M.query.filter(agent="x"), {"rank": 1}, co_occurrence_boost=boost)
    assert found == [("b", 20), ("a", 10)]


@pytest.mark.usefixtures("abc")
def test_the_least_score_is_that_before_the_temperature(api: Api) -> None:
    found = scored(api, M.query, {"rank": 1}, min_score=20, temperature=0.5)
    assert found == [("c", 60), ("b", 40)]
    assert scored(api, M.query, {"rank": 1}, min_score=math.inf) == []
    assert len(scored(api, M.query, {"rank": 1}, min_score=-math.inf)) == 3


@pytest.mark.usefixtures("abc")
def test_what_a_filter_function_rejects_is_replaced_by_the_next(api: Api) -> None:
    seen: list[tuple[str, float]] = []

    def accepts(key: str, score: float) -> bool:
        seen.append((key, score))
        return key != "M:y:c"

    assert scored(api, M.query, {"rank": 2}, limit=1, post_filter=accepts) == [("b", 40)]
    assert seen[:2] == [("M:y:c", 60.0), ("M:x:b", 40.0)]
    assert scored(api, M.query, {"rank": 1}, post_filter=lambda *_: False) == []
    with pytest.raises(QueryException, match=r"^M: post_filter must be a function .*'x'"):
        api(M.query.composite_score, {"rank": 1}, post_filter="x")


@pytest.mark.parametrize(
    ("days", "base", "score"),
    [(0, 1, 1.58489), (1, 1, 1), (10, 1, 0.794328), (100, 0.5, 0.315479), (-5, 1, 1.58489)],
)
def test_decay_by_default(days: float, base: float, score: float) -> None:
    class Faded(Model):
        name = KeyField()
        base = FloatField()
        rel = DecayingSortedField(base_score_field="base")

    keep(Faded, days, name="a", base=base)
    with clock.using(NOW):
        (found,) = Faded.query.composite_score({"rel": 1})
    assert found._composite_score == pytest.approx(score, rel=1e-5)


def test_cycles_and_pressure_count() -> None:
    class Urgent(Model):
        name = KeyField()
        urg = CyclicDecayField(decay_rate=0.5, cycles=[(DAY, 0.25)], pressure_rate=0.1)

    keep(Urgent, 4, name="a")
    with clock.using(NOW):
        (ours,) = Urgent.query.composite_score({"urg": 2})
        phase = math.cos(2 * math.pi * NOW / DAY)
    assert ours._composite_score == pytest.approx(2 * (0.5 + 0.25 * phase + 0.1 * 4))


@pytest.mark.usefixtures("abc")
def test_confirmed_reads_count_under_both_names(api: Api) -> None:
    a, b = M.query.no_track().filter(agent="x").order_by("name").all()
    for record, reads in ((a, 2), (b, 1)):
        for _ in range(reads):
            record.on_read()
        record.confirm_access()
    query = M.query.no_track()
    assert scored(api, query, {"access_count": 1}) == [("a", 2), ("b", 1)]
    assert scored(api, query, {"access_score": 0.5}) == [("a", 1), ("b", 0.5)]
    assert scored(api, query, {"access_count": 1, "access_score": 2}) == [("a", 6), ("b", 3)]
    assert scored(api, query.filter(agent="x"), {"access_count": 1}) == [("a", 2), ("b", 1)]


@pytest.mark.usefixtures("abc")
def test_of_equal_scores_the_greatest_key_comes_first(api: Api) -> None:
    names = [name for name, _ in scored(api, M.query, {"conf": 1})]
    assert names == ["c", "b", "a"]


def test_confidence_that_cannot_be_read_is_the_initial_one(redis_client: redis.Redis) -> None:
    keep(M, agent="x", name="a", rank=1.0)
    for bytes_ in (b"\xc1", b"", b"\x84\xaaconfidence\xcb\x7f\xf8\0\0\0\0\0\0", b"\xa1x"):
        redis_client.hset("$ConfidencF:M:conf:data", "M:x:a", bytes_)
        assert [each._composite_score for each in M.query.composite_score({"conf": 2})] == [1.0]
    redis_client.hset("$ConfidencF:M:conf:data", "M:x:a", b"\x91\xcb\x3f\xe8\0\0\0\0\0\0")
    assert [each._composite_score for each in M.query.composite_score({"conf": 2})] == [1.5]


# What may be among the results -----------------------------------------------------------------


@pytest.mark.usefixtures("abc")
def test_every_result_meets_every_condition(api: Api) -> None:
    keep(M, 2, agent="x", name="d", rank=40.0, topic="other")
    for query in (
        M.query.filter(agent="x", topic="t"),
        M.query.filter(Q(topic="t") | Q(topic="u"), agent="x"),
        M.query.filter(agent="x").exclude(topic="other"),
        M.query.filter(agent="x").filter(name__in=["a", "b", "b"]),
        M.query.filter(agent="x", rank__lt=35),
    ):
        assert scored(api, query, {"rank": 1, "conf": 0}) == [("b", 20), ("a", 10)]
    assert scored(api, M.query.filter(agent="none"), {"rank": 1}) == []


@pytest.mark.usefixtures("abc")
def test_limit_offset_and_values_of_the_query_hold(api: Api) -> None:
    assert scored(api, M.query.limit(2), {"rank": 1}) == [("c", 30), ("b", 20)]
    assert scored(api, M.query.limit(5), {"rank": 1}, limit=1) == [("c", 30)]
    assert scored(api, M.query.filter().offset(1).limit(1), {"rank": 1}) == [("b", 20)]
    assert scored(api, M.query.filter().offset(9), {"rank": 1}, limit=3) == []
    assert scored(api, M.query.limit(0), {"rank": 1}) == []
    rows = api(M.query.values("name").composite_score, {"rank": 1}, limit=2)
    assert rows == [{"name": "c"}, {"name": "b"}]
    pairs = api(M.query.filter().values_list("name", "rank").composite_score, {"rank": -1}, limit=1)
    assert pairs == [("a", 10.0)]


@pytest.mark.usefixtures("abc")
def test_records_that_are_gone_take_no_place(api: Api, redis_client: redis.Redis) -> None:
    redis_client.delete("M:y:c")
    assert scored(api, M.query, {"rank": 1}, limit=2) == [("b", 20), ("a", 10)]
    assert redis_client.zscore("$SortF:M:rank", "M:y:c") is None


@pytest.mark.usefixtures("abc")
def test_records_that_expired_are_gone(api: Api, redis_client: redis.Redis) -> None:
    redis_client.pexpireat("M:y:c", 1)
    boost = {"M:y:c": 100.0}
    found = scored(api, M.query, {"rank": 1, "conf": 1}, co_occurrence_boost=boost)
    assert found == [("b", 20.5), ("a", 10.5)]


def test_a_model_without_records(api: Api) -> None:
    indexes = {"rank": 1, "conf": 1, "priority": 1, "access_count": 1}
    assert scored(api, M.query, indexes) == []
    assert scored(api, M.query.filter(agent="x"), indexes | {"rel": 1}) == []


def test_each_result_is_staged_once(redis_client: redis.Redis) -> None:
    for name in "abc":
        keep(M, agent="x", name=name, rank=1.0)
    M.query.composite_score({"rank": 1}, limit=2)
    assert [redis_client.llen(f"$AT:M:staged:M:x:{name}") for name in "abc"] == [0, 1, 1]
    M.query.no_track().composite_score({"rank": 1})
    assert redis_client.llen("$AT:M:staged:M:x:c") == 1


@pytest.mark.usefixtures("abc")
def test_it_is_one_round_trip_that_leaves_nothing(
    redis_client: redis.Redis, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    query = M.query.filter(agent="x").no_track()
    indexes = {"rel": 1, "conf": 1, "access_count": 1}
    query.composite_score(indexes)
    before = sorted(redis_client.keys())
    with round_trips() as seen:
        query.composite_score(
            {"rel": 1, "conf": 1, "access_count": 1}, co_occurrence_boost={"M:x:a": 1}
        )
    assert seen.sends == 1
    assert sorted(redis_client.keys()) == before


@pytest.mark.usefixtures("abc")
@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, Decimal, Fraction])
def test_numbers_are_of_any_kind(api: Api, number: Any) -> None:
    found = scored(
        api,
        M.query,
        {"rank": number(2)},
        limit=np.int64(2),
        min_score=number(1),
        similarity_boost={"M:x:a": number(100)},
        temperature=number(2),
    )
    assert found == [("a", 60), ("c", 30)]


@pytest.mark.usefixtures("abc")
def test_a_least_score_below_all_numbers_keeps_everything(api: Api) -> None:
    assert len(api(M.query.composite_score, {"rank": 1}, min_score=-(10**400))) == 3


# What is refused -------------------------------------------------------------------------------


@pytest.mark.traced(200)
@pytest.mark.parametrize(
    ("query", "arguments", "message"),
    [
        (M.query, {"indexes": {}}, "non-empty indexes"),
        (M.query, {"indexes": None, "limit": 0}, "non-empty indexes"),
        (M.query, {"indexes": {"rank": 1}, "aggregate": "AVG"}, "aggregate must be"),
        (M.query, {"indexes": {"rank": 1}, "aggregate": None}, "aggregate must be"),
        (M.query, {"indexes": {"rank": 1}, "temperature": 0}, "temperature must be > 0"),
        (M.query, {"indexes": {"rank": 1}, "temperature": -1}, "temperature must be > 0"),
        (M.query, {"indexes": {"rank": 1}, "temperature": math.nan}, "temperature must be"),
        (M.query, {"indexes": {"rank": math.nan}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": math.inf}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": "1"}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": True}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": 10**400}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": 1}, "min_score": math.nan}, "min_score"),
        (M.query, {"indexes": {"rank": 1}, "min_score": "1"}, "min_score"),
        (M.query, {"indexes": {"rank": 1}, "limit": None}, "limit must be an int"),
        (M.query, {"indexes": ["rank"]}, "indexes must be a dict"),
        (M.query, {"indexes": {"rank": 1}, "similarity_boost": [("a", 1)]}, "must be a dict"),
        (M.query, {"indexes": {"rank": Decimal("sNaN")}}, "weight of 'rank'"),
        (M.query, {"indexes": {"rank": 1}, "limit": 2.5}, "limit must be an int"),
        (M.query, {"indexes": {"rank": 1}, "co_occurrence_boost": {"a": math.nan}}, "'a'"),
        (M.query, {"indexes": {"rank": 1}, "similarity_boost": {"a": None}}, "'a'"),
        (M.query, {"indexes": {"rnak": 1}}, "has no field 'rnak'; fields are agent, name"),
        (M.query, {"indexes": {"topic": 1}}, "does not have a sorted set"),
        (M.query, {"indexes": {"rel": 1}}, "partition filter"),
        (M.query.filter(agent__in=["x"]), {"indexes": {"rel": 1}}, "partition filter"),
        (M.query.filter(Q(agent="x")), {"indexes": {"rel": 1}}, "partition filter"),
        (M.query.order_by("rank"), {"indexes": {"rank": 1}}, "an order of its own"),
        (Bare.query, {"indexes": {"priority": 1}}, "WriteFilterMixin"),
        (Bare.query, {"indexes": {"priority": 1}}, "does not have a sorted set"),
        (Bare.query, {"indexes": {"access_count": 1}}, "AccessTrackerMixin"),
        (Bare.query, {"indexes": {"access_score": 1}}, "AccessTrackerMixin"),
    ],
)
def test_what_is_refused(api: Api, query: Any, arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(QueryException, match=message):
        api(query.composite_score, **arguments)


def test_without_a_limit_above_0_nothing_is_looked_at() -> None:
    for limit in (0, -1):
        assert M.query.composite_score({"nonsense": 1}, limit=limit, aggregate="AVG") == []


def test_a_field_may_bear_the_name_of_what_a_mixin_keeps(api: Api) -> None:
    keep(Told, name="a", priority=7)
    assert scored(api, Told.query, {"priority": 1}) == [("a", 7)]


class Tide(AccessTrackerMixin, Model):
    name = KeyField()
    imp = FloatField(default=0.5)
    rank = SortedField(type=float, default=0.0)
    rel = DecayingSortedField(base_score_field="imp")
    urg = CyclicDecayField(cycles=[(DAY, 1.0)], pressure_rate=0.1)
    conf = ConfidenceField(0.5)


@pytest.mark.parametrize(
    "key",
    [
        *("$SortF:Tide:rank", "$ConfidencF:Tide:conf:data"),
        *("$DecayingSortF:Tide:rel", "$DecayBase:Tide:rel"),
        *(
            "$CyclicDecayF:Tide:urg",
            "$CyclicDecayF:Tide:urg:cycles",
            "$CyclicDecayF:Tide:urg:pressure",
        ),
        "$Values:Tide:$keys",
    ],
)
def test_a_key_of_another_program_alone_is_named(key: str, redis_client: redis.Redis) -> None:
    record = keep(Tide, name="a", rank=1.0)
    record.on_read()
    record.confirm_access()
    ConfidenceField.update_confidence(record, "conf", 0.9)
    redis_client.delete(key)
    redis_client.set(key, "theirs")
    with pytest.raises(QueryException) as caught:
        Tide.query.composite_score({"rank": 1, "rel": 1, "urg": 1, "conf": 1, "access_count": 1})
    assert str(caught.value).count(" instead of ") == 1
    assert f"{key!r} is a string instead of a" in str(caught.value)


# Against the formula ---------------------------------------------------------------------------


class Large(AccessTrackerMixin, Model):
    name = KeyField()
    base = FloatField(default=1.0)
    group = KeyField()
    value = SortedField(type=float)
    rel = DecayingSortedField(decay_rate=0.5, base_score_field="base")
    plain = DecayingSortedField(decay_rate=0.3)
    conf = ConfidenceField(0.5)


def fill(client: redis.Redis, count: int, chance: random.Random) -> dict[str, dict[str, float]]:
    """Records with scores of every kind; returns the plain numbers by name."""
    coarse = chance.random() < 0.5
    made: list[Large] = []
    numbers: dict[str, dict[str, float]] = {}
    for index in range(count):
        value = chance.choice([chance.uniform(-1, 1), float(chance.randrange(3))])
        base = chance.choice([1.0, 0.0, -0.5, chance.random()])
        made.append(Large(name=f"n{index}", group=f"g{index % 2}", value=value, base=base))
        numbers[f"n{index}"] = {"base": base, "value": value}
    Large.bulk_create(made)
    with client.pipeline(transaction=False) as pipeline:
        for each, known in zip(made, numbers.values(), strict=True):
            key = each.pk
            if chance.random() < 0.1:
                pipeline.zrem("$SortF:Large:value", key)
                del known["value"]
            moment = NOW - DAY * (chance.randrange(3) if coarse else chance.expovariate(0.01))
            known["rel"] = decay_score(moment, NOW, 0.5, known.pop("base"))
            known["plain"] = decay_score(moment, NOW, 0.3)
            pipeline.zadd("$DecayingSortF:Large:rel", {key: moment})
            pipeline.zadd("$DecayingSortF:Large:plain", {key: moment})
            known["conf"] = 0.5
            if chance.random() < 0.3:
                count_ = chance.randrange(1, 5)
                pipeline.hset(f"$AT:Large:meta:{key}", "access_count", count_)
                known["access_count"] = count_
        pipeline.execute()
    for each in made[:: max(1, count // 50)]:
        signal = chance.random()
        known = numbers[each.name]
        known["conf"] = ConfidenceField.update_confidence(each, "conf", signal)
    return numbers


RULES: dict[str, Callable[[list[float]], float]] = {"SUM": sum, "MIN": min, "MAX": max}


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    ("count", "limit", "rule"),
    [
        *((0, 10, "SUM"), (1, 10, "SUM"), (30, 40, "MIN"), (30, 1, "MAX"), (1500, 10, "MIN")),
        *((1500, 10, "SUM"), (2500, 10, "SUM"), (2500, 1, "SUM"), (2500, 100, "SUM")),
    ],
)
def test_the_results_are_those_of_the_formula(
    count: int, limit: int, rule: str, grouped: bool, redis_client: redis.Redis
) -> None:
    """Whatever the shortcut: the same scores as from looking at all records."""
    chance = random.Random(count + limit)
    numbers = fill(redis_client, count, chance)
    query: Any = Large.query.filter(group="g1") if grouped else Large.query.filter()
    if grouped:
        numbers = {name: known for name, known in numbers.items() if int(name[1:]) % 2}
    for _ in range(8):
        names = chance.sample(["value", "rel", "plain", "conf", "access_count"], 3)
        weights = {name: chance.choice([1, 0, -0.5, chance.uniform(-1, 2)]) for name in names}
        expected = [
            RULES[rule]([weights[name] * known[name] for name in names if name in known])
            for known in numbers.values()
            if any(name in known for name in names)
        ]
        expected = sorted(expected, reverse=True)[:limit]
        with clock.using(NOW):
            found = query.no_track().composite_score(weights, limit=limit, aggregate=rule)
        assert [each._composite_score for each in found] == pytest.approx(expected, abs=1e-9)
        for each in found:
            known = numbers[each.name]
            parts = [weights[name] * known[name] for name in names if name in known]
            assert each._composite_score == pytest.approx(RULES[rule](parts), abs=1e-9)


def test_a_record_that_one_signal_alone_lifts_is_found() -> None:
    made = [Large(name=f"n{n}", group="g", value=1 - n / 10_000) for n in range(1500)]
    Large.bulk_create(made)
    ConfidenceField.update_confidence(made[1400], "conf", 1.0)
    (found,) = Large.query.composite_score({"value": 1, "conf": 1}, limit=1)
    assert (found.name, found._composite_score) == ("n1400", pytest.approx(1.86))


DAMAGES: dict[str, Callable[[redis.Redis], object]] = {
    "none": lambda client: None,
    "a base is missing": lambda client: client.zrem("$DecayBase:M:rel:x", "M:x:a"),
    "no base is kept": lambda client: client.delete("$DecayBase:M:rel:x"),
    "a record is not listed": lambda client: client.zrem("$Values:M:$keys", "M:x:a"),
    "another is not listed": lambda client: client.zrem("$Values:M:$keys", "M:x:b"),
    "no record is listed": lambda client: client.delete("$Values:M:$keys"),
    "a count is no number": lambda client: client.hset("$AT:M:meta:M:x:b", "access_count", "many"),
}


@pytest.mark.usefixtures("abc")
@pytest.mark.parametrize("weight", [1, -0.5])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_scores_do_not_depend_on_what_is_kept_to_tell_them_faster(
    api: Api, redis_client: redis.Redis, damage: Callable[[redis.Redis], object], weight: float
) -> None:
    first = M.query.get(agent="x", name="a")
    assert first is not None
    for _ in range(3):
        first.on_read()
    first.confirm_access()
    query = M.query.filter(agent="x").no_track()

    def scores() -> list[list[tuple[str, float]]]:
        signals = (("rel",), ("access_count",), ("rel", "access_count"), ("rel", "rank"))
        with clock.using(NOW):
            return [
                scored(api, query, dict.fromkeys(names, weight), limit=1) for names in signals
            ] + [scored(api, query, dict.fromkeys(names, weight)) for names in signals]

    before = scores()
    assert [len(each) for each in before] == [*([1] * 4), 2, 1, 2, 2]
    damage(redis_client)
    assert scores() == before


@pytest.mark.usefixtures("abc")
def test_numbers_on_one_scale_are_those_of_one_look(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    query = M.query.no_track()
    query.composite_score({"rank": 1}, normalize=True)
    with round_trips() as seen:
        assert len(api(query.composite_score, {"rank": 1}, normalize=True)) == 3
    assert seen.sends == 1
