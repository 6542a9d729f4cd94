"""Statements about memory fields that the suites of the single fields did not make."""

from __future__ import annotations

import importlib
from typing import Any

import msgpack
import pytest
import redis

import popoto
from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    DecimalField,
    Defaults,
    EventStreamMixin,
    ExistenceFilter,
    Field,
    FrequencySketch,
    InteractionWeight,
    KeyField,
    Model,
    ModelException,
    PredictionLedgerMixin,
    SkipSaveException,
    StringField,
    TemporalPeriod,
    WriteFilterMixin,
    clock,
)
from popoto.fields.decaying_sorted_field import DECAY_SCORE_LUA
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.memory.decay.formula import decay_score
from tests.driver import Api

NOW, DAY = 1_700_000_000.0, 86_400

# ── Names ────────────────────────────────────────────────────────────────────

NAMES = """DecayingSortedField CyclicDecayField ConfidenceField CoOccurrenceField ExistenceFilter
FrequencySketch AccessTrackerMixin WriteFilterMixin EventStreamMixin PredictionLedgerMixin
ObservationProtocol RecallProposal TemporalPeriod InteractionWeight Defaults SkipSaveException"""

MODULES = {
    "decaying_sorted_field": "DecayingSortedField DECAY_SCORE_LUA",
    "cyclic_decay_field": "CyclicDecayField CYCLIC_DECAY_LUA",
    "access_tracker": "AccessTrackerMixin",
    "observation": "ObservationProtocol RecallProposal VALID_OUTCOMES ACTED_CONFIDENCE_SIGNAL "
    "CONTRADICTED_CONFIDENCE_SIGNAL ACTED_CYCLE_STRENGTHEN_FACTOR DISMISSED_CYCLE_WEAKEN_FACTOR "
    "CONTRADICTED_CYCLE_WEAKEN_FACTOR AUTO_DISCHARGE_CONFIDENCE_THRESHOLD",
    "confidence_field": "ConfidenceField",
    "prediction_ledger": "PredictionLedgerMixin",
    "write_filter": "WriteFilterMixin",
    "event_stream": "EventStreamMixin",
    "co_occurrence_field": "CoOccurrenceField",
    "existence_filter": "ExistenceFilter FrequencySketch tokenize",
    "_tokenizer": "tokenize STOP_WORDS MIN_TOKEN_LENGTH",
    "constants": "Defaults InteractionWeight TemporalPeriod",
}


def test_names_of_the_package() -> None:
    for name in NAMES.split():
        assert name in popoto.__all__
        assert hasattr(popoto, name)
    assert SkipSaveException.__module__ == "popoto.exceptions"
    assert issubclass(SkipSaveException, ModelException)


@pytest.mark.parametrize("module", MODULES)
def test_names_of_modules(module: str) -> None:
    found = importlib.import_module(f"popoto.fields.{module}")
    for name in MODULES[module].split():
        assert hasattr(found, name)


class Everything(PredictionLedgerMixin, WriteFilterMixin, AccessTrackerMixin, Model):
    name = KeyField()
    relevance = DecayingSortedField()
    rhythm = CyclicDecayField()
    sure = ConfidenceField()
    links = CoOccurrenceField()
    words = ExistenceFilter()
    counts = FrequencySketch()

    def compute_filter_score(self) -> float:
        return 0.5


class Reversed(
    EventStreamMixin, AccessTrackerMixin, WriteFilterMixin, PredictionLedgerMixin, Model
):
    name = KeyField()

    def compute_filter_score(self) -> float:
        return 0.5


def test_a_field_is_reached_by_its_name_in_three_ways() -> None:
    assert Everything._meta.fields["links"] is Everything.links
    assert Everything._options.fields["sure"] is Everything.sure


def test_mixins_go_together_in_any_order(api: Api) -> None:
    for model in (Everything, Reversed):
        record = api(model.create, name="x")
        record.on_read()
        assert api(record.confirm_access) == 1
        api(model.record_prediction, record, {"x": 1})
        assert api(model.auto_resolve, record, "used") == 0.3


def test_what_fields_derive_from() -> None:
    assert issubclass(DecayingSortedField, (SortedFieldMixin, Field))
    assert issubclass(CyclicDecayField, DecayingSortedField)
    for kind in (ConfidenceField, CoOccurrenceField, ExistenceFilter, FrequencySketch):
        assert issubclass(kind, Field)


