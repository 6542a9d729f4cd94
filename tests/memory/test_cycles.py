"""`CyclicDecayField`: cycles, pressure, what is learned, and what survives a save."""

from __future__ import annotations

import math
import random
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from popoto import (
    CyclicDecayField,
    KeyField,
    Model,
    ModelException,
    StringField,
    TemporalPeriod,
    clock,
    transaction,
)
from popoto.fields.cyclic_decay_field import CYCLIC_DECAY_LUA
from popoto.memory.cycles.formula import learned_amplitude, pressure, resonance, unpacked_cycles
from popoto.memory.decay.formula import decay_score
from tests.driver import Api

NOW = 1_700_000_000.0
DAY = 86_400
DAILY, WEEKLY, YEARLY = TemporalPeriod.DAILY, TemporalPeriod.WEEKLY, TemporalPeriod.YEARLY


class Rhythm(Model):
    name = KeyField()
    agent = StringField(default="a")
    r = CyclicDecayField(
        decay_rate=0.5,
        cycles=[(WEEKLY, 3.0, 0), (DAILY, 1.0, 60)],
        pressure_rate=0.1,
        partition_by="agent",
    )


class Still(Model):
    name = KeyField()
    r = CyclicDecayField(decay_rate=0.5)


CYCLES, PRESSURE = "$CyclicDecayF:Rhythm:r:a:cycles", "$CyclicDecayF:Rhythm:r:a:pressure"


def cycles_of(redis_client: redis.Redis, name: str = "x", key: str = CYCLES) -> Any:
    return msgpack.unpackb(redis_client.hget(key, f"Rhythm:{name}"))


def pressure_of(redis_client: redis.Redis) -> Any:
    return msgpack.unpackb(redis_client.hget(PRESSURE, "Rhythm:x"))


@pytest.fixture
def rhythm() -> Rhythm:
    with clock.using(NOW):
        return Rhythm.create(name="x")


# The score -------------------------------------------------------------------------------------

WORKED = [
    ([], 0, 1, 0.5, 1, 1.0),
    ([(DAILY, 1, 0)], 0, 1, 0.5, 1, 1.89363),
    ([(WEEKLY, 1, 0)], 0, 1, 0.5, 1, 1.57017),
    ([(TemporalPeriod.MONTHLY, 1, 0)], 0, 1, 0.5, 1, 1.65752),
    ([(TemporalPeriod.QUARTERLY, 1, 0)], 0, 1, 0.5, 1, 0.277078),
    ([(YEARLY, 1, 0)], 0, 1, 0.5, 1, 1.83285),
    ([(WEEKLY, 3)], 0, 1, 0.5, 1, 2.71050),
    ([(YEARLY, 5, NOW)], 0, 1, 0.5, 1, 6.0),
    ([(YEARLY, 5, NOW - YEARLY / 2)], 0, 1, 0.5, 1, -4.0),
    ([(YEARLY, 5, NOW - YEARLY / 4)], 0, 1, 0.5, 1, 1.0),
    ([(WEEKLY, 3, NOW), (DAILY, 2, NOW - 43200)], 0, 1, 0.5, 1, 2.0),
    ([(0.5, 2, 0)], 0, 1, 0.5, 1, 3.0),
    ([], 0.1, 1, 0.5, 10, 2.0),
    ([], 0.1, 1, 0.5, -10, 1.0),
    ([(YEARLY, 5, NOW)], 0.1, 1, 0.5, 10, 7.0),
    ([(WEEKLY, 3, 0), (DAILY, 1.5, 3600)], 0.05, 4, 0.1, 12.5, 4.32659),
    ([(YEARLY, 5, NOW - YEARLY / 2)], 0, 100, 0.5, 1, -4.9),
]


