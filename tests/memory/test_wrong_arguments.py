"""What memory, recall and recipes are given wrongly is told of by name, before anything is done."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import redis

import popoto
from popoto import (
    AccessTrackerMixin,
    AdaptiveAssembler,
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    CoOccurrenceField,
    CyclicDecayField,
    DecayingSortedField,
    KeyField,
    Model,
    ObservationProtocol,
    PredictionLedgerMixin,
    QueryException,
    RecallProposal,
    StringField,
    explain_confidence,
)
from popoto.exceptions import UnknownNameError
from popoto.recipes import SubconsciousMemory
from popoto.recipes.policy_cache import compute_fingerprint, initialize_q_value, update_q_value
from tests.interop.layout import dump

HUGE = 10**30


class Told(AccessTrackerMixin, PredictionLedgerMixin, Model):
    agent_id = KeyField()
    name = KeyField()
    content = StringField(default="")
    certainty = ConfidenceField()
    relevance = DecayingSortedField(base_score_field="certainty")
    near = CoOccurrenceField()
    words = BM25Field(source="content")
    cycle = CyclicDecayField(cycles=[(60, 1.0)])

    class Meta:
        history = True


class Stone(Model):
    name = KeyField()


class Wrong(NamedTuple):
    name: str
    call: Callable[[Any], Any]
    error: type[Exception]
    told: str


#: Type checkers refuse most of what is tried here.
M: Any = Told
FIELD: Any = BM25Field
CONFIDENCE: Any = ConfidenceField
PROTOCOL: Any = ObservationProtocol
ASSEMBLER: Any = ContextAssembler


ADAPTIVE: Any = AdaptiveAssembler
REWARD: Any = update_q_value
VALUE: Any = initialize_q_value
FINGERPRINT: Any = compute_fingerprint
ANSWER = "The tea is served at four."


def assembler(**settings: Any) -> Any:
    return ASSEMBLER(M, {"relevance": 1.0}, **settings)


def memory(**settings: Any) -> Any:
    return SubconsciousMemory(Told, agent_id="ada", **settings)


def say(message: Any) -> Any:
    return memory().inject_context([message])


WRONG = [
    # Lists of records: one alone gives its fields when it is gone through.
    Wrong(
        "touch one", lambda r: M.bulk_touch(r, "relevance"), TypeError, "list of records, got <Told"
    ),
    Wrong("touch keys", lambda r: M.bulk_touch([r.pk], "relevance"), TypeError, "item 0"),
    Wrong("touch None", lambda r: M.bulk_touch(None, "relevance"), TypeError, "got None"),
    Wrong("confirm one", M.bulk_confirm_access, TypeError, "list of records, got <Told"),
    Wrong("confirm keys", lambda r: M.bulk_confirm_access([r, r.pk]), TypeError, "item 1"),
    Wrong(
        "outcome of one",
        lambda r: PROTOCOL.on_context_used(r, {r.pk: "acted"}),
        TypeError,
        "list of records, got <Told",
    ),
    Wrong(
        "one outcome",
        lambda r: PROTOCOL.on_context_used([r], "acted"),
        TypeError,
        r"takes a dict .* got 'acted'",
    ),
    Wrong(
        "a signal in words",
        lambda r: CONFIDENCE.update_confidence(r, "certainty", "high"),
        ValueError,
        "from 0 to 1, got 'high'",
    ),
    Wrong(
        "outcome of keys",
        lambda r: PROTOCOL.on_context_used([r.pk], {r.pk: "acted"}),
        TypeError,
        "item 0",
    ),
    Wrong("propose one", PROTOCOL.on_surfaced, TypeError, "list of"),
    Wrong("propose classes", lambda r: PROTOCOL.on_surfaced([M]), TypeError, "item"),
    # Lists of pairs.
    Wrong(
        "signals in a dict",
        lambda r: CONFIDENCE.bulk_update_confidence({r: 0.5}, "certainty"),
        TypeError,
        r"pairs \(record, signal\)",
    ),
    Wrong(
        "a signal for keys",
        lambda r: CONFIDENCE.bulk_update_confidence([(r.pk, 0.5)], "certainty"),
        TypeError,
        "load it first",
    ),
    Wrong(
        "a record without signal",
        lambda r: CONFIDENCE.bulk_update_confidence([r], "certainty"),
        TypeError,
        "item 0",
    ),
    Wrong("one pair", lambda r: M.near.bulk_link(M, ("a", "b")), TypeError, "item 0"),
    Wrong("a text of two", lambda r: M.near.bulk_link(M, ["ab"]), TypeError, "item 0"),
    Wrong("pairs of 3", lambda r: M.near.bulk_link(M, [("a", "b", 1)]), TypeError, "item 0"),
    Wrong("no seeds", lambda r: M.near.propagate(M, None), TypeError, "several keys"),
    Wrong(
        "confidence of a key",
        lambda r: CONFIDENCE.get_confidence(r.pk, "certainty"),
        TypeError,
        "load it first",
    ),
    # Texts.
    *(
        Wrong(
            f"{method} {text!r}",
            lambda r, m=method, t=text: getattr(M.query, m)(t),
            QueryException,
            rf"Told: {method}\(\) needs a text",
        )
        for method in ("keyword_search", "recall")
        for text in (5, b"tea", ["tea"], {"a": 1})
    ),
    Wrong("search bytes", lambda r: FIELD.search(M, "words", b"tea"), QueryException, "text"),
    # Numbers by name, functions, numbers of results.
    Wrong("indexes", lambda r: M.query.composite_score(["relevance"]), QueryException, "dict"),
    Wrong(
        "boost",
        lambda r: M.query.composite_score({"relevance": 1}, co_occurrence_boost=[r.pk]),
        QueryException,
        "co_occurrence_boost must be a dict",
    ),
    Wrong(
        "post_filter",
        lambda r: M.query.composite_score({"relevance": 1}, post_filter=3),
        QueryException,
        "post_filter must be a function",
    ),
    Wrong(
        "filter of fuse",
        lambda r: M.query.fuse(words=[(r.pk, 1)], post_filter="x"),
        QueryException,
        "post_filter must be a function",
    ),
    Wrong("fuse records", lambda r: M.query.fuse(words=[r]), ValueError, "got <Told"),
    Wrong("cues", lambda r: M.query.recall("tea", cues=r.pk), QueryException, "cues are"),
    Wrong("errors", lambda r: M.get_highest_errors(M, limit="3"), TypeError, "limit must be"),
    Wrong("summary", lambda r: M.error_summary(M, limit=2.5), TypeError, "limit must be"),
    Wrong("linked", lambda r: M.near.get_linked(M, r.pk, limit="3"), TypeError, "limit must"),
    # Ends of edges.
    *(
        Wrong(
            f"{method} {name}",
            lambda r, m=method, e=end: getattr(M.near, m)(M, r, e()),
            error,
            f"from a key to a key, .*{told}",
        )
        for method in ("link", "strengthen", "unlink")
        for name, end, error, told in (
            ("None", lambda: None, ValueError, "got None"),
            ("no text", lambda: "", ValueError, "'' is none"),
            ("a list", lambda: ["x"], TypeError, "got .'x'."),
            ("a model", lambda: Told, TypeError, "got <class"),
            ("a truth", lambda: True, TypeError, "got True"),
            ("no key yet", Told, ValueError, "has none yet: save it"),
        )
    ),
    Wrong("pairs with None", lambda r: M.near.bulk_link(M, [(r, None)]), ValueError, "got None"),
    Wrong("weaken None", lambda r: M.near.weaken_all(M, None), ValueError, "got None"),
    Wrong("linked to None", lambda r: M.near.get_linked(M, None), ValueError, "got None"),
    Wrong("seeds of None", lambda r: M.near.propagate(M, [None]), ValueError, "got None"),
    Wrong("one seed", lambda r: M.near.propagate(M, r), TypeError, "pass a list, not <Told"),
    Wrong("cue None", lambda r: M.query.recall("tea", cues=[None]), QueryException, "is None"),
    Wrong("NaN", lambda r: M.near.get_linked(M, r, math.nan), ValueError, "min_weight .* nan"),
    Wrong("weights", lambda r: M.near.get_linked(M, r, None), TypeError, "min_weight .* None"),
    # One record, and a model.
    *(
        Wrong(f"{name} {place}", lambda r, c=call, g=given: c(g(r)), TypeError, "record")
        for name, call in (
            ("confidence", lambda given: CONFIDENCE.update_confidence(given, "certainty", 1)),
            ("evidence", lambda given: CONFIDENCE.get_confidence_data(given, "certainty")),
            ("explain", explain_confidence),
            ("predict", lambda given: M.record_prediction(given, {"a": 1})),
            ("resolve", lambda given: M.resolve_prediction(given, {"a": 1})),
            ("auto", lambda given: M.auto_resolve(given, "acted")),
            ("prediction", M.get_prediction_data),
            ("proposal", lambda given: RecallProposal.resolve(given, "acted")),
        )
        for place, given in (
            ("key", lambda r: r.pk),
            ("None", lambda r: None),
            ("model", lambda r: Told),
            ("list", lambda r: [r]),
        )
    ),
    Wrong("errors of None", lambda r: M.get_highest_errors(None), TypeError, "model, got None"),
    Wrong("pending of None", lambda r: RecallProposal.get_pending(None), TypeError, "got None"),
    Wrong("stale of None", lambda r: RecallProposal.expire_stale(None), TypeError, "got None"),
    *(
        Wrong(
            f"stale {ttl!r}",
            lambda r, t=ttl: RecallProposal.expire_stale(M, ttl=t),
            error,
            "ttl .* must be",
        )
        for ttl, error in ((math.nan, ValueError), ("60", TypeError), (True, TypeError))
    ),
    # Factors, signals, entries.
    *(
        Wrong(
            f"factor {factor!r}",
            lambda r, f=factor: r.strengthen_cycle("cycle", f),
            error,
            "Told.cycle: factor must be",
        )
        for factor, error in ((None, TypeError), ("2", TypeError), (math.inf, ValueError))
    ),
    Wrong(
        "a list of signals",
        lambda r: CONFIDENCE.update_confidence(r, "certainty", []),
        TypeError,
        r"from 0 to 1, got \[\]",
    ),
    Wrong("entries", lambda r: r.history(limit="2"), TypeError, "limit must be an int, got '2'"),
    Wrong("no entries", lambda r: r.history(limit=math.nan), TypeError, "limit must .* nan"),
    Wrong("fewer than none", lambda r: r.history(limit=-1), ValueError, "limit must be a number"),
    Wrong("since", lambda r: r.history(since="2"), TypeError, r"since .* number, got '2'"),
    Wrong("since NaN", lambda r: r.history(since=math.nan), ValueError, r"since .* finite"),
    # Predictions.
    Wrong("object", lambda r: M.record_prediction(r, {"a": object()}), TypeError, "stored.*'a'"),
    Wrong("actual", lambda r: M.resolve_prediction(r, 5), TypeError, "actual has none.*int"),
    # Assemblers.
    Wrong("model", lambda r: ASSEMBLER(r, {}), TypeError, "needs a model class, got <Told"),
    Wrong("no model", lambda r: ASSEMBLER(None, {}), TypeError, "model class, got None"),
    Wrong("weights", lambda r: ASSEMBLER(M, None), QueryException, "score_weights"),
    Wrong(
        "weight",
        lambda r: ASSEMBLER(M, {"relevance": math.nan}),
        QueryException,
        "the weight of 'relevance'",
    ),
    *(
        Wrong(
            f"{name}={value!r}",
            lambda r, n=name, v=value: assembler(**{n: v}),
            QueryException,
            f"Told: {name} must be",
        )
        for name, value in (
            ("max_items", "3"),
            ("max_items", 2.5),
            ("max_items", None),
            ("max_items", True),
            ("max_tokens", "100"),
            ("max_tokens", math.nan),
            ("proactive_items", "1"),
            ("propagation_depth", 1.5),
            ("surfacing_threshold", "x"),
            ("surfacing_threshold", math.nan),
            ("suppression_signal", 3),
            ("suppression_signal", "much"),
        )
    ),
    Wrong("counter", lambda r: assembler(token_counter=3), TypeError, "token_counter must be"),
    Wrong(
        "cue", lambda r: assembler().assemble("tea"), QueryException, "query_cues must be a dict"
    ),
    Wrong("cues to assess", lambda r: assembler().assess(["tea"]), QueryException, "query_cues"),
    Wrong(
        "filters",
        lambda r: assembler().assemble({"q": "tea"}, partition_filters=["ada"]),
        QueryException,
        "partition_filters must be a dict",
    ),
    Wrong(
        "probe",
        lambda r: assembler().assess({"q": "tea"}, probe_limit="x"),
        QueryException,
        "probe_limit must be an int, got 'x'",
    ),
    Wrong("signals", lambda r: M.query.recall("tea", signals=5), QueryException, "are names.* 5"),
    Wrong("one cue", lambda r: M.query.recall("tea", cues=r), QueryException, "got <Told"),
    Wrong("a list to fuse", lambda r: M.query.fuse(words=5), TypeError, "words must be .* 5"),
    # Assemblers that learn.
    *(
        Wrong(
            f"adaptive {name}={value!r}",
            lambda r, n=name, v=value: ADAPTIVE(assembler(), **{n: v}),
            error,
            name,
        )
        for name, value, error in (
            ("window_size", 0, ValueError),
            ("window_size", math.nan, ValueError),
            ("window_size", "20", TypeError),
            ("window_size", 1.5, ValueError),
            ("rng", 5, TypeError),
            ("quality_metric", 5, TypeError),
            ("weight_perturbation", None, TypeError),
            ("margin", "x", TypeError),
            ("state", "x", ValueError),
            ("state", {"weights": {}}, ValueError),
        )
    ),
    Wrong("adaptive None", lambda r: ADAPTIVE(None), TypeError, "ContextAssembler, got None"),
    # Policies.
    Wrong("a reward of another", lambda r: REWARD(r, 1), TypeError, "PolicyEntry's, got <Told"),
    Wrong("a value of another", lambda r: VALUE(r, 1), TypeError, "PolicyEntry's, got <Told"),
    Wrong("a reward of None", lambda r: REWARD(None, 1), TypeError, "PolicyEntry's, got None"),
    Wrong("no features", lambda r: FINGERPRINT(None), TypeError, "features must be a dict"),
    Wrong("one name", lambda r: FINGERPRINT({"a": 1}, "a"), TypeError, "a list of names, got 'a'"),
    # Around the turns of a model.
    Wrong(
        "no such content",
        lambda r: SubconsciousMemory(Told, "ada", content_field="nope").extract_memories(ANSWER),
        QueryException,
        "content_field='nope'.: Told has no such field",
    ),
    Wrong(
        "no such agent",
        lambda r: SubconsciousMemory(Told, "ada", agent_id_field="who").extract_memories(ANSWER),
        QueryException,
        "agent_id_field='who'.: Told has no such field",
    ),
    Wrong("a text", lambda r: memory().inject_context("tea"), TypeError, "list of messages"),
    Wrong("a message", lambda r: memory().inject_context({"role": "user"}), TypeError, "list of"),
    Wrong("texts", lambda r: memory().inject_context(["tea"]), TypeError, "list of messages"),
    Wrong("no preamble", lambda r: memory(system_preamble=None), TypeError, "system_preamble must"),
    Wrong("no length", lambda r: memory(extraction_min_length="x"), TypeError, "min_length must"),
    Wrong("NaN", lambda r: memory(extraction_min_length=math.nan), ValueError, "min_length must"),
    Wrong("a context", lambda r: memory().report_outcomes([r]), TypeError, "the AssemblyResult"),
    Wrong(
        "importance",
        lambda r: memory().extract_memories(ANSWER, importance=math.nan),
        ValueError,
        "importance must be finite",
    ),
    Wrong("no text", lambda r: memory().extract_memories(5), TypeError, "text of an answer"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_a_wrong_argument_is_named_and_nothing_is_done(
    wrong: Wrong, redis_client: redis.Redis
) -> None:
    record = Told.create(agent_id="ada", name="1", content="tea at four")
    Told.record_prediction(record, {"a": 1})
    before = dump(redis_client)
    with pytest.raises(wrong.error, match=wrong.told):
        wrong.call(record)
    assert dump(redis_client) == before


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"content": "tea"}, "message 0 has no role"),
        ({"role": None, "content": "tea"}, "message 0 has no role"),
        ({"role": "user", "text": "tea"}, "message 0 is of the user and has no 'content'"),
    ],
)
def test_a_message_that_nothing_reads_is_told_of(message: dict[str, Any], told: str) -> None:
    with pytest.warns(UserWarning, match=told):
        say(message)
    popoto.configure(strict=True)
    try:
        with pytest.raises(UnknownNameError, match=told):
            say(message)
    finally:
        popoto.configure(strict=False)


@pytest.mark.parametrize("size", [0, -0.05, 2])
def test_weights_that_cannot_move_sensibly_are_told_of(size: float) -> None:
    with pytest.warns(UserWarning, match=f"weight_perturbation={size}"):
        adaptive = ADAPTIVE(assembler(), window_size=1, weight_perturbation=size)
    assert adaptive.current_weights == assembler().score_weights


@pytest.mark.parametrize(
    ("role", "meant"), [("User", "user"), ("human", "user"), ("Assistant", "assistant")]
)
def test_a_role_of_another_name_is_told_of(role: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"message 0 has the role '{role}'.*mean '{meant}'"):
        say({"role": role, "content": "tea"})


def test_roles_of_all_kinds_are_known() -> None:
    for role in ("user", "system", "assistant", "tool", "developer", "function", "model"):
        say({"role": role, "content": "tea"})


def test_predictions_are_those_of_models_that_keep_them(redis_client: redis.Redis) -> None:
    stone: Any = Stone.create(name="a")
    before = dump(redis_client)
    for call in (
        lambda: PredictionLedgerMixin.record_prediction(stone, {"a": 1}),
        lambda: PredictionLedgerMixin.resolve_prediction(stone, {"a": 1}),
        lambda: PredictionLedgerMixin.auto_resolve(stone, "acted"),
        lambda: PredictionLedgerMixin.get_prediction_data(stone),
    ):
        with pytest.raises(TypeError, match="has a PredictionLedgerMixin, and Stone has none"):
            call()
    assert dump(redis_client) == before


def test_what_has_a_text_may_be_the_end_of_an_edge() -> None:
    record = Told.create(agent_id="ada", name="1")
    other = Told.create(agent_id="ada", name="2")
    for end, key in ((other, other.pk), (other.pk.encode(), other.pk), (5, "5"), ("x", "x")):
        M.near.link(M, record, end, 0.5)
        assert M.near.get_linked(M, end) == [(record.pk, 0.5)]
        assert M.near.propagate(M, [end]) == {record.pk: 0.25}
        M.near.unlink(M, end, record.pk)
        assert M.near.get_linked(M, key) == []


def test_a_question_that_is_no_text_is_an_attribute_error_as_in_1_6() -> None:
    for ask in (lambda: FIELD.search(M, "words", 5), lambda: M.query.keyword_search(5)):
        with pytest.raises(AttributeError, match="needs a text, got 5") as told:
            ask()
        assert isinstance(told.value, QueryException)


def test_more_results_than_there_can_be_are_all_of_them() -> None:
    record = Told.create(agent_id="ada", name="1", content="tea at four")
    other = Told.create(agent_id="ada", name="2", content="cake")
    Told.record_prediction(record, {"a": 1})
    Told.resolve_prediction(record, {"a": 2})
    Told.near.link(Told, record.pk, other.pk)
    assert len(Told.query.top_by_decay("relevance", n=HUGE)) == 2
    assert len(Told.query.keyword_search("tea", limit=HUGE)) == 1
    assert len(Told.get_highest_errors(Told, limit=HUGE)) == 1
    assert Told.error_summary(Told, limit=HUGE)["__all__"]["count"] == 1
    assert len(Told.near.get_linked(Told, record.pk, limit=HUGE)) == 1


def test_a_memory_has_what_its_model_has_a_field_for() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (kept,) = SubconsciousMemory(Told, "ada").extract_memories(ANSWER)
    assert (kept.content, kept.agent_id) == (ANSWER, "ada")


def test_a_setting_that_was_changed_since_is_looked_at_when_it_is_used() -> None:
    given = assembler()
    given.max_items = "many"
    with pytest.raises(QueryException, match="max_items must be an int, got 'many'"):
        given.assemble({"q": "tea"})


#: What can wait in a pipeline.
WAITING: dict[str, Callable[[Any, Any], Any]] = {
    "on_read": lambda r, p: r.on_read(pipeline=p),
    "confirm_access": lambda r, p: r.confirm_access(pipeline=p),
    "discard_staged_access": lambda r, p: r.discard_staged_access(pipeline=p),
    "touch": lambda r, p: r.touch("relevance", pipeline=p),
    "update_confidence": lambda r, p: CONFIDENCE.update_confidence(r, "certainty", 1, pipeline=p),
    "record_prediction": lambda r, p: M.record_prediction(r, {"x": 1}, pipeline=p),
    "resolve_prediction": lambda r, p: M.resolve_prediction(r, {"x": 1}, pipeline=p),
    "auto_resolve": lambda r, p: M.auto_resolve(r, "used", pipeline=p),
    "link": lambda r, p: M.near.link(M, r.pk, "x", pipeline=p),
    "unlink": lambda r, p: M.near.unlink(M, r.pk, "x", pipeline=p),
    "on_context_used": lambda r, p: PROTOCOL.on_context_used([r], {}, pipeline=p),
    "on_surfaced": lambda r, p: PROTOCOL.on_surfaced([r], pipeline=p),
    "resolve": lambda r, p: RecallProposal.resolve(r, "used", pipeline=p),
    "expire_stale": lambda r, p: RecallProposal.expire_stale(M, pipeline=p),
}


@pytest.mark.parametrize("call", WAITING.values(), ids=WAITING)
@pytest.mark.parametrize("pipeline", [5, "text", redis.Redis()], ids=["int", "text", "client"])
def test_nothing_waits_in_what_is_no_pipeline(
    redis_client: redis.Redis, call: Callable[[Any, Any], Any], pipeline: Any
) -> None:
    record = Told.create(agent_id="ada", name="a")
    before = dump(redis_client)
    with pytest.raises(TypeError, match="must be a redis-py Pipeline"):
        call(record, pipeline)
    assert dump(redis_client) == before