class Fading(DecayingSortedField):
    """A field of a user's own."""


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (DecayingSortedField, "$DecayingSortF"),
        (CyclicDecayField, "$CyclicDecayF"),
        (ConfidenceField, "$ConfidencF"),
        (CoOccurrenceField, "$CoOccurrencF"),
        (ExistenceFilter, "$ExistenceFilterF"),
        (FrequencySketch, "$requencySketchF"),
        (Fading, "$adingF"),
    ],
)
def test_what_keys_of_a_field_begin_with(kind: Any, prefix: str) -> None:
    assert str(kind.field_class_key) == prefix


# ── Keys and stored values ───────────────────────────────────────────────────


class Mem(Model):
    agent = KeyField()
    name = KeyField()
    topic = StringField(null=True)
    rel = DecayingSortedField(partition_by="agent")
    rhythm = CyclicDecayField(partition_by="topic")
    pconf = ConfidenceField(partition_by="agent")
    links = CoOccurrenceField()


def test_the_keys_of_the_example(redis_client: redis.Redis) -> None:
    with clock.using(NOW):
        record = Mem.create(agent="a-1/b", name="zeta")
    assert record.pk == "Mem:a/-1//b:zeta"
    assert redis_client.zscore("$DecayingSortF:Mem:rel:a/-1//b", record.pk) == NOW
    assert redis_client.hexists("$ConfidencF:Mem:pconf:data:a-1/b", record.pk)
    # None is a text like others, for sorted sets.
    assert redis_client.zscore("$CyclicDecayF:Mem:rhythm:None", record.pk) == NOW
    stored = redis_client.hgetall(record.pk)
    assert stored[b"rel"] == msgpack.packb(NOW)
    assert stored[b"pconf"] == msgpack.packb(0.5)
    assert stored[b"links"] == b"\xc0"
    found = DecayingSortedField.get_partitioned_sortedset_db_key(record, "rel").redis_key
    assert found == "$DecayingSortF:Mem:rel:a/-1//b"


# ── Decay ────────────────────────────────────────────────────────────────────


class Aged(Model):
    name = KeyField()
    base = DecimalField(null=True)
    topic = StringField(default="a")
    moment = DecayingSortedField(decay_rate=0.5, base_score_field="base")
    apart = DecayingSortedField(partition_by="topic")


@pytest.mark.single_server("its script takes record keys as 1.6 does, without a hash tag")
def test_a_text_that_only_looks_like_a_decimal_counts_one(redis_client: redis.Redis) -> None:
    with clock.using(NOW - 4 * DAY):
        record = Aged.create(name="x", base="2.5")
    score = lambda: float(  # noqa: E731
        redis_client.eval(DECAY_SCORE_LUA, 1, "$DecayingSortF:Aged:moment", NOW, 0.5, 1, "base")[1]
    )
    assert score() == pytest.approx(1.25)
    tagged = {"__Decimal__": True, "as_encodable": "no number"}
    redis_client.hset(record.pk, "base", msgpack.packb(tagged))
    assert score() == pytest.approx(0.5)
    redis_client.hdel(record.pk, "base")
    assert score() == pytest.approx(0.5)
    redis_client.delete(record.pk)
    assert score() == pytest.approx(0.5)


def test_a_partition_is_one_name_or_several() -> None:
    assert DecayingSortedField(partition_by=("a", "b")).partition_by == ("a", "b")
    assert ConfidenceField(partition_by="a").partition_by == ("a",)
    with pytest.warns(DeprecationWarning, match="partition_by"):
        assert DecayingSortedField(sort_by="a").partition_by == ("a",)
    with pytest.raises(ModelException, match="not both"):
        DecayingSortedField(sort_by="a", partition_by="b")
    for kind in (DecayingSortedField, CyclicDecayField, ConfidenceField):
        with pytest.raises(ModelException, match="partition_by"):
            kind(partition_by=3)


def test_a_moment_is_a_float_before_it_is_saved() -> None:
    assert Aged(name="x").moment is None
    assert repr(Aged(name="x", moment=5).moment) == "5.0"