@pytest.mark.parametrize(("cycles", "rate", "days", "decay", "unresolved", "score"), WORKED)
def test_the_numbers_of_the_contract(
    cycles: Any,
    rate: float,
    days: float,
    decay: float,
    unresolved: float,
    score: float,
    redis_client: redis.Redis,
) -> None:
    kind = type(
        "Worked",
        (Model,),
        {
            "__module__": __name__,
            "name": KeyField(),
            "r": CyclicDecayField(decay_rate=decay, cycles=cycles, pressure_rate=rate),
        },
    )
    with clock.using(NOW - unresolved * DAY):
        record = kind.create(name="x")
    with clock.using(NOW - days * DAY):
        record.touch("r")
    key = "$CyclicDecayF:Worked:r"
    keys = (key, f"{key}:cycles", f"{key}:pressure")
    found = redis_client.eval(CYCLIC_DECAY_LUA, 3, *keys, NOW, decay, 5, "")
    assert float(found[1]) == pytest.approx(score, rel=1e-5)
    whole = [(*cycle, 0)[:3] for cycle in cycles]
    terms = (
        decay_score(NOW - days * DAY, NOW, decay),
        resonance(whole, NOW),
        pressure(rate, NOW - unresolved * DAY, NOW),
    )
    assert math.fsum(terms) == pytest.approx(score, rel=1e-5)


def test_the_order_is_that_of_the_formula() -> None:
    draw = random.Random(11)
    scored: list[tuple[float, str]] = []
    for number in range(60):
        made, touched = (NOW - draw.uniform(0, 40) * DAY for _ in range(2))
        factor = draw.choice([0.3, 1.0, 4.0])
        with clock.using(made):
            record = Rhythm.create(name=f"n{number}")
        with clock.using(touched):
            record.touch("r")
        cycles = record.strengthen_cycle("r", factor)
        score = decay_score(touched, NOW, 0.5) + resonance(cycles, NOW) + pressure(0.1, made, NOW)
        scored.append((-score, record.pk))
    expected = [key.removeprefix("Rhythm:") for _, key in sorted(scored)]
    for n in (1, 5, 60, 100):
        with clock.using(NOW):
            found = Rhythm.query.filter(agent="a").top_by_decay(n=n)
        assert [each.name for each in found] == expected[:n]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc1",
        msgpack.packb("text"),
        msgpack.packb([["week", 1, 0], [None, 1], [], [DAILY]]),
        msgpack.packb([[0, 5, 0], [-1, 5, 0]]),
        msgpack.packb({"rate": "fast", "last_resolved": 0}),
        msgpack.packb({"rate": 0.1}),
        msgpack.packb([-1.0, 0]),
    ],
)
def test_malformed_companions_add_nothing(
    stored: bytes, redis_client: redis.Redis, rhythm: Rhythm
) -> None:
    redis_client.hset(CYCLES, "Rhythm:x", stored)
    redis_client.hset(PRESSURE, "Rhythm:x", stored)
    key = "$CyclicDecayF:Rhythm:r:a"
    found = redis_client.eval(CYCLIC_DECAY_LUA, 3, key, CYCLES, PRESSURE, NOW + DAY, 0.5, 5, "")
    assert float(found[1]) == pytest.approx(1.0)
    assert [each.name for each in Rhythm.query.filter(agent="a").top_by_decay()] == ["x"]


def test_a_cycle_without_a_length_adds_nothing() -> None:
    assert resonance([(0, 5, 0), (-1, 5, 0), (YEARLY, 2, NOW)], NOW) == 2


