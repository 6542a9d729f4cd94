"""`PredictionLedgerMixin`: errors, resolutions, what follows from them, and summaries."""

from __future__ import annotations

import datetime
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from popoto import (
    ConfidenceField,
    Defaults,
    EventStreamMixin,
    KeyField,
    Model,
    ModelException,
    ObservationProtocol,
    PredictionLedgerMixin,
    clock,
    get_redis,
    transaction,
)
from popoto.fields.predictions import ledger
from popoto.memory.prediction.formula import prediction_error, statistics_of
from tests.driver import Api

NOW = 1_700_000_000.5
ERRORS = "$PL:Guess:errors:default"


class Guess(PredictionLedgerMixin, Model):
    name = KeyField()
    sure = ConfidenceField(initial_confidence=0.8)


class Told(PredictionLedgerMixin, EventStreamMixin, Model):
    name = KeyField()
    sure = ConfidenceField()

    _pl_partition = "told"


@pytest.fixture
def guess() -> Guess:
    return Guess.create(name="x")


# Errors ----------------------------------------------------------------------------------------

WORKED = [
    ({"r": 0.9}, {"r": 0.3}, 0.6),
    ({"x": 100}, {"x": 50}, 0.5),
    ({"x": 0.0}, {"x": 0}, 0),
    ({"s": "a"}, {"s": "A"}, 1),
    ({"a": 0.5, "b": 0.5}, {"a": 0.5}, 0.5),
    ({"num": 1.0, "str": "yes"}, {"num": 0.5, "str": "yes"}, 0.25),
    ({"a": 0.2, "b": 10, "c": "k"}, {"a": 0.5, "b": 7, "d": "k"}, 0.65),
    ({"x": True}, {"x": False}, 1),
    ({"x": True}, {"x": 1}, 0),
    ({"x": [1]}, {"x": [2]}, 1),
    ({"x": "1"}, {"x": 1}, 1),
    # At most 1 for each key, as the documentation of popoto 1.6 promises.
    ({"x": -5}, {"x": 5}, 1),
    ({"x": 3}, {"x": -4}, 1),
    ({}, {}, 0),
    ({"x": math.inf}, {"x": math.inf}, 1),
    ({"x": math.nan}, {"x": 1}, 1),
    # An int that no float can hold.
    ({"x": 10**400}, {"x": 0.5}, 1),
    ({"x": 10**400}, {"x": 10**400 - 1}, 0),
]


@pytest.mark.parametrize(("predicted", "actual", "error"), WORKED)
def test_errors_of_the_contract(predicted: Any, actual: Any, error: float) -> None:
    assert Guess.compute_prediction_error(predicted, actual) == pytest.approx(error)


_VALUES = st.dictionaries(
    st.sampled_from("abc"), st.one_of(st.floats(), st.integers(), st.text(), st.booleans())
)


@pytest.mark.parametrize(
    ("predicted", "actual", "name"), [(0.5, {}, "predicted"), ({}, [0.5], "actual")]
)
def test_what_has_no_keys_is_named(predicted: Any, actual: Any, name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"{name} has none: .*{type(predicted or actual).__name__}"
    ):
        prediction_error(predicted, actual)


@given(predicted=_VALUES, actual=_VALUES)
def test_errors_are_from_0_to_1(predicted: Any, actual: Any) -> None:
    assert 0 <= prediction_error(predicted, actual) <= 1


# Recording and resolving -----------------------------------------------------------------------

ODD = {"x": 1.0, "n": None, "d": {}, "l": [], "b": b"\xff", "i": 2**53 + 1, "t": "ü" * 300}


def test_what_was_predicted_survives(api: Api, redis_client: redis.Redis, guess: Guess) -> None:
    with clock.using(NOW):
        assert api(Guess.record_prediction, guess, ODD) is None
    entry = {
        "predicted": ODD,
        "resolved": False,
        "resolution_mode": None,
        "prediction_error": None,
        "resolved_at": None,
        "recorded_at": NOW,
    }
    assert api(Guess.get_prediction_data, guess) == entry
    assert redis_client.hkeys("$PL:Guess:meta:Guess:x") == [b"Guess:x"]
    with clock.using(NOW + 1):
        assert api(Guess.auto_resolve, guess, "used") == 0.3
    assert api(Guess.get_prediction_data, guess) == {
        **entry,
        "resolved": True,
        "resolution_mode": "observed",
        "prediction_error": 0.3,
        "resolved_at": str(NOW + 1),
    }
    assert redis_client.zscore(ERRORS, "Guess:x") == 0.3


