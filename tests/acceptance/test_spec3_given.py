"""What memory primitives are given that is no name, model or number is told of as that."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    Defaults,
    ExistenceFilter,
    FrequencySketch,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    PredictionLedgerMixin,
    QueryException,
    WriteFilterMixin,
)
from popoto.fields._tokenizer import tokenize
from tests.driver import Api
from tests.interop.layout import dump


class Given(AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    sure = ConfidenceField(partition_by="name")
    moment = DecayingSortedField(partition_by="name")
    cycle = CyclicDecayField(cycles=[(60, 1.0)], pressure_rate=0.1)
    known = ExistenceFilter(capacity=100)
    counted = FrequencySketch(width=50, depth=3)


class Derived(Given):
    known = ExistenceFilter(capacity=5000)
    counted = FrequencySketch(width=70, depth=2)


class Bare(Model):
    name = KeyField()


G: Any = Given
SURE: Any = ConfidenceField
CYCLE: Any = CyclicDecayField
PROTOCOL: Any = ObservationProtocol

# ── Names of fields ──────────────────────────────────────────────────────────

NO_NAMES: list[Any] = [["moment"], {"moment"}, {}, ("moment",), 5, True, b"moment"]

BY_NAME: dict[str, tuple[Callable[[Any, Any], Any], type[Exception], str]] = {
    "touch": (lambda one, name: one.touch(name), AttributeError, "has no field"),
    "pressure": (lambda one, name: one.resolve_pressure(name), AttributeError, "has no field"),
    "amplitudes": (lambda one, name: one.weaken_cycle(name), AttributeError, "has no field"),
    "save": (lambda one, name: one.save(update_fields=[name]), ModelException, "Unknown field"),
    "ranking": (lambda _, name: G.query.top_by_decay(name), QueryException, "has no field"),
    "base": (
        lambda _, name: G.query.filter(name="a").top_by_decay("moment", base_score_field=name),
        QueryException,
        "must be a field's name",
    ),
    "signal": (
        lambda one, name: SURE.update_confidence(one, name, 0.5),
        TypeError,
        "is not a ConfidenceField",
    ),
    "confidence": (
        SURE.get_confidence,
        TypeError,
        "is not a ConfidenceField",
    ),
    "evidence": (
        SURE.get_confidence_data,
        TypeError,
        "is not a ConfidenceField",
    ),
    "scan": (
        lambda _, name: SURE.get_confidence_filtered(G, name),
        TypeError,
        "is not a ConfidenceField",
    ),
    "migration": (
        lambda _, name: SURE.migrate_to_partitioned(G, name),
        ModelException,
        "is no ConfidenceField",
    ),
    "sorted set": (
        CYCLE.get_partitioned_sortedset_db_key,
        ModelException,
        "no sorted field",
    ),
}


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
@pytest.mark.parametrize("what", BY_NAME)
def test_what_is_no_name_is_the_name_of_no_field(
    what: str, name: Any, redis_client: redis.Redis
) -> None:
    call, error, told = BY_NAME[what]
    one = Given.create(name="a")
    before = dump(redis_client)
    with pytest.raises(error, match=told):
        call(one, name)
    assert dump(redis_client) == before


@pytest.mark.parametrize("outcome", [["acted"], {}, None, 5, {"acted"}])
def test_what_is_no_word_is_no_outcome(outcome: Any, api: Api, redis_client: redis.Redis) -> None:
    one = Given.create(name="a")
    before = dump(redis_client)
    with pytest.raises(ValueError, match="Invalid outcome"):
        api(G.auto_resolve, one, outcome)
    told = r"Invalid outcome .*Given:a.*\['acted', 'contradicted'"
    with pytest.raises(ValueError, match=told):
        PROTOCOL.on_context_used([one], {"Given:a": outcome})
    with pytest.raises(ValueError, match=told):
        api.run(PROTOCOL.async_on_context_used([one], {"Given:a": outcome}))
    assert dump(redis_client) == before


@pytest.mark.parametrize("pattern", [None, 5, b"Given:*", ["Given:*"]])
def test_a_pattern_is_a_text(pattern: Any, api: Api) -> None:
    with pytest.raises(TypeError, match="pattern must be a text"):
        api(SURE.get_confidence_filtered, G, "sure", pattern)


# ── Models and records ───────────────────────────────────────────────────────

OF_RECORDS: dict[str, Callable[[Any], Any]] = {
    "evidence": lambda given: G.sure.get_data_hash_key(given, "sure"),
    "former evidence": lambda given: G.sure.get_old_data_hash_key(given, "sure"),
    "cycles": lambda given: G.cycle.get_cycles_hash_key(given, "cycle"),
    "pressure": lambda given: G.cycle.get_pressure_hash_key(given, "cycle"),
    "moments": lambda given: G.moment.get_partitioned_sortedset_db_key(given, "moment"),
}
OF_MODELS: dict[str, Callable[[Any], Any]] = {
    "evidence": lambda given: G.sure.get_data_hash_key_from_values(given, "sure", name="a"),
    "cycles": lambda given: CYCLE.get_cycles_hash_key_from_parts(given, "cycle"),
    "pressure": lambda given: CYCLE.get_pressure_hash_key_from_parts(given, "cycle"),
    "migration": lambda given: SURE.migrate_to_partitioned(given, "sure"),
}


@pytest.mark.parametrize("given", [Given, "Given:a", None, 5], ids=repr)
@pytest.mark.parametrize("what", OF_RECORDS)
def test_the_key_of_a_record_is_that_of_a_record(what: str, given: Any) -> None:
    with pytest.raises(TypeError, match="takes a record"):
        OF_RECORDS[what](given)


@pytest.mark.parametrize("given", ["Given", None, 5, object], ids=repr)
@pytest.mark.parametrize("what", OF_MODELS)
def test_the_key_of_a_model_is_that_of_a_model(what: str, given: Any) -> None:
    with pytest.raises(TypeError, match="takes a model"):
        OF_MODELS[what](given)


ABOUT_WORDS: dict[str, Callable[[Api, Any], Any]] = {
    "might_exist": lambda api, model: api(G.known.might_exist, model, "some"),
    "missing": lambda api, model: api(G.known.definitely_missing, model, "some"),
    "batch": lambda api, model: api(G.known.might_exist_batch, model, ["some"]),
    "count": lambda api, model: api(G.known.might_exist_count, model, ["some"]),
    "fill": lambda api, model: api(G.known.fill_ratio, model),
    "frequency": lambda api, model: api(G.counted.get_frequency, model, "some"),
}


@pytest.mark.parametrize("given", [None, "Given", 5, Model, object], ids=repr)
@pytest.mark.parametrize("what", ABOUT_WORDS)
def test_words_are_those_of_a_model(what: str, given: Any, api: Api) -> None:
    with pytest.raises(AttributeError, match="a model class is expected"):
        ABOUT_WORDS[what](api, given)


@pytest.mark.parametrize("what", ABOUT_WORDS)
def test_a_model_without_words_is_not_said_to_lack_one(what: str, api: Api) -> None:
    with pytest.raises(TypeError, match="Bare has no"):
        ABOUT_WORDS[what](api, Bare)


def test_words_of_a_derived_model_are_asked_for_in_its_own_form(api: Api) -> None:
    Derived.create(name="heather")
    assert api(G.known.might_exist, Derived, "heather") is True
    assert api(G.known.might_exist, Given, "heather") is False
    assert api(G.counted.get_frequency, Derived, "heather") == 1
    assert 0 < api(G.known.fill_ratio, Derived) < 0.01


@pytest.mark.parametrize("given", [None, 5])
def test_a_batch_of_words_is_a_list(given: Any, api: Api) -> None:
    with pytest.raises(TypeError, match="a batch is a list of texts"):
        api(G.known.might_exist_batch, Given, given)


@pytest.mark.parametrize("given", [b"some words", 5, ["some"], True])
def test_words_are_those_of_a_text(given: Any) -> None:
    with pytest.raises(AttributeError, match="words are those of a text"):
        tokenize(given)


# ── Numbers ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [float("-inf"), -1, 0, 0.0, None])
def test_a_rate_is_above_0(rate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if rate is None:
        monkeypatch.setattr(Defaults, "DECAY_RATE", -1)
    with pytest.raises(ModelException, match="decay_rate must be > 0"):
        CyclicDecayField(decay_rate=rate)


@pytest.mark.parametrize(
    "name", [name for name in dir(Defaults) if name.isupper() and name != "HASH_VERSION"]
)
def test_a_default_stays_a_number(name: str) -> None:
    before = getattr(Defaults, name)
    for given in (None, "0.5", True, [], float("nan")):
        with pytest.raises((TypeError, ValueError), match=rf"Defaults\.{name} must be a number"):
            setattr(Defaults, name, given)
    assert getattr(Defaults, name) is before


def test_an_infinite_threshold_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "WF_PRIORITY_THRESHOLD", float("inf"))
    monkeypatch.setattr(Defaults, "WF_MIN_THRESHOLD", Decimal("0.2"))
    assert math.isinf(Defaults.WF_PRIORITY_THRESHOLD)


NO_SETTINGS: list[tuple[str, Any]] = [
    *(
        (name, given)
        for name in (
            "_wf_min_threshold",
            "_wf_priority_threshold",
            "_pl_confidence_error_threshold",
            "_pl_confidence_low_signal",
        )
        for given in (None, "0.5", True, float("nan"), [])
    ),
    ("_pl_partition", None),
    ("_pl_partition", ""),
    ("_pl_partition", 5),
    ("_pl_auto_resolve_errors", None),
    ("_pl_auto_resolve_errors", ["acted"]),
]


@pytest.mark.parametrize(("name", "given"), NO_SETTINGS)
def test_a_setting_that_is_none_is_told_of_when_the_class_is_made(name: str, given: Any) -> None:
    with pytest.raises(ModelException, match=rf"Settled\.{name} must be"):
        type(
            "Settled",
            (WriteFilterMixin, PredictionLedgerMixin, Model),
            {"name": KeyField(), name: given, "__module__": __name__},
        )


def test_settings_may_be_infinite_or_computed() -> None:
    class Settling(WriteFilterMixin, PredictionLedgerMixin, Model):
        name = KeyField()
        _wf_priority_threshold = float("inf")
        _pl_auto_resolve_errors = {"acted": 0.25, "unheard": Decimal(1)}

        @property
        def _wf_min_threshold(self) -> float:
            return 0.5 if self.name == "strict" else 0.0

        def compute_filter_score(self) -> float:
            return 0.3

    assert Settling(name="strict").save() is False
    assert Settling(name="mild").save() is not False


# ── Reads ────────────────────────────────────────────────────────────────────


def test_a_record_that_is_asked_for_twice_was_read_once(
    api: Api, redis_client: redis.Redis
) -> None:
    Given.create(name="a")
    assert len(api(Given.query.get_many, ["Given:a", "Given:a"])) == 2
    assert redis_client.llen("$AT:Given:staged:Given:a") == 1