def test_other_forms_of_companions_are_read(redis_client: redis.Redis, rhythm: Rhythm) -> None:
    redis_client.hset(CYCLES, "Rhythm:x", msgpack.packb([[YEARLY, 5], [YEARLY, 1, 0, 7, "more"]]))
    redis_client.hset(PRESSURE, "Rhythm:x", msgpack.packb([1, NOW]))
    key, now = "$CyclicDecayF:Rhythm:r:a", NOW + DAY
    found = redis_client.eval(CYCLIC_DECAY_LUA, 3, key, CYCLES, PRESSURE, now, 0.5, 5, "")
    expected = 2.0 + resonance([(YEARLY, 6, 0)], now)
    assert float(found[1]) == pytest.approx(expected)


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cycles": [(DAILY,)]}, "Each cycle must be"),
        ({"cycles": [(DAILY, 1, 0, 0)]}, "Each cycle must be"),
        ({"cycles": [5]}, "Each cycle must be"),
        ({"cycles": [(0, 1)]}, "Cycle period must be > 0"),
        ({"cycles": [(DAILY, -1)]}, "Cycle amplitude must be >= 0"),
        ({"cycles": [("week", 1)]}, "Each cycle must be of numbers"),
        ({"cycles": [(DAILY, math.nan)]}, "Each cycle must be of numbers"),
        ({"cycles": None}, "cycles must be a list"),
        ({"pressure_rate": -1}, "pressure_rate must be >= 0"),
        ({"pressure_rate": None}, "pressure_rate must be a number"),
        ({"decay_rate": 0}, "decay_rate must be > 0"),
        ({"null": True}, "DecayingSortedField cannot be null"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelException, match=message):
        CyclicDecayField(**options)


def test_what_was_given_is_kept() -> None:
    cycles = [(DAILY, 250.0)]
    field = CyclicDecayField(cycles=cycles, pressure_rate=2)
    assert field.cycles is cycles
    assert (field.pressure_rate, CyclicDecayField().cycles) == (2, [])


def test_keys() -> None:
    record, field = Rhythm(name="x", agent="x:y"), Rhythm._meta.fields["r"]
    assert field.get_cycles_hash_key(record, "r") == "$CyclicDecayF:Rhythm:r:x{&#58;}y:cycles"
    assert field.get_pressure_hash_key(record, "r") == "$CyclicDecayF:Rhythm:r:x{&#58;}y:pressure"
    assert CyclicDecayField.get_cycles_hash_key_from_parts(Rhythm, "r", "a") == CYCLES
    assert CyclicDecayField.get_pressure_hash_key_from_parts(Rhythm, "r", "a") == PRESSURE
    found = CyclicDecayField.get_sortedset_db_key(Rhythm, "r", "a").redis_key
    assert found == "$CyclicDecayF:Rhythm:r:a"


# What a save writes ----------------------------------------------------------------------------


def test_the_first_bytes_are_those_of_popoto_1_6(redis_client: redis.Redis) -> None:
    kind = type(
        "Bytes",
        (Model,),
        {"__module__": __name__, "name": KeyField(), "r": CyclicDecayField(cycles=[(86400, 2.0)])},
    )
    kind.create(name="x")
    stored = redis_client.hget("$CyclicDecayF:Bytes:r:cycles", "Bytes:x")
    assert stored == bytes.fromhex("9193ce00015180cb400000000000000000")
    assert redis_client.exists("$CyclicDecayF:Bytes:r:pressure") == 0


def test_whole_numbers_are_first_stored_as_such(redis_client: redis.Redis) -> None:
    field = CyclicDecayField(cycles=[(86400, 3), (2**70, 1)], pressure_rate=1)
    kind: Any = type("Whole", (Model,), {"__module__": __name__, "name": KeyField(), "r": field})
    with clock.using(NOW):
        kind.create(name="x")
    stored = msgpack.unpackb(redis_client.hget("$CyclicDecayF:Whole:r:cycles", "Whole:x"))
    assert repr(stored) == f"[[86400, 3, 0], [{float(2**70)}, 1, 0]]"
    stored = msgpack.unpackb(redis_client.hget("$CyclicDecayF:Whole:r:pressure", "Whole:x"))
    assert repr(stored) == f"{{'rate': 1, 'last_resolved': {NOW}}}"