def test_moments_are_looked_up_like_other_sorted_values(api: Api) -> None:
    for day in range(4):
        with clock.using(NOW + day * DAY):
            api(Aged.create, name=str(day))

    def found(**conditions: Any) -> list[str]:
        return sorted(each.name for each in api(Aged.query.filter(**conditions).all))

    assert found(moment=NOW) == ["0"]
    assert found(moment__gt=NOW + DAY) == ["2", "3"]
    assert found(moment__gte=NOW + DAY) == ["1", "2", "3"]
    assert found(moment__lt=NOW + DAY) == ["0"]
    assert found(moment__lte=NOW + DAY) == ["0", "1"]
    assert found(moment__between=(NOW + DAY, NOW + 2 * DAY)) == ["1", "2"]
    assert found(topic="a", apart__gt=NOW + 2 * DAY) == ["3"]


def test_orphans_with_fresh_moments_take_no_place(redis_client: redis.Redis) -> None:
    with clock.using(NOW - DAY):
        Aged.bulk_create([Aged(name=f"n{number}") for number in range(10)])
    redis_client.zadd("$DecayingSortF:Aged:moment", {"Aged:gone": NOW, "Aged:gone too": NOW})
    with clock.using(NOW):
        assert [each.name for each in Aged.query.top_by_decay("moment", n=1)] == ["n0"]
        assert len(Aged.query.top_by_decay("moment", n=10)) == 10


def test_errors_come_in_an_order(api: Api) -> None:
    """An unknown field before a wrong one, that before no pressure, that before unsaved."""

    class Cyclic(Model):
        name = KeyField()
        plain = DecayingSortedField()
        calm = CyclicDecayField()
        tense = CyclicDecayField(pressure_rate=1)

    unsaved = Cyclic(name="x")
    for method in (unsaved.touch, unsaved.resolve_pressure, unsaved.strengthen_cycle):
        with pytest.raises(AttributeError, match="has no field"):
            api(method, "missing")
        with pytest.raises(TypeError, match=r"DecayingSortedField|CyclicDecayField"):
            api(method, "name")
    with pytest.raises(TypeError, match="CyclicDecayField"):
        api(unsaved.weaken_cycle, "plain")
    with pytest.raises(TypeError, match="pressure_rate"):
        api(unsaved.resolve_pressure, "calm")
    with pytest.raises(TypeError, match="unsaved"):
        api(unsaved.resolve_pressure, "tense")


def test_the_methods_work_on_an_instance_that_a_query_has_found(api: Api) -> None:
    Everything.create(name="x")
    (found,) = api(Everything.query.filter(name="x").all)
    with clock.using(NOW):
        assert api(found.touch, "rhythm") == NOW
    assert Everything.query.get(name="x").rhythm == NOW


def test_cycles_pressure_and_clock_are_independent(redis_client: redis.Redis) -> None:
    class Swing(Model):
        name = KeyField()
        r = CyclicDecayField(cycles=[(DAY, 1.0)], pressure_rate=0.5)

    key = "$CyclicDecayF:Swing:r"

    def state() -> tuple[Any, Any, Any]:
        cycles, tension = (
            msgpack.unpackb(redis_client.hget(f"{key}:{kind}", "Swing:x"))
            for kind in ("cycles", "pressure")
        )
        return redis_client.zscore(key, "Swing:x"), cycles[0][1], tension["last_resolved"]

    with clock.using(NOW):
        record = Swing.create(name="x")
    with clock.using(NOW + 1):
        record.touch("r")
    assert state() == (NOW + 1, 1.0, NOW)
    with clock.using(NOW + 2):
        record.resolve_pressure("r")
    assert state() == (NOW + 1, 1.0, NOW + 2)
    with clock.using(NOW + 3):
        record.strengthen_cycle("r", 2)
    assert state() == (NOW + 1, 2.0, NOW + 2)
    with clock.using(NOW + 4):
        record.save()
    assert state() == (NOW + 4, 2.0, NOW + 2)


# ── Confidence ───────────────────────────────────────────────────────────────


def test_options_of_a_confidence_can_be_overridden() -> None:
    field = ConfidenceField(initial_confidence=1)
    assert (field.type, field.null, field.default, field.initial_confidence) == (float, True, 1, 1)
    field = ConfidenceField(null=False, default=0.25)
    assert (field.null, field.default, field.initial_confidence) == (False, 0.25, 0.5)


