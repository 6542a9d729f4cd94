"""`top_by_decay` of cyclic fields: it scores few, and finds what scoring all would find."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import CyclicDecayField, FloatField, KeyField, Model, TemporalPeriod, clock
from popoto.fields.cyclic_decay_field import CYCLIC_DECAY_LUA
from tests.driver import RoundTrips

#: A crest of cycles of a week and of a day.
NOW = 2800.0 * TemporalPeriod.WEEKLY
DAY = 86_400


class Tide(Model):
    name = KeyField()
    weight = FloatField(default=1.0)
    level = CyclicDecayField(
        decay_rate=0.5, cycles=[(TemporalPeriod.WEEKLY, 3.0)], base_score_field="weight"
    )


INDEX, BASES = "$CyclicDecayF:Tide:level", "$DecayBase:Tide:level"
#: More are not looked at one by one, and a call reads some of them at a time.
MANY = 1_300


def fill(
    client: redis.Redis,
    number: int,
    *,
    moment: Callable[[], float],
    weight: Callable[[], float] = lambda: 1.0,
    cycles: Callable[[], bytes | None] = lambda: None,
    pressure: Callable[[], bytes | None] = lambda: None,
) -> None:
    """Tides as they are stored, by whomever, with cycles and pressure of any form."""
    with client.pipeline(transaction=False) as pipeline:
        for each in range(number):
            key, touched, base = f"Tide:n{each:05}", moment(), weight()
            fields = {"name": f"n{each:05}", "weight": base, "level": touched}
            pipeline.hset(key, mapping={name: msgpack.packb(fields[name]) for name in fields})
            pipeline.zadd(INDEX, {key: touched})
            pipeline.zadd(BASES, {key: base})
            pipeline.sadd("$Class:Tide", key)
            for suffix, stored in (("cycles", cycles()), ("pressure", pressure())):
                if stored is not None:
                    pipeline.hset(f"{INDEX}:{suffix}", key, stored)
        pipeline.execute()


def best_of_all(client: redis.Redis, now: float, rate: float, n: int, base: str) -> list[str]:
    """As popoto 1.6 finds them: every member is scored."""
    hashes = (INDEX, f"{INDEX}:cycles", f"{INDEX}:pressure")
    found: Any = client.eval(CYCLIC_DECAY_LUA, 3, *hashes, repr(now), repr(rate), n, base)
    return [key.decode() for key in found[::2]]


def cycle(amplitude: float, phase: float = 0.0) -> bytes:
    return msgpack.packb([[TemporalPeriod.WEEKLY, amplitude, phase]])


def tension(rate: float, days: float) -> bytes:
    return msgpack.packb({"rate": rate, "last_resolved": NOW - days * DAY})


AMPLITUDES = {
    "declared": lambda draw: cycle(3.0),
    "some without": lambda draw: draw.choice([None, cycle(3.0)]),
    "few learned": lambda draw: cycle(3.0 if draw.random() < 0.99 else draw.uniform(0, 9)),
    "all learned": lambda draw: cycle(draw.uniform(0, 100)),
    "out of phase": lambda draw: cycle(3.0, draw.uniform(0, TemporalPeriod.WEEKLY)),
    "beyond the bounds": lambda draw: cycle(draw.choice([-400.0, 0.0, 250.0, 3.0])),
    "malformed": lambda draw: draw.choice([b"", b"\xc1", cycle(3.0), msgpack.packb([[0, 1]])]),
    "none": lambda draw: None,
}
TENSIONS = {
    "none": lambda draw: None,
    "even": lambda draw: tension(0.1, 10),
    "since long": lambda draw: tension(0.1, draw.uniform(0, 700)),
    "few": lambda draw: tension(0.1, 50) if draw.random() < 0.01 else None,
    "of many rates": lambda draw: tension(draw.choice([-1.0, 0.0, 0.1, 5.0]), draw.uniform(-9, 99)),
    "beyond numbers": lambda draw: tension(draw.choice([1e308, 0.1]), draw.uniform(0, 700)),
}


@pytest.mark.slow(25)
@pytest.mark.single_server("its script takes record keys as 1.6 does, without a hash tag")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    amplitudes=st.sampled_from(sorted(AMPLITUDES)),
    tensions=st.sampled_from(sorted(TENSIONS)),
    base=st.sampled_from(["", "weight"]),
    weights=st.sampled_from([(1.0,), (0.0, -3.0, 2.0), (-1.0, -5.0), (0.5, 7.25, 40.0)]),
    knows_bases=st.booleans(),
    half_weeks=st.integers(0, 3),
    rate=st.sampled_from([0.5, 0.1, 3.0, 0.0, -0.4]),
    n=st.sampled_from([1, 10, 70, 2_000]),
)
def test_the_same_are_found_as_by_scoring_all(
    redis_client: redis.Redis,
    seed: int,
    amplitudes: str,
    tensions: str,
    base: str,
    weights: tuple[float, ...],
    knows_bases: bool,
    half_weeks: int,
    rate: float,
    n: int,
) -> None:
    """Whatever is stored, and whoever has stored it: moments that tie or lie ahead, too."""
    draw = random.Random(seed)
    redis_client.flushdb()
    fill(
        redis_client,
        MANY,
        moment=lambda: NOW - DAY * draw.choice([0.002, 3, draw.uniform(-2, 900)]),
        weight=lambda: draw.choice(weights),
        cycles=lambda: AMPLITUDES[amplitudes](draw),
        pressure=lambda: TENSIONS[tensions](draw),
    )
    if not knows_bases:
        redis_client.delete(BASES)
    now = NOW + half_weeks * TemporalPeriod.WEEKLY / 2
    with clock.using(now):
        found = Tide.query.top_by_decay(n=n, decay_rate=rate, base_score_field=base)
    expected = best_of_all(redis_client, now, rate, n, base)
    assert [f"Tide:{each.name}" for each in found] == expected


@pytest.mark.parametrize(
    ("amplitudes", "tensions", "half_weeks", "most"),
    [
        ("declared", "none", 0, 200),
        ("declared", "none", 1, 200),
        ("few learned", "none", 1, 400),
        ("declared", "since long", 0, 400),
        ("none", "few", 0, 400),
        ("none", "none", 0, 200),
    ],
)
def test_few_members_are_scored(
    redis_client: redis.Redis,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
    amplitudes: str,
    tensions: str,
    half_weeks: int,
    most: int,
) -> None:
    draw = random.Random(5)
    fill(
        redis_client,
        4_000,
        moment=lambda: NOW - draw.uniform(1, 500) * DAY,
        cycles=lambda: AMPLITUDES[amplitudes](draw),
        pressure=lambda: TENSIONS[tensions](draw),
    )
    Tide.query.top_by_decay(n=1)  # the server learns the script
    with clock.using(NOW + half_weeks * TemporalPeriod.WEEKLY / 2), round_trips() as seen:
        found = Tide.query.top_by_decay(base_score_field="")
    assert seen.sends == 1
    assert found.explain().members == 4_000
    assert found.explain().scored < most


def ages(*groups: tuple[int, float]) -> Callable[[], float]:
    """Moments that lie so many days back, for so many records each."""
    days = iter([age for number, age in groups for _ in range(number)])
    return lambda: NOW - next(days) * DAY


def in_turn(*groups: tuple[int, bytes | None]) -> Callable[[], bytes | None]:
    """What so many records each have stored."""
    found = iter([stored for number, stored in groups for _ in range(number)])
    return lambda: next(found)


def test_pressure_of_those_that_are_not_met_first_counts(redis_client: redis.Redis) -> None:
    """Neither the youngest nor those under the highest pressure are the best."""
    fill(
        redis_client,
        1_121,
        moment=ages((120, 400), (1_000, 0), (1, 0.1)),
        pressure=in_turn((120, tension(0.1, 100)), (1_000, tension(0.1, 0)), (1, tension(0.1, 90))),
    )
    with clock.using(NOW):
        assert [each.name for each in Tide.query.top_by_decay(n=1)] == ["n01120"]


def test_of_negative_bases_the_oldest_is_best(redis_client: redis.Redis) -> None:
    fill(
        redis_client,
        200,
        moment=ages((1, 100), (198, 0), (1, 10_000)),
        weight=lambda: -1.0,
        pressure=in_turn((1, tension(0.0005, 100)), (199, None)),
    )
    with clock.using(NOW):
        assert [each.name for each in Tide.query.top_by_decay(n=1)] == ["n00199"]


def test_where_the_oldest_are_under_pressure_few_are_scored(redis_client: redis.Redis) -> None:
    years = [each / 10 for each in range(4_000)]
    fill(
        redis_client,
        4_000,
        moment=ages(*((1, age) for age in years)),
        pressure=in_turn(*((1, tension(0.1, age)) for age in years)),
    )
    with clock.using(NOW):
        found = Tide.query.top_by_decay(n=5)
    assert [each.name for each in found] == [f"n0{number}" for number in range(3999, 3994, -1)]
    assert found.explain().scored < 500


def test_the_walk_ends_where_nobody_behind_can_be_better(redis_client: redis.Redis) -> None:
    draw = random.Random(5)
    fill(
        redis_client,
        4_000,
        moment=lambda: NOW - draw.uniform(0, 500) * DAY,
        cycles=lambda: AMPLITUDES["declared"](draw),
    )
    with clock.using(NOW):
        stopped = Tide.query.top_by_decay().explain().stopped
    assert stopped == "where nobody behind could be better any more"


def test_what_another_program_changes_counts_at_once(redis_client: redis.Redis) -> None:
    """Popoto 1.6, for one, strengthens cycles without telling anybody."""
    draw = random.Random(5)
    fill(
        redis_client,
        MANY,
        moment=lambda: NOW - draw.uniform(1, 500) * DAY,
        cycles=lambda: AMPLITUDES["declared"](draw),
    )
    with clock.using(NOW):
        Tide.query.top_by_decay()
        redis_client.hset(f"{INDEX}:cycles", "Tide:n00700", cycle(90.0))
        assert Tide.query.top_by_decay(n=1)[0].name == "n00700"


def test_records_that_are_gone_take_no_place(redis_client: redis.Redis) -> None:
    fill(redis_client, MANY, moment=lambda: NOW - DAY, cycles=lambda: cycle(3.0))
    redis_client.hset(f"{INDEX}:cycles", "Tide:n00009", cycle(9.0))
    redis_client.delete("Tide:n00009", "Tide:n00001")
    with clock.using(NOW):
        found = Tide.query.top_by_decay(n=3)
    assert [each.name for each in found] == ["n00000", "n00002", "n00003"]