def test_pressure_goes_on_building_up_over_saves(
    api: Api, redis_client: redis.Redis, rhythm: Rhythm
) -> None:
    with clock.using(NOW + DAY):
        api(rhythm.save)
    assert pressure_of(redis_client) == {"rate": 0.1, "last_resolved": NOW}
    with clock.using(NOW + 2 * DAY):
        assert api(rhythm.resolve_pressure, "r") == NOW + 2 * DAY
    assert pressure_of(redis_client) == {"rate": 0.1, "last_resolved": NOW + 2 * DAY}
    assert Rhythm.query.get(name="x").r == NOW + DAY


def test_learned_amplitudes_survive_saves_and_an_edit_resets_them(
    api: Api, redis_client: redis.Redis, rhythm: Rhythm, monkeypatch: pytest.MonkeyPatch
) -> None:
    api(rhythm.strengthen_cycle, "r")
    api(rhythm.save)
    api(rhythm.save, update_fields=["r"])
    api(rhythm.save, update_fields=["agent"])
    assert [each[1] for each in cycles_of(redis_client)] == [pytest.approx(3.6), 1.2]
    field = Rhythm._meta.fields["r"]
    monkeypatch.setattr(field, "cycles", [(WEEKLY, 3.0), (DAILY, 2.0, 60)])
    monkeypatch.setattr(field, "pressure_rate", 0.5)
    api(rhythm.save)
    assert cycles_of(redis_client)[1] == [DAILY, 2.0, 60]
    assert cycles_of(redis_client)[0][1] == pytest.approx(3.6)
    assert pressure_of(redis_client)["rate"] == 0.5
    field.cycles[1] = (DAILY, 4.0, 60)
    api(rhythm.save)
    assert cycles_of(redis_client)[1] == [DAILY, 4.0, 60]
    field.cycles.append((0, 1.0))
    with pytest.raises(ModelException, match="Cycle period must be > 0"):
        api(rhythm.save)
    monkeypatch.setattr(field, "cycles", [])
    monkeypatch.setattr(field, "pressure_rate", 0.0)
    api(rhythm.save)
    assert redis_client.exists(CYCLES, PRESSURE) == 0


# Learning --------------------------------------------------------------------------------------


def test_amplitudes_of_the_contract(api: Api, rhythm: Rhythm) -> None:
    def amplitudes(found: Any) -> list[float]:
        assert [(each[0], each[2]) for each in found] == [(WEEKLY, 0), (DAILY, 60)]
        return [each[1] for each in found]

    strengthen, weaken = rhythm.strengthen_cycle, rhythm.weaken_cycle
    assert amplitudes(api(strengthen, "r")) == pytest.approx([3.6, 1.2])
    assert amplitudes(api(weaken, "r")) == pytest.approx([2.88, 0.96])
    assert amplitudes(api(strengthen, "r", factor=50)) == pytest.approx([100, 48])
    assert amplitudes(api(strengthen, "r", factor=50)) == [100, 100]
    assert amplitudes(api(weaken, "r", factor=0)) == [0, 0]
    assert amplitudes(api(strengthen, "r")) == [0, 0]


def test_small_amplitudes_become_nothing(rhythm: Rhythm) -> None:
    assert [each[1] for each in rhythm.weaken_cycle("r", 0.009)] == [pytest.approx(0.027), 0]
    assert [each[1] for each in rhythm.strengthen_cycle("r", 1000)] == [pytest.approx(27), 0]
    assert [each[1] for each in rhythm.weaken_cycle("r", -1)] == [0, 0]
    assert learned_amplitude(1.0, 0.009) == learned_amplitude(0.0, 1000) == 0


def test_the_smallest_amplitude_stays(rhythm: Rhythm) -> None:
    assert [each[1] for each in rhythm.weaken_cycle("r", 0.01)] == [0.03, 0.01]
    assert learned_amplitude(1.0, 0.01) == 0.01