def test_a_confidence_of_several_partitions(redis_client: redis.Redis) -> None:
    class Scoped(Model):
        name = KeyField()
        project = StringField()
        kind = StringField()
        sure = ConfidenceField(partition_by=("project", "kind"))

    Scoped.create(name="x", project="atlas", kind="facts")
    assert redis_client.hkeys("$ConfidencF:Scoped:sure:data:atlas:facts") == [b"Scoped:x"]
    assert ConfidenceField.get_confidence_filtered(Scoped, "sure") == {}


# ── Constants ────────────────────────────────────────────────────────────────

DEFAULTS = {
    "DECAY_RATE": 0.1,
    "INITIAL_CONFIDENCE": 0.5,
    "ACTED_CONFIDENCE_SIGNAL": 0.9,
    "CONTRADICTED_CONFIDENCE_SIGNAL": 0.1,
    "ACTED_CYCLE_STRENGTHEN_FACTOR": 1.2,
    "DISMISSED_CYCLE_WEAKEN_FACTOR": 0.8,
    "CONTRADICTED_CYCLE_WEAKEN_FACTOR": 0.5,
    "AUTO_DISCHARGE_CONFIDENCE_THRESHOLD": 0.1,
    "WF_MIN_THRESHOLD": 0.1,
    "WF_PRIORITY_THRESHOLD": 0.7,
    "CO_OCCURRENCE_DECAY_FACTOR": 0.95,
    "CO_OCCURRENCE_INITIAL_WEIGHT": 0.1,
    "CO_OCCURRENCE_DECAY_PER_HOP": 0.5,
    "PL_CONFIDENCE_ERROR_THRESHOLD": 0.7,
    "PL_CONFIDENCE_LOW_SIGNAL": 0.2,
    "PL_AUTO_RESOLVE_ACTED": 0.1,
    "PL_AUTO_RESOLVE_USED": 0.3,
    "PL_AUTO_RESOLVE_DISMISSED": 0.5,
    "PL_AUTO_RESOLVE_CONTRADICTED": 0.9,
    "ADAPTIVE_QUALITY_WINDOW_SIZE": 20,
    "MIN_EVENTS_FOR_CRYSTALLIZATION": 3,
    "WILSON_CI_THRESHOLD": 0.6,
    "TD_ALPHA": 0.1,
    "TD_GAMMA": 0.95,
    "CHI_SQUARED_P_THRESHOLD": 0.05,
    "INITIAL_CYCLE_AMPLITUDE": 0.5,
    "COMPETITIVE_SUPPRESSION_SIGNAL": 0.3,
    "DEFAULT_SURFACING_THRESHOLD": 0.5,
}


def test_defaults_have_the_values_of_1_6() -> None:
    assert {name: getattr(Defaults, name) for name in DEFAULTS} == DEFAULTS


def test_lengths_of_cycles() -> None:
    periods = ("DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY")
    found = [getattr(TemporalPeriod, name) for name in periods]
    assert found == [days * DAY for days in (1, 7, 30, 90, 365)]
    assert all(type(each) is int for each in found)


@pytest.mark.parametrize(
    ("source", "role", "weight", "days"),
    [
        ("HUMAN", "EXECUTIVE", 50, 2500),
        ("HUMAN", "MANAGER", 22, 484),
        ("HUMAN", "PEER", 12, 144),
        ("AGENT", "PEER", 7, 49),
        ("AGENT", "SUBORDINATE", 2, 4),
        ("SYSTEM", "MANAGER", 16.2, 262.44),
        ("SYSTEM", "SUBORDINATE", 1.2, 1.44),
    ],
)
def test_weights_of_who_acted(source: str, role: str, weight: float, days: float) -> None:
    found = InteractionWeight.combine(
        getattr(InteractionWeight, source), getattr(InteractionWeight, role)
    )
    assert found == pytest.approx(weight)
    assert decay_score(NOW - days * DAY, NOW, 0.5, found) == pytest.approx(1.0)


def test_a_heavy_weight_after_a_month() -> None:
    assert decay_score(NOW - 30 * DAY, NOW, 0.5, 50) == pytest.approx(9.12871, rel=1e-5)
    assert decay_score(NOW - 30 * DAY, NOW, 0.1, 50) == pytest.approx(35.5843, rel=1e-5)
