"""`DecayingSortedField`, `top_by_decay` and `touch`: the numbers, the order, what is kept."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import (
    DateField,
    DatetimeField,
    DecayingSortedField,
    DecimalField,
    Defaults,
    Field,
    FloatField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    StringField,
    clock,
    transaction,
)
from popoto.exceptions import NotStoredError
from popoto.fields.decaying_sorted_field import DECAY_SCORE_LUA
from popoto.memory.decay.formula import base_score, decay_score
from tests.driver import Api, RoundTrips

NOW = 1_700_000_000.0
DAY = 86_400


class Memory(Model):
    name = KeyField()
    agent = StringField(default="a")
    topic = StringField(default="t")
    weight = FloatField(default=1.0)
    relevance = DecayingSortedField(base_score_field="weight", partition_by="agent")


class Plain(Model):
    name = KeyField()
    note = StringField(default="")
    weight = FloatField(default=1.0)
    relevance = DecayingSortedField(decay_rate=0.5)


def keep(model: type[Any], name: str, days: float, **values: Any) -> Any:
    """A record that was saved so many days before NOW."""
    with clock.using(NOW - days * DAY):
        return model.create(name=name, **values)


def names(found: list[Any]) -> list[str]:
    return [each.name for each in found]


def test_the_time_is_a_float_wherever_it_comes_from() -> None:
    with clock.using(5):
        assert repr(clock.now()) == "5.0"
        with clock.using(lambda: 7):
            assert repr(clock.now()) == "7.0"
    assert clock.now() > NOW


# The formula -----------------------------------------------------------------------------------

WORKED = [
    (1, 1, 0.5, 1.00000),
    (1, 4, 0.5, 0.500000),
    (1, 100, 0.5, 0.100000),
    (1, 10, 0.1, 0.794328),
    (1, 30, 0.1, 0.711685),
    (1, 365, 0.1, 0.554333),
    (1, 1 / 24, 0.1, 1.37411),
    (1, 0, 0.1, 1.58489),
    (1, 863 / DAY, 0.1, 1.58489),
    (1, 0.01, 0.1, 1.58489),
    (1, -5000 / DAY, 0.1, 1.58489),
    (1, 0, 0.5, 10.0),
    (1, 7, 1.0, 0.142857),
    (1, 2, 0.0, 1.0),
    (1, 2, -0.5, 1.41421),
    (5, 4, 0.5, 2.5),
    (-2, 4, 0.5, -1.0),
    (0, 4, 0.5, 0.0),
    (50, 4, 0.5, 25.0),
]


@pytest.mark.parametrize(("base", "days", "rate", "score"), WORKED)
def test_scores_of_the_contract(base: float, days: float, rate: float, score: float) -> None:
    assert decay_score(NOW - days * DAY, NOW, rate, base) == pytest.approx(score, rel=1e-5)


def test_without_a_base_it_is_that_of_one() -> None:
    assert decay_score(NOW - 4 * DAY, NOW, 0.5) == 0.5


def test_nothing_stays_nothing_however_large_the_factor() -> None:
    assert decay_score(NOW - 1e9 * DAY, NOW, -50.0, 0.0) == 0.0


@pytest.mark.single_server("its script takes record keys as 1.6 does, without a hash tag")
@pytest.mark.parametrize(("base", "days", "rate", "score"), WORKED)
def test_the_script_of_the_contract_gives_the_same_scores(
    base: float, days: float, rate: float, score: float, redis_client: redis.Redis
) -> None:
    keep(Memory, "x", days, weight=base)
    found = redis_client.eval(
        DECAY_SCORE_LUA, 1, "$DecayingSortF:Memory:relevance:a", NOW, rate, 5, "weight"
    )
    assert found[0] == b"Memory:x"
    assert float(found[1]) == pytest.approx(score, rel=1e-5, abs=1e-12)


@pytest.mark.single_server("its script takes record keys as 1.6 does, without a hash tag")
@pytest.mark.parametrize(
    ("field", "value", "base"),
    [
        (IntField(), 7, 7.0),
        (FloatField(), 2.5, 2.5),
        (FloatField(), -0.5, -0.5),
        (DecimalField(), Decimal("2.5"), 2.5),
        (FloatField(), math.nan, 1.0),
        (FloatField(), math.inf, 1.0),
        (FloatField(), -math.inf, 1.0),
        (StringField(), "5", 1.0),
        (Field(type=bool), True, 1.0),
        (IntField(), None, 1.0),
        (DateField(), datetime.date(2024, 1, 1), 1.0),
        (DatetimeField(), datetime.datetime(2024, 1, 1), 1.0),
        (Field(type=list), [1, 2], 1.0),
        (Field(type=tuple), (3, 4), 1.0),
        (Field(type=set), {3}, 1.0),
        (Field(type=bytes), b"7", 1.0),
    ],
)
def test_only_numbers_are_bases(
    field: Any, value: Any, base: float, redis_client: redis.Redis
) -> None:
    """Python, the script and the index of base scores agree on what a stored value counts."""
    kind = type(
        "Based",
        (Model,),
        {
            "__module__": __name__,
            "name": KeyField(),
            "base": field,
            "r": DecayingSortedField(decay_rate=0.5, base_score_field="base"),
        },
    )
    keep(kind, "x", 4, base=value)
    assert base_score(value) == base
    assert redis_client.zscore("$DecayBase:Based:r", "Based:x") == base
    found = redis_client.eval(DECAY_SCORE_LUA, 1, "$DecayingSortF:Based:r", NOW, 0.5, 1, "base")
    assert float(found[1]) == pytest.approx(base / 2)


@pytest.mark.single_server("its script takes record keys as 1.6 does, without a hash tag")
@pytest.mark.parametrize(
    "stored", [b"", b"\xc1", b"garbage", b"\x81\xabas_encodable\xa15", b"\xc4\x011", b"\xdf"]
)
def test_damaged_bases_count_one(stored: bytes, redis_client: redis.Redis) -> None:
    keep(Memory, "x", 4, weight=8.0)
    redis_client.hset("Memory:x", "weight", stored)
    key = "$DecayingSortF:Memory:relevance:a"
    found = redis_client.eval(DECAY_SCORE_LUA, 1, key, NOW, 0.5, 1, "weight")
    # "g" is the int 103 in MessagePack, and what follows a value is not looked at.
    assert float(found[1]) == pytest.approx(51.5 if stored == b"garbage" else 0.5)


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_rate": 0}, "decay_rate must be > 0"),
        ({"decay_rate": -1.0}, "decay_rate must be > 0"),
        ({"decay_rate": math.nan}, "decay_rate must be a number"),
        ({"decay_rate": "0.5"}, "decay_rate must be a number"),
        ({"decay_rate": True}, "decay_rate must be a number"),
        ({"null": True}, "SortedField cannot be null"),
        ({"base_score_field": 3}, "base_score_field"),
        ({"partition_by": 3}, "partition_by"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelException, match=message):
        DecayingSortedField(**options)


def test_options_are_kept_and_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "DECAY_RATE", 0.25)
    with pytest.warns(UserWarning, match="has no effect") as told:
        field = DecayingSortedField(type=int, auto_now=False, partition_by="agent")
    assert len(told) == 2
    assert (field.type, field.auto_now, field.null, field.default) == (float, True, False, None)
    assert (field.decay_rate, field.base_score_field, field.partition_by) == (
        0.25,
        None,
        ("agent",),
    )


@pytest.mark.parametrize("option", ["base_score_field", "partition_by"])
def test_fields_that_are_not_there_are_refused_with_the_class(option: str) -> None:
    with pytest.raises(ModelException, match=f"{option} names 'missing'"):
        type(
            "Broken",
            (Model,),
            {
                "__module__": __name__,
                "name": KeyField(),
                "r": DecayingSortedField(**{option: "missing"}),
            },
        )


# What a save does ------------------------------------------------------------------------------


def test_a_save_sets_the_moment(api: Api, redis_client: redis.Redis) -> None:
    memory = Plain(name="x", relevance=5)
    with clock.using(NOW):
        api(memory.save)
    assert memory.relevance == NOW
    assert redis_client.zscore("$DecayingSortF:Plain:relevance", "Plain:x") == NOW
    assert Plain.query.get(name="x").relevance == NOW


def test_a_save_that_leaves_times_alone_keeps_the_given_moment() -> None:
    memory = Plain(name="x", relevance=5)
    memory.save(skip_auto_now=True)
    assert Plain.query.filter(relevance=5).count() == 1
    with clock.using(NOW):
        other = Plain(name="y")
        other.save(skip_auto_now=True)
    assert other.relevance == NOW


def test_a_partial_save_sets_it_only_if_it_names_it() -> None:
    memory = keep(Plain, "x", 1)
    with clock.using(NOW):
        memory.note = "n"
        memory.save(update_fields=["note"])
        assert Plain.query.get(name="x").relevance == NOW - DAY
        memory.save(update_fields=["relevance"])
    assert Plain.query.get(name="x").relevance == NOW


# Ranking ---------------------------------------------------------------------------------------


def test_the_best_come_first(api: Api) -> None:
    for number in range(1, 7):
        keep(Memory, f"n{number}", 0, weight=float(number))
    query = Memory.query.filter(agent="a")
    with clock.using(NOW):
        assert names(api(query.top_by_decay, n=3)) == ["n6", "n5", "n4"]
        assert names(api(query.top_by_decay, base_score_field="")) == [f"n{i}" for i in range(1, 7)]
        assert names(api(query.top_by_decay, n=2.5)) == ["n6", "n5"]
        assert api(query.top_by_decay, n=0) == []
        assert api(query.top_by_decay, n=-1) == []
    with pytest.raises(TypeError):
        api(query.top_by_decay, n=None)


def test_records_that_are_gone_take_no_place(redis_client: redis.Redis) -> None:
    for number in range(1, 7):
        keep(Memory, f"n{number}", 0, weight=float(number))
    redis_client.delete("Memory:n6", "Memory:n5")
    query = Memory.query.filter(agent="a")
    with clock.using(NOW):
        assert names(query.top_by_decay(n=3)) == ["n4", "n3", "n2"]
        assert names(query.top_by_decay(n=1)) == ["n4"]
    # And what they left is cleared away by the way.
    assert redis_client.zcard("$DecayingSortF:Memory:relevance:a") == 4


@pytest.mark.parametrize("weights", ["mixed", "negative", "equal"])
def test_the_order_is_that_of_the_formula(weights: str) -> None:
    """Whatever the shortcut: the same records in the same order as from scoring them all."""
    draw = random.Random(7)

    def moment() -> float:
        days = draw.choice([0, 0.002, 1, draw.uniform(-1, 2), draw.uniform(0, 900)])
        return NOW - days * DAY

    def weight() -> float:
        if weights == "equal":
            return 2.0
        number = draw.choice([0.0, 1.0, -3.0, draw.uniform(-5, 20)])
        return -abs(number) if weights == "negative" else number

    memories = [Memory(name=f"n{number}", weight=weight()) for number in range(300)]
    with clock.using(moment):
        Memory.bulk_create(memories)
    query = Memory.query.filter(agent="a")
    for rate, base, n in product((0.1, 0.5, 3.0, 0, -0.4), ("weight", ""), (1, 7, 40, 400)):
        scored = [
            (-decay_score(each.relevance, NOW, rate, each.weight if base else 1.0), each.pk)
            for each in memories
        ]
        expected = [key.removeprefix("Memory:") for _, key in sorted(scored)][:n]
        with clock.using(NOW):
            found = query.top_by_decay(n=n, decay_rate=rate, base_score_field=base)
        assert names(found) == expected, (rate, base, n)


def test_very_many_with_one_score_come_in_the_order_of_keys() -> None:
    """More than are looked at one by one: those of the last 864 seconds all tie."""
    with clock.using(NOW):
        Plain.bulk_create([Plain(name=f"n{number:04}") for number in range(900)])
        Plain.bulk_delete(Plain.query.filter(name__in=["n0001", "n0003"]))
        assert names(Plain.query.top_by_decay(n=3)) == ["n0000", "n0002", "n0004"]
        assert len(Plain.query.top_by_decay(n=1000)) == 898
        keep(Plain, "a-old-one", 3)
        assert names(Plain.query.top_by_decay(n=2)) == ["n0000", "n0002"]


@pytest.mark.single_server("counts what one server sends")
def test_of_very_many_with_one_score_few_are_looked_at(
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    with clock.using(NOW):
        Plain.bulk_create([Plain(name=f"n{number:04}") for number in range(900)])
        with round_trips() as seen:
            assert names(Plain.query.top_by_decay(n=2)) == ["n0000", "n0001"]
    assert seen.commands["exists"] < 10


def test_an_index_without_base_scores_is_read_whole(redis_client: redis.Redis) -> None:
    """As popoto 1.6 leaves it. The best are those that were touched longest ago."""
    for number in range(70):
        keep(Memory, f"n{number}", number, weight=float(number))
    redis_client.delete("$DecayBase:Memory:relevance:a")
    query = Memory.query.filter(agent="a")
    with clock.using(NOW):
        assert names(query.top_by_decay(n=2)) == ["n69", "n68"]
    Memory.rebuild_indexes()
    assert redis_client.zcard("$DecayBase:Memory:relevance:a") == 70


def test_so_is_one_whose_base_scores_are_those_of_another_field() -> None:
    for number in range(70):
        keep(Plain, f"n{number}", number, weight=float(number))
    with clock.using(NOW):
        assert names(Plain.query.top_by_decay(n=2, base_score_field="weight")) == ["n69", "n68"]


def test_other_conditions_hold(api: Api) -> None:
    for number in range(6):
        keep(Memory, f"n{number}", number, topic="even" if number % 2 == 0 else "odd")
    keep(Memory, "elsewhere", 0, agent="b", topic="even")
    even = Memory.query.filter(agent="a", topic="even")
    with clock.using(NOW):
        assert names(api(even.top_by_decay)) == ["n0", "n2", "n4"]
        assert names(api(even.limit(1).top_by_decay)) == ["n0"]
        assert names(api(even.offset(1).limit(5).top_by_decay, n=2)) == ["n2"]
        assert names(api(even.exclude(name="n0").top_by_decay)) == ["n2", "n4"]
        assert names(api(even.filter(Q(name="n4") | Q(name="n2")).top_by_decay)) == ["n2", "n4"]
        assert api(even.values("name").top_by_decay, n=1) == [{"name": "n0"}]
        assert api(even.limit(0).top_by_decay) == []
    with pytest.raises(QueryException, match="order of its own"):
        api(even.order_by("name").top_by_decay)


def test_many_candidates_are_ranked_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    from popoto.models.reading.ranking import decaying

    monkeypatch.setattr(decaying, "_MOST_CANDIDATES", 4)
    for number in range(11):
        keep(Memory, f"n{number}", number, weight=float(number % 5 + 1))
    with clock.using(NOW):
        found = names(Memory.query.filter(agent="a", topic="t").top_by_decay(n=3))
        monkeypatch.undo()
        assert found == names(Memory.query.filter(agent="a").top_by_decay(n=3))


def test_over_several_calls_too_the_lesser_key_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from popoto.models.reading.ranking import decaying

    monkeypatch.setattr(decaying, "_MOST_CANDIDATES", 2)
    for number in range(9):
        keep(Memory, f"n{number}", 1)
    with clock.using(NOW):
        found = names(Memory.query.filter(agent="a", topic="t").top_by_decay(n=9))
    assert found == [f"n{number}" for number in range(9)]


def test_a_partition_is_named_by_plain_keywords() -> None:
    keep(Memory, "x", 0, agent="5")
    assert names(Memory.query.filter(agent=5).top_by_decay()) == ["x"]
    assert Memory.query.filter(agent="other").top_by_decay() == []
    assert Memory.query.top_by_decay(n=0) == []
    for query in (
        Memory.query.filter(),
        Memory.query.filter(agent__in=["5"]),
        Memory.query.filter(Q(agent="5")),
        Memory.query.filter(Memory.agent == "5"),
    ):
        with pytest.raises(QueryException, match="agent"):
            query.top_by_decay()


class Two(Model):
    name = KeyField()
    one = DecayingSortedField()
    other = DecayingSortedField()


def test_which_field_is_meant() -> None:
    with pytest.raises(QueryException, match=r"Multiple DecayingSortedFields.*one, other"):
        Two.query.top_by_decay()
    with pytest.raises(QueryException, match="has no field 'missing'"):
        Two.query.top_by_decay("missing")
    with pytest.raises(QueryException, match="requires a DecayingSortedField"):
        Two.query.top_by_decay("name")
    assert Two.query.top_by_decay("one") == []

    class Without(Model):
        name = KeyField()

    with pytest.raises(QueryException, match="has no DecayingSortedField"):
        Without.query.top_by_decay()


@pytest.mark.parametrize("rate", [math.nan, math.inf, "1", True])
def test_rates_that_are_no_numbers(rate: Any) -> None:
    with pytest.raises(QueryException, match="decay_rate"):
        Plain.query.top_by_decay(decay_rate=rate)


def test_a_ranking_is_one_round_trip_and_looks_at_few(
    redis_client: redis.Redis, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    draw = random.Random(3)
    with clock.using(lambda: NOW - draw.uniform(1, 500) * DAY):
        Memory.bulk_create([Memory(name=f"n{n}", weight=draw.random()) for n in range(1500)])
    with clock.using(NOW), round_trips() as seen:
        Memory.query.filter(agent="a").top_by_decay(n=5)
    assert seen.sends == 1
    # A base is read, and looked for, of a part of the records only.
    assert seen.commands["hget"] < 700


def test_a_key_of_another_kind_is_told(redis_client: redis.Redis) -> None:
    redis_client.set("$DecayingSortF:Plain:relevance", "text")
    with pytest.raises(QueryException, match=r"Plain cannot be queried.*string instead of a zset"):
        Plain.query.top_by_decay()


# Touching --------------------------------------------------------------------------------------


def test_a_touch_sets_the_moment_and_nothing_else(api: Api, redis_client: redis.Redis) -> None:
    memory = keep(Memory, "x", 3, weight=2.0)
    memory.topic = "changed, not saved"
    with clock.using(NOW):
        assert api(memory.touch, "relevance") == NOW
    assert memory.relevance == NOW
    stored = Memory.query.get(name="x")
    assert (stored.relevance, stored.topic) == (NOW, "t")
    assert redis_client.zscore("$DecayingSortF:Memory:relevance:a", "Memory:x") == NOW
    assert redis_client.zscore("$DecayBase:Memory:relevance:a", "Memory:x") == 2.0


def test_a_touched_moment_survives_a_rebuild(redis_client: redis.Redis) -> None:
    memory = keep(Memory, "x", 3)
    with clock.using(NOW):
        memory.touch("relevance")
    Memory.rebuild_indexes()
    assert redis_client.zscore("$DecayingSortF:Memory:relevance:a", "Memory:x") == NOW


def test_a_touch_goes_to_the_stored_partition(api: Api, redis_client: redis.Redis) -> None:
    memory, late = keep(Memory, "x", 3), Memory.query.get(name="x")
    memory.agent = "b"
    api(memory.touch, "relevance")
    assert redis_client.exists("$DecayingSortF:Memory:relevance:b") == 0
    memory.save()
    with clock.using(NOW):
        api(late.touch, "relevance")
    assert redis_client.zscore("$DecayingSortF:Memory:relevance:b", "Memory:x") == NOW
    assert redis_client.exists("$DecayingSortF:Memory:relevance:a") == 0


def test_what_cannot_be_touched(api: Api, redis_client: redis.Redis) -> None:
    memory = keep(Memory, "x", 3)
    with pytest.raises(AttributeError, match="has no field 'missing'"):
        api(memory.touch, "missing")
    with pytest.raises(TypeError, match="DecayingSortedField"):
        api(memory.touch, "weight")
    with pytest.raises(TypeError, match="unsaved"):
        api(Memory(name="y").touch, "relevance")
    redis_client.delete("Memory:x")
    with pytest.raises(NotStoredError):
        api(memory.touch, "relevance")
    memory.delete()
    with pytest.raises(TypeError, match="unsaved"):
        api(memory.touch, "relevance")
    assert Memory.query.filter(agent="a").top_by_decay() == []
    assert redis_client.zscore("$DecayingSortF:Memory:relevance:a", "Memory:x") is None


def test_many_are_touched_at_once(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    memories = [keep(Memory, f"n{number}", 3) for number in range(20)]
    with clock.using(NOW), round_trips() as seen:
        assert api(Memory.bulk_touch, [*memories, memories[0]], "relevance") == NOW
    assert seen.sends == 1
    assert {each.relevance for each in Memory.query.all()} == {NOW}
    Memory.query.get(name="n7").delete()
    with clock.using(NOW + 1), pytest.raises(NotStoredError):
        api(Memory.bulk_touch, memories, "relevance")
    assert {each.relevance for each in Memory.query.all()} == {NOW}


def test_a_touch_waits_in_a_pipeline_and_in_a_transaction(redis_client: redis.Redis) -> None:
    memory = keep(Memory, "x", 3)
    with clock.using(NOW):
        pipeline = redis_client.pipeline()
        assert memory.touch("relevance", pipeline=pipeline) is pipeline
        assert memory.relevance == NOW
        assert Memory.query.get(name="x").relevance == NOW - 3 * DAY
        pipeline.execute()
    assert Memory.query.get(name="x").relevance == NOW
    with clock.using(NOW + 1), transaction() as together:
        memory.touch("relevance", pipeline=together)
    assert together.results == [NOW + 1]


class Composite(Model):
    name = KeyField()
    relevance = DecayingSortedField()

    class Meta:
        indexes = ((("relevance",), False),)
        ttl = 1000


def test_other_entries_follow_a_touch(redis_client: redis.Redis) -> None:
    with clock.using(NOW):
        record = Composite.create(name="x")
    with clock.using(NOW + 5):
        record.touch("relevance")
    assert Composite.check_indexes()["total"] == 0
    assert redis_client.hlen("$Index:Composite:relevance") == 1
    redis_client.delete("Composite:x")
    Composite.clean_indexes()
    assert Composite.query.top_by_decay() == []


# Wherever the record goes ----------------------------------------------------------------------


def test_the_entries_go_where_the_record_goes(api: Api, redis_client: redis.Redis) -> None:
    memory = keep(Memory, "x", 3, weight=2.0)
    memory.agent, memory.name = "b", "y"
    api(memory.save, migrate_key=True)
    kinds = sorted(key for key in redis_client.keys("$Decay*"))
    assert kinds == [b"$DecayBase:Memory:relevance:b", b"$DecayingSortF:Memory:relevance:b"]
    memory.weight = 4.0
    api(memory.save, update_fields=["weight"])
    assert redis_client.zrange("$DecayBase:Memory:relevance:b", 0, -1, withscores=True) == [
        (b"Memory:y", 4.0)
    ]
    api(memory.delete)
    assert redis_client.keys("*Memory*") == []


@settings(max_examples=60, deadline=None)
@given(
    touched=st.floats(allow_nan=False, min_value=-1e12, max_value=1e12),
    now=st.floats(allow_nan=False, min_value=-1e12, max_value=1e12),
    rate=st.floats(min_value=-50, max_value=50),
    base=st.floats(allow_nan=False, allow_infinity=False),
)
def test_scores_are_never_nan(touched: float, now: float, rate: float, base: float) -> None:
    assert not math.isnan(decay_score(touched, now, rate, base))