def test_cycles_are_read_as_three_numbers_in_whatever_form_they_are_stored() -> None:
    stored = msgpack.packb([[DAILY, 2.0], [WEEKLY, 3.6, 60, 3.0]])
    assert unpacked_cycles(stored) == [[DAILY, 2.0, 0], [WEEKLY, 3.6, 60]]


@given(amplitude=st.floats(0, 200), factors=st.lists(st.floats(-5, 50), max_size=6))
def test_amplitudes_keep_their_bounds(amplitude: float, factors: list[float]) -> None:
    for factor in factors:
        amplitude = learned_amplitude(amplitude, factor)
        assert amplitude == 0 or 0.01 <= amplitude <= 100


def test_what_has_no_cycles(api: Api, redis_client: redis.Redis) -> None:
    still = Still.create(name="x")
    assert api(still.strengthen_cycle, "r") == []
    pipeline = redis_client.pipeline()
    assert still.weaken_cycle("r", pipeline=pipeline) is pipeline
    pipeline.execute()
    assert redis_client.exists("$CyclicDecayF:Still:r:cycles") == 0
    with pytest.raises(TypeError, match="pressure_rate is 0"):
        api(still.resolve_pressure, "r")
    for method in (still.resolve_pressure, still.strengthen_cycle, still.weaken_cycle):
        with pytest.raises(AttributeError, match="has no field"):
            api(method, "missing")
        with pytest.raises(TypeError, match="CyclicDecayField"):
            api(method, "name")
    with pytest.raises(TypeError, match="unsaved"):
        api(Rhythm(name="new").strengthen_cycle, "r")
    with pytest.raises(ValueError, match="finite"):
        api(still.strengthen_cycle, "r", math.inf)


def test_many_calls_in_one_pipeline_all_count(redis_client: redis.Redis, rhythm: Rhythm) -> None:
    pipeline = redis_client.pipeline()
    for _ in range(3):
        rhythm.strengthen_cycle("r", 2, pipeline=pipeline)
    rhythm.resolve_pressure("r", pipeline=pipeline)
    pipeline.execute()
    assert cycles_of(redis_client)[1][1] == 8.0
    with transaction() as together:
        rhythm.weaken_cycle("r", 0.5, pipeline=together)
        rhythm.touch("r", pipeline=together)
    assert together.results[0][1] == [DAILY, 4.0, 60]


# Where companions go ---------------------------------------------------------------------------


def test_companions_follow_their_record(
    api: Api, redis_client: redis.Redis, rhythm: Rhythm
) -> None:
    rhythm.strengthen_cycle("r", 2)
    rhythm.agent = "b"
    assert rhythm.strengthen_cycle("r", 2)[1][1] == 4.0
    api(rhythm.save, update_fields=["agent"])
    assert redis_client.exists(CYCLES, PRESSURE) == 0
    rhythm.name, rhythm.agent = "y", "c"
    api(rhythm.save, migrate_key=True)
    key = "$CyclicDecayF:Rhythm:r:c"
    assert cycles_of(redis_client, "y", f"{key}:cycles")[1][1] == 4.0
    assert sorted(redis_client.keys("$Cyclic*")) == [
        each.encode() for each in (key, f"{key}:cycles", f"{key}:pressure")
    ]
    assert Rhythm.check_indexes()["total"] == 0
    assert Rhythm.rebuild_indexes() == 1
    assert cycles_of(redis_client, "y", f"{key}:cycles")[1][1] == 4.0
    rhythm.agent = "changed in memory only"
    api(rhythm.delete)
    assert redis_client.keys("*Rhythm*") == []


def test_upkeep_finds_what_is_left(redis_client: redis.Redis, rhythm: Rhythm) -> None:
    redis_client.delete("Rhythm:x")
    report = Rhythm.check_indexes()
    assert report["companions"] == {"r:cycles": 1, "r:pressure": 1, "proposals": 0}
    Rhythm.clean_indexes()
    assert redis_client.keys("$Cyclic*") == []