#: Of numbers, and of extensions of fixed sizes, in the order of their first bytes.
SIZES = (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17)
#: Every form of MessagePack: whoever stored it may have chosen any.
FORMS = [
    *(
        b"\xc0",
        b"\xc2",
        b"\xc3",
        b"\x05",
        b"\xff",
        b"\xa2hi",
        b"\x91\x01",
        b"\x82\xa1a\x01\xa1b\xc0",
    ),
    *(bytes([head]) + bytes(size) for head, size in zip(range(0xCA, 0xD9), SIZES, strict=True)),
    *(head + b"abc" for head in (b"\xc4\x03", b"\xc5\x00\x03", b"\xc6\x00\x00\x00\x03")),
    *(head + b"\x07abc" for head in (b"\xc7\x03", b"\xc8\x00\x03", b"\xc9\x00\x00\x00\x03")),
    *(head + b"abc" for head in (b"\xd9\x03", b"\xda\x00\x03", b"\xdb\x00\x00\x00\x03")),
    b"\xda\x01\x02" + b"x" * 258,
    *(head + b"\x01\xa1a" for head in (b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02")),
    *(head + b"\xa1a\x01\xa1b\x90" for head in (b"\xde\x00\x02", b"\xdf\x00\x00\x00\x02")),
]


@pytest.mark.parametrize("form", FORMS, ids=bytes.hex)
def test_it_survives_in_whatever_form_it_is_stored(
    form: bytes, redis_client: redis.Redis, guess: Guess
) -> None:
    head, end = b"\xa9predicted" + form + b"\xa8resolved", b"\xabrecorded_at\xa3now"
    redis_client.hset("$PL:Guess:meta:Guess:x", "Guess:x", b"\x83" + head + b"\xc2" + end)
    assert Guess.auto_resolve(guess, "used") == 0.3
    stored = redis_client.hget("$PL:Guess:meta:Guess:x", "Guess:x")
    assert stored.startswith(b"\x86" + head + b"\xc3")
    assert stored.endswith(end)
    assert Guess.auto_resolve(guess, "used") is None


def test_a_prediction_is_resolved_once(api: Api, guess: Guess) -> None:
    assert api(Guess.resolve_prediction, guess, {"x": 1}) is None
    api(Guess.record_prediction, guess, {"x": 100})
    assert api(Guess.resolve_prediction, guess, {"x": 50}) == 0.5
    found = Guess.get_prediction_data(guess)
    assert found is not None
    assert (found["resolution_mode"], found["prediction_error"]) == ("explicit", 0.5)
    assert api(Guess.resolve_prediction, guess, {"x": 1}) is None
    assert api(Guess.auto_resolve, guess, "acted") is None
    api(Guess.record_prediction, guess, {"x": 1})
    assert Guess.get_highest_errors(Guess) == [("Guess:x", 0.5)]
    assert api(Guess.auto_resolve, guess, "acted") == 0.1


def test_refusals(api: Api, redis_client: redis.Redis, guess: Guess) -> None:
    with pytest.raises(ValueError, match="predicted must not be None"):
        api(Guess.record_prediction, guess, None)
    with pytest.raises(ValueError, match="actual must not be None"):
        api(Guess.resolve_prediction, guess, None)
    with pytest.raises(ValueError, match=r"Invalid outcome 'deferred'.*\['acted', 'contra"):
        api(Guess.auto_resolve, guess, "deferred")
    for value in (object(), {"x": 2**70}, {1, 2}):
        with pytest.raises(TypeError):
            api(Guess.record_prediction, guess, value)
    assert api(Guess.record_prediction, guess, {}) is None
    for record in (Guess(name="new"), Guess()):
        with pytest.raises(TypeError, match=r"^record_prediction\(\) requires a saved model inst"):
            api(Guess.record_prediction, record, {})
    redis_client.delete("Guess:x")
    with pytest.raises(TypeError, match=r"^record_prediction\(\) requires a saved model instance"):
        api(Guess.record_prediction, guess, {})
    with pytest.raises(TypeError, match=r"^resolve_prediction\(\) requires a saved model instance"):
        api(Guess.resolve_prediction, guess, {})
    assert api(Guess.auto_resolve, guess, "acted") is None
    assert api(Guess.auto_resolve, Guess(), "acted") is None


def test_a_model_without_a_ledger_is_named(api: Api) -> None:
    class Plain(Model):
        name = KeyField()

    plain = Plain.create(name="x")
    for operation, arguments in (
        (Guess.record_prediction, ({},)),
        (Guess.resolve_prediction, ({},)),
        (Guess.auto_resolve, ("acted",)),
        (Guess.get_prediction_data, ()),
    ):
        told = rf"^{operation.__name__}\(\) takes a record .* PredictionLedgerMixin, and Plain has"
        with pytest.raises(TypeError, match=told):
            api(operation, plain, *arguments)


def test_an_instance_that_was_only_constructed_stands_for_its_stored_record(
    api: Api, guess: Guess
) -> None:
    api(Guess.record_prediction, Guess(name="x"), {"x": 1})
    assert api(Guess.resolve_prediction, Guess(name="x"), {"x": 0.5}) == 0.5
    assert Guess.get_highest_errors(Guess) == [("Guess:x", 0.5)]


def test_keys_of_a_prediction_may_be_numbers(api: Api, guess: Guess) -> None:
    api(Guess.record_prediction, guess, {1: 0.5, 2: "yes"})
    data = api(Guess.get_prediction_data, guess)
    assert data["predicted"] == {1: 0.5, 2: "yes"}
    assert api(Guess.resolve_prediction, guess, {1: 0.5, 2: "no"}) == 0.5


def test_a_key_of_another_program_is_told_and_nothing_is_written(
    api: Api, redis_client: redis.Redis, guess: Guess
) -> None:
    redis_client.set("$PL:Guess:meta:Guess:x", "foreign")
    with pytest.raises(ModelException, match=r"Guess:x' holds a string .*; nothing was written"):
        api(Guess.resolve_prediction, guess, {})


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc1",
        b"\x86\xa9predicted",
        msgpack.packb("text"),
        msgpack.packb([1, 2]),
        msgpack.packb({"predicted": 1, "resolved": True}),
        msgpack.packb({1: 2, "predicted": {}, "resolved": 0}),
    ],
)
def test_damaged_entries_stay_as_they_are(
    stored: bytes, redis_client: redis.Redis, guess: Guess, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.hset("$PL:Guess:meta:Guess:x", "Guess:x", stored)
    assert Guess.auto_resolve(guess, "acted") is None
    assert Guess.resolve_prediction(guess, {}) is None
    assert {each.name for each in caplog.records} <= {"POPOTO.field"}
    assert redis_client.hget("$PL:Guess:meta:Guess:x", "Guess:x") == stored
    assert redis_client.exists(ERRORS) == 0


@pytest.mark.parametrize("entry", [{}, {"resolved": False}, {"resolved": None}, {"more": 1}])
def test_an_entry_that_does_not_say_predicts_nothing(
    entry: dict[str, Any], api: Api, redis_client: redis.Redis, guess: Guess
) -> None:
    stored = msgpack.packb(entry)
    redis_client.hset("$PL:Guess:meta:Guess:x", "Guess:x", stored)
    assert api(Guess.get_prediction_data, guess) == entry
    assert api(Guess.resolve_prediction, guess, {"x": 1}) == 1.0
    found = api(Guess.get_prediction_data, guess)
    assert (found["predicted"], found["resolved"], found["recorded_at"]) == ({}, True, None)
    redis_client.hset("$PL:Guess:meta:Guess:x", "Guess:x", stored)
    assert api(Guess.auto_resolve, guess, "used") == 0.3


def test_entries_with_very_many_values_are_resolved(guess: Guess) -> None:
    """Maps and texts of every size: what was predicted is copied byte for byte."""
    wide = {f"key {n}": [n, "v" * n, {"deep": {"deeper": [None] * n}}] for n in range(300)}
    wide["bytes"], wide["long"] = b"\0" * 70_000, "w" * 70_000
    Guess.record_prediction(guess, wide)
    assert Guess.auto_resolve(guess, "used") == 0.3
    found = Guess.get_prediction_data(guess)
    assert found is not None
    assert found["predicted"] == wide


def test_what_became_of_a_record_that_is_gone_is_no_error(
    api: Api, redis_client: redis.Redis, guess: Guess
) -> None:
    api(Guess.record_prediction, guess, {"x": 1})
    redis_client.delete(guess.pk)
    assert api(Guess.auto_resolve, guess, "acted") is None


def test_an_error_of_the_models_own(api: Api) -> None:
    class Own(PredictionLedgerMixin, Model):
        name = KeyField()

        _pl_auto_resolve_errors = {"acted": -0.25}

        @staticmethod
        def compute_prediction_error(predicted: Any, actual: Any) -> float:
            return -0.75

    record = Own.create(name="x")
    api(PredictionLedgerMixin.record_prediction, record, {})
    assert api(PredictionLedgerMixin.resolve_prediction, record, {}) == -0.75
    assert api(Own.get_highest_errors, Own) == [("Own:x", 0.75)]
    api(Own.record_prediction, record, {})
    assert api(Own.auto_resolve, record, "acted") == -0.25
    with pytest.raises(ValueError, match="Invalid outcome"):
        api(Own.auto_resolve, record, "used")


@pytest.mark.parametrize(
    "error", [math.nan, None, "much", 10**400], ids=["nan", "None", "text", "int"]
)
def test_an_error_of_the_models_own_that_is_no_number_is_refused(
    api: Api, redis_client: redis.Redis, error: Any
) -> None:
    class Own(PredictionLedgerMixin, Model):
        name = KeyField()

        _pl_auto_resolve_errors = {"acted": error}

        @staticmethod
        def compute_prediction_error(predicted: Any, actual: Any) -> float:
            return error  # type: ignore[no-any-return]  # Any: what a model returns is its own

    record = Own.create(name="x")
    Own.record_prediction(record, {})
    before = redis_client.hgetall("$PL:Own:meta:Own:x")
    with pytest.raises(ValueError, match=r"Own.compute_prediction_error\(\) gives .* 'Own:x'"):
        api(Own.resolve_prediction, record, {})
    with pytest.raises(ValueError, match=r"Own._pl_auto_resolve_errors gives .*'Own:x': name"):
        api(Own.auto_resolve, record, "acted")
    assert redis_client.hgetall("$PL:Own:meta:Own:x") == before
    assert api(Own.get_highest_errors, Own) == []


def test_what_an_outcome_stands_for_is_a_number_also_where_it_is_observed(
    redis_client: redis.Redis,
) -> None:
    class Own(PredictionLedgerMixin, Model):
        name = KeyField()
        sure = ConfidenceField()

        _pl_auto_resolve_errors = {"acted": math.nan}

    record = Own.create(name="x")
    Own.record_prediction(record, {})
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    with pytest.raises(ValueError, match=r"Own._pl_auto_resolve_errors gives nan"):
        ObservationProtocol.on_context_used([record], {record.pk: "acted"})
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


def test_a_prediction_that_changes_meanwhile(
    guess: Guess, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    """The error is that of the prediction that is resolved."""
    Guess.record_prediction(guess, {"x": 100})
    compute = Guess.compute_prediction_error
    seen: list[Any] = []

    def slow(predicted: Any, actual: Any) -> float:
        seen.append(predicted)
        if len(seen) == 1:
            Guess.record_prediction(guess, {"x": 10})
        return compute(predicted, actual)

    monkeypatch.setattr(Guess, "compute_prediction_error", staticmethod(slow))
    assert Guess.resolve_prediction(guess, {"x": 5}) == 0.5
    assert seen == [{"x": 100}, {"x": 10}]


def test_a_prediction_that_is_resolved_and_recorded_anew_meanwhile(
    guess: Guess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it was resolved when it was looked at says nothing of the next one."""
    unpacked = ledger.unpacked
    then: list[Callable[[], Any]] = [
        lambda: Guess.auto_resolve(guess, "used"),
        lambda: Guess.record_prediction(guess, {"x": 10}),
    ]

    def late(stored: bytes) -> Any:
        found = unpacked(stored)
        if then:
            then.pop(0)()
        return found

    Guess.record_prediction(guess, {"x": 100})
    monkeypatch.setattr(ledger, "unpacked", late)
    assert Guess.resolve_prediction(guess, {"x": 5}) == 0.5
    assert not then


@pytest.mark.parametrize("is_resolved", [True, False], ids=["resolved", "gone"])
def test_a_prediction_that_is_not_open_any_more_meanwhile(
    guess: Guess, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, is_resolved: bool
) -> None:
    """No error is computed from what nobody predicts any more."""
    seen: list[Any] = []

    def slow(predicted: Any, actual: Any) -> float:
        seen.append(predicted)
        if is_resolved:
            Guess.auto_resolve(guess, "used")
        else:
            redis_client.delete("$PL:Guess:meta:Guess:x")
        return 1.0

    Guess.record_prediction(guess, {"x": 100})
    monkeypatch.setattr(Guess, "compute_prediction_error", staticmethod(slow))
    assert Guess.resolve_prediction(guess, {"x": 5}) is None
    assert seen == [{"x": 100}]
    assert Guess.get_highest_errors(Guess) == ([("Guess:x", 0.3)] if is_resolved else [])
    assert ConfidenceField.get_confidence_data(guess, "sure")["evidence_count"] == 0


def test_of_many_that_resolve_at_once_one_does(guess: Guess) -> None:
    Guess.record_prediction(guess, {"x": 1})
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(Guess.resolve_prediction(guess, {"x": 0})))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=repr) == [1.0, *[None] * 5]
    assert ConfidenceField.get_confidence_data(guess, "sure")["evidence_count"] == 1


# What follows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "confidence"), [(0.7, 0.8), (0.71, 0.2), (1.0, 0.2)])
def test_a_large_error_lowers_confidence(
    api: Api, guess: Guess, error: float, confidence: float
) -> None:
    api(Guess.record_prediction, guess, {"x": 1.0})
    api(Guess.resolve_prediction, guess, {"x": 1.0 - error})
    assert ConfidenceField.get_confidence(guess, "sure") == pytest.approx(confidence)
    assert guess.sure == pytest.approx(confidence)


def test_it_lowers_every_confidence(api: Api) -> None:
    class Pair(PredictionLedgerMixin, EventStreamMixin, Model):
        name = KeyField()
        sure = ConfidenceField(initial_confidence=0.8)
        liked = ConfidenceField(initial_confidence=0.6)

    pair = api(Pair.create, name="x")
    ConfidenceField.update_confidence(pair, "liked", 0.6)
    api(Pair.record_prediction, pair, {"x": 1})
    api(Pair.resolve_prediction, pair, {"x": 0})
    stored = [ConfidenceField.get_confidence(pair, name) for name in ("sure", "liked")]
    assert [pair.sure, pair.liked] == stored
    assert stored == [pytest.approx(0.2), pytest.approx(0.6 - 0.4 / math.sqrt(2))]


def test_an_error_lowers_the_confidence_of_its_own_record_alone() -> None:
    """What is resolved in the same step, of another record, has its own outcome."""
    wrong, settled = Guess.create(name="wrong"), Guess.create(name="settled")
    Guess.record_prediction(wrong, {"x": 1})
    before = ConfidenceField.get_confidence_data(settled, "sure")
    with transaction() as together:
        Guess.auto_resolve(wrong, "contradicted", pipeline=together)
        Guess.auto_resolve(settled, "contradicted", pipeline=together)
    assert together.results == [0.9, None]
    assert ConfidenceField.get_confidence_data(settled, "sure") == before


def test_it_never_raises_it(guess: Guess) -> None:
    ConfidenceField.update_confidence(guess, "sure", 0.05)
    Guess.record_prediction(guess, {"x": 1})
    Guess.resolve_prediction(guess, {"x": 0})
    assert ConfidenceField.get_confidence_data(guess, "sure")["evidence_count"] == 1


def test_numbers_of_defaults_hold_at_each_call(
    guess: Guess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Defaults, "PL_CONFIDENCE_ERROR_THRESHOLD", 0.05)
    monkeypatch.setattr(Defaults, "PL_CONFIDENCE_LOW_SIGNAL", 0.3)
    monkeypatch.setattr(Defaults, "PL_AUTO_RESOLVE_ACTED", 0.15)
    Guess.record_prediction(guess, {})
    assert Guess.auto_resolve(guess, "acted") == 0.15
    assert ConfidenceField.get_confidence(guess, "sure") == pytest.approx(0.3)


def test_resolutions_are_told(api: Api, redis_client: redis.Redis) -> None:
    record = Told.create(name="x")
    api(Told.record_prediction, record, {"x": 1})
    api(Told.auto_resolve, record, "contradicted")
    api(Told.auto_resolve, record, "contradicted")
    events = [fields for _, fields in redis_client.xrange("stream:mutations")]
    assert [each[b"op"] for each in events] == [
        b"create",
        b"confidence_update",
        b"prediction_resolved",
    ]
    assert (events[-1][b"prediction_error"], events[-1][b"resolution_mode"]) == (
        b"0.9",
        b"observed",
    )
    assert redis_client.zscore("$PL:Told:errors:told", "Told:x") == 0.9


def test_whole_numbers_are_told_as_floats(redis_client: redis.Redis) -> None:
    """As popoto 1.6 does, so that readers may compare the texts."""
    record = Told.create(name="x")
    ConfidenceField.update_confidence(record, "sure", 1)
    for actual in (1, 0):
        Told.record_prediction(record, {"x": 1})
        Told.resolve_prediction(record, {"x": actual})
    events = [fields for _, fields in redis_client.xrange("stream:mutations")]
    assert events[1][b"new_confidence"] == b"1.0"
    told = [each[b"prediction_error"] for each in events if b"prediction_error" in each]
    assert told == [b"0.0", b"1.0"]


def test_a_pipeline_and_a_transaction(redis_client: redis.Redis, guess: Guess) -> None:
    pipeline = redis_client.pipeline()
    assert Guess.record_prediction(guess, {"x": 1}, pipeline=pipeline) is pipeline
    assert Guess.auto_resolve(guess, "used", pipeline=pipeline) is pipeline
    assert Guess.get_prediction_data(guess) is None
    pipeline.execute()
    assert Guess.get_highest_errors(Guess) == [("Guess:x", 0.3)]
    Guess.record_prediction(guess, {"x": 1})
    with transaction() as together:
        Guess.resolve_prediction(guess, {"x": 0.5}, pipeline=together)
    assert together.results == [0.5]
    assert Guess._meta_key(guess) == "$PL:Guess:meta:Guess:x"
    assert Guess._error_key(guess) == Guess._error_key(Guess) == ERRORS


# Where it goes ---------------------------------------------------------------------------------


def records(guess: Guess, waiting: Any) -> None:
    Guess.record_prediction(guess, {"x": 4}, pipeline=waiting)


def resolves(guess: Guess, waiting: Any) -> None:
    Guess.resolve_prediction(guess, {"x": 3}, pipeline=waiting)


def resolves_itself(guess: Guess, waiting: Any) -> None:
    Guess.auto_resolve(guess, "used", pipeline=waiting)


def is_used(guess: Guess, waiting: Any) -> None:
    ObservationProtocol.on_context_used([guess], {guess.pk: "used"}, pipeline=waiting)


@pytest.mark.parametrize("in_a_transaction", [True, False], ids=["transaction", "pipeline"])
@pytest.mark.parametrize("before", [None, {"x": 12}], ids=["nothing open", "another open"])
@pytest.mark.parametrize(
    "steps",
    [
        (records, resolves),
        (resolves, records),
        (resolves, resolves),
        (resolves_itself, resolves),
        (is_used, resolves),
        (resolves, records, resolves),
        (records, resolves, is_used),
        (records, is_used, resolves),
    ],
)
def test_what_waits_together_is_resolved_as_one_after_the_other(
    steps: Sequence[Callable[[Guess, Any], None]], before: Any, in_a_transaction: bool
) -> None:
    """Its error is that of the prediction which stands when its turn comes."""
    found: list[Any] = []
    for waits in (True, False):
        guess = Guess.create(name=f"waits: {waits}")
        if before is not None:
            Guess.record_prediction(guess, before)
        waiting: Any = None
        if waits:
            waiting = transaction() if in_a_transaction else get_redis().pipeline()
        for step in steps:
            step(guess, waiting)
        if waits:
            waiting.commit() if in_a_transaction else waiting.execute()
        entry: Any = Guess.get_prediction_data(guess) or {}
        names = ("predicted", "resolved", "resolution_mode", "prediction_error")
        found.append([entry.get(name) for name in names])
    assert found[0] == found[1]


def test_nothing_waits_where_nothing_is_open(guess: Guess) -> None:
    pipeline = get_redis().pipeline()
    assert Guess.resolve_prediction(guess, {"x": 1}, pipeline=pipeline) is pipeline
    assert len(pipeline) == 0
    Guess.record_prediction(guess, {"x": 1}, pipeline=pipeline)
    Guess.resolve_prediction(guess, {"x": 1}, pipeline=pipeline)
    waiting = len(pipeline)
    assert Guess.resolve_prediction(guess, {"x": 1}, pipeline=pipeline) is pipeline
    assert len(pipeline) == waiting


def test_what_waited_in_a_pipeline_before_counts_no_more(guess: Guess) -> None:
    waiting = get_redis().pipeline()
    records(guess, waiting)
    waiting.reset()
    resolves(guess, waiting)
    waiting.execute()
    assert Guess.get_prediction_data(guess) is None


def test_predictions_follow_their_record(api: Api, redis_client: redis.Redis, guess: Guess) -> None:
    Guess.record_prediction(guess, {"x": 1})
    Guess.auto_resolve(guess, "used")
    guess.name = "y"
    api(guess.save, migrate_key=True)
    assert api(Guess.get_prediction_data, guess)["resolved"]
    assert Guess.get_highest_errors(Guess) == [("Guess:y", 0.3)]
    assert redis_client.keys("$PL:*Guess:x") == []
    api(guess.delete)
    assert redis_client.keys("$PL:*") == []
    again = Guess.create(name="y")
    Guess.record_prediction(again, {"x": 1})
    Guess.auto_resolve(again, "used")
    redis_client.delete("Guess:y")
    report = Guess.check_indexes()["companions"]
    assert (report["predictions"], report["prediction_errors"]) == (1, 1)
    Guess.clean_indexes()
    assert redis_client.keys("$PL:*") == []


# Summaries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "count", "mean", "stddev", "p50", "p90", "p99", "most"),
    [
        ([0.5], 1, 0.5, 0, 0.5, 0.5, 0.5, 0.5),
        ([0.1, 0.9], 2, 0.5, 0.4, 0.1, 0.9, 0.9, 0.9),
        ([0.1, 0.2, 0.3, 0.4], 4, 0.25, 0.111803, 0.3, 0.4, 0.4, 0.4),
        ([0.9, 0.5] * 3, 6, 0.7, 0.2, 0.5, 0.9, 0.9, 0.9),
        ([n / 10 for n in range(1, 11)], 10, 0.55, 0.287228, 0.5, 0.9, 1.0, 1.0),
        ([n / 100 for n in range(100)], 100, 0.495, 0.288661, 0.5, 0.89, 0.98, 0.99),
        ([0.1, 0.9, 0.5, 0.3, 0.5, 0.9, 0], 7, 0.457143, 0.328882, 0.5, 0.9, 0.9, 0.9),
        ([math.inf], 1, math.inf, 0, math.inf, math.inf, math.inf, math.inf),
        ([], 0, 0, 0, 0, 0, 0, 0),
    ],
)
def test_statistics_of_the_contract(
    errors: list[float],
    count: int,
    mean: float,
    stddev: float,
    p50: float,
    p90: float,
    p99: float,
    most: float,
    redis_client: redis.Redis,
) -> None:
    expected = {
        "count": count,
        "mean": mean,
        "stddev": stddev,
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": most,
    }
    assert statistics_of(errors) == pytest.approx(expected, abs=5e-7)
    for number, error in enumerate(errors):
        redis_client.zadd(ERRORS, {f"Guess:{number}": error})
    assert Guess.error_summary(Guess) == {"__all__": pytest.approx(expected, abs=5e-7)}


def test_only_the_largest_count(api: Api, redis_client: redis.Redis) -> None:
    for number, error in enumerate([0.1, 0.9, 0.5, 0.3, 0.5, 0.9, 0]):
        redis_client.zadd(ERRORS, {f"Guess:{number}": error})
    found = api(Guess.error_summary, Guess, limit=3)["__all__"]
    assert (found["count"], found["mean"]) == (3, pytest.approx(0.766667, abs=1e-6))
    assert found["stddev"] == pytest.approx(0.188562, abs=1e-6)
    assert api(Guess.get_highest_errors, Guess, limit=3) == [
        ("Guess:5", 0.9),
        ("Guess:1", 0.9),
        ("Guess:4", 0.5),
    ]
    assert api(Guess.get_highest_errors, Guess, limit=1) == [("Guess:5", 0.9)]
    for limit in (0, -1):
        assert api(Guess.get_highest_errors, Guess, limit=limit) == []
        assert api(Guess.error_summary, Guess, limit=limit)["__all__"]["count"] == 0
        assert api(Guess.error_summary, Guess, limit=limit, group_by="day") == {}


def test_what_is_no_model_is_named_by_the_operation(api: Api) -> None:
    with pytest.raises(TypeError, match=r"get_highest_errors\(\) takes"):
        api(Guess.get_highest_errors, "Guess")


def test_a_function_that_raises_is_told_of(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.zadd(ERRORS, {"Guess:a": 0.5, "Guess:b": 0.25})

    def label(key: str, error: float) -> str:
        return {"Guess:a": "a"}[key]

    assert api(Guess.error_summary, Guess, group_by=label).keys() == {"a"}
    (told,) = caplog.records
    assert (told.name, told.getMessage()[:30]) == ("POPOTO.field", "group_by raised for Guess:b, w")


def test_groups(api: Api, redis_client: redis.Redis) -> None:
    moment = datetime.datetime(2024, 1, 15, 10, 30)
    for number in range(4):
        guess = Guess.create(name=str(number))
        Guess.record_prediction(guess, {})
        with clock.using((moment + datetime.timedelta(days=number % 2)).timestamp()):
            Guess.auto_resolve(guess, "acted")
    redis_client.zadd(ERRORS, {"Guess:without": 0.5, "Guess:broken": 0.6})
    redis_client.hset("$PL:Guess:meta:Guess:broken", "Guess:broken", "?")
    for number, moment in enumerate((None, 0, -1, "soon", "nan", "1e400", 1e18)):
        key = f"Guess:undated{number}"
        redis_client.zadd(ERRORS, {key: 0.2})
        redis_client.hset(f"$PL:Guess:meta:{key}", key, msgpack.packb({"resolved_at": moment}))
    redis_client.zadd(ERRORS, {"Guess:first": 0.2})
    early = msgpack.packb({"resolved_at": 0.5})
    redis_client.hset("$PL:Guess:meta:Guess:first", "Guess:first", early)
    summary = Guess.error_summary
    first = datetime.datetime.fromtimestamp(0)
    counts = lambda found: {label: each["count"] for label, each in found.items()}  # noqa: E731
    assert counts(api(summary, Guess)) == {"__all__": 13}
    assert counts(api(summary, Guess, group_by="hour")) == Counter({10: 4}) + Counter([first.hour])
    assert counts(api(summary, Guess, group_by="weekday")) == Counter({0: 2, 1: 2}) + Counter(
        [first.weekday()]
    )
    assert counts(api(summary, Guess, group_by="day")) == {
        "2024-01-15": 2,
        "2024-01-16": 2,
        first.strftime("%Y-%m-%d"): 1,
    }

    def label(key: str, error: float) -> str:
        if key == "Guess:without":
            raise KeyError(key)
        return "large" if error > 0.3 else "small"

    assert counts(api(summary, Guess, group_by=label)) == {"small": 12}
    with pytest.raises(ValueError, match="hour, weekday, day"):
        api(summary, Guess, group_by="month")
    with pytest.raises(TypeError, match="group_by"):
        api(summary, Guess, group_by=5)
    with pytest.raises(TypeError):
        api(summary, Guess, group_by=lambda key, error: [key])
