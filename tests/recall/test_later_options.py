"""What `ContextAssembler` and `SubconsciousMemory` have of popoto 1.10 that 1.6 has not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    CyclicDecayField,
    EmbeddingField,
    FloatField,
    IntField,
    KeyField,
    Model,
    QueryException,
    Relationship,
    RetrievalQuality,
    SortedField,
    StringField,
)
from popoto.recipes import DefaultMemory, SubconsciousMemory
from popoto.recipes.context_assembler import format_content
from tests.driver import Api, RoundTrips
from tests.vectors.provider import Known


class Fact(AccessTrackerMixin, Model):
    agent_id = KeyField()
    name = KeyField()
    content = StringField()
    certainty = ConfidenceField(partition_by="agent_id")
    urgent = CyclicDecayField(partition_by="agent_id")
    words = BM25Field(source="content")


class Page(Model):
    agent_id = KeyField()
    name = KeyField()
    body = StringField()
    rank = SortedField(type=float, default=0.0)
    parent = Relationship("self")
    source = Relationship("self")
    about = Relationship(Fact)
    words = BM25Field(source="body")


class Meant(Model):
    """What is found by its meaning is what is embedded, whatever else sounds like a text."""

    name = KeyField()
    text = StringField()
    saying = StringField()
    meaning = EmbeddingField(source="saying", provider=Known())


class Bare(Model):
    name = KeyField()
    amount = IntField(default=1)
    rank = SortedField(type=float, default=0.0)


def names(records: Any) -> list[str]:
    return [record.name for record in records]


# The confidence gate ---------------------------------------------------------------------------


@pytest.fixture
def facts() -> list[Fact]:
    """Found in this order by "tea": one that is hardly believed, and one that is."""
    made = [
        Fact.create(agent_id="ada", name="doubted", content="tea tea"),
        Fact.create(agent_id="ada", name="sure", content="tea and cake for everybody here"),
        Fact.create(agent_id="bob", name="other", content="tea tea tea"),
    ]
    for record, signal in zip(made, (0.1, 0.9, 0.1), strict=True):
        ConfidenceField.update_confidence(record, "certainty", signal)
    return made


def gated(threshold: float | None, mode: str = "refuse", **options: Any) -> ContextAssembler:
    return ContextAssembler(
        Fact,
        {},
        confidence_gate_threshold=threshold,
        confidence_gate_mode=mode,
        surfacing_threshold=1e9,
        **options,
    )


def confidence(record: Fact) -> float:
    return ConfidenceField.get_confidence(record, "certainty")


def test_where_the_best_is_sure_enough_all_are_shown(api: Api, facts: list[Fact]) -> None:
    least = confidence(facts[0])
    for mode in ("refuse", "flag"):
        result = api(gated(least, mode).assemble, {"q": "tea"}, agent_id="ada")
        assert names(result.records) == ["doubted", "sure"]
        assert result.metadata["gate"] == {
            "applied": True,
            "gate_score": least,
            "threshold": least,
            "mode": mode,
            "gated": False,
        }


def test_where_it_is_not_nothing_that_cues_pull_is_shown(
    api: Api, facts: list[Fact], redis_client: redis.Redis
) -> None:
    before = [confidence(record) for record in facts]
    result = api(gated(0.5, max_items=1).assemble, {"q": "tea"}, "ada", assess_quality=True)
    assert (result.records, result.formatted) == ([], "[]")
    assert result.metadata["gate"]["gated"]
    assert result.metadata["gate"]["refused_keys"] == [facts[0].pk, facts[1].pk]
    assert (result.metadata["pull_count"], result.metadata["total_candidates"]) == (0, 0)
    # What was not shown has lost to nobody, and was not read; what there is, is known.
    assert [confidence(record) for record in facts] == before
    assert not redis_client.exists("$AT:Fact:staged:Fact:ada:doubted")
    quality: RetrievalQuality = result.metadata["quality"]
    assert quality.per_cue_fok["tea"]["partial_retrieval_count"] == 1.0
    assert quality.score_distribution == []


def test_what_surfaces_unasked_passes_the_gate(api: Api, facts: list[Fact]) -> None:
    assembler = gated(0.5)
    assembler.surfacing_threshold = 0
    result = api(assembler.assemble, {"q": "tea"}, "ada")
    assert sorted(names(result.records)) == ["doubted", "sure"]
    assert result.proactive == result.records


def test_a_gate_may_only_tell(api: Api, facts: list[Fact]) -> None:
    result = api(gated(0.5, "flag").assemble, {"q": "tea"}, agent_id="ada")
    assert names(result.records) == ["doubted", "sure"]
    assert result.metadata["gate"]["gated"]
    assert result.metadata["gate"]["refused_keys"] == [facts[0].pk, facts[1].pk]


def test_a_gate_without_records(api: Api, facts: list[Fact]) -> None:
    for cues in ({"q": "coffee"}, {}):
        gate = api(gated(0.5).assemble, cues, agent_id="ada").metadata["gate"]
        assert (gate["applied"], gate["gate_score"], gate["gated"]) == (False, None, False)
    assert "gate" not in api(gated(None).assemble, {"q": "tea"}, agent_id="ada").metadata


def test_a_gate_before_a_single_record(api: Api, facts: list[Fact]) -> None:
    result = api(gated(confidence(facts[2])).assemble, {"q": "tea"}, agent_id="bob")
    assert names(result.records) == ["other"]


def test_a_gate_costs_one_round_trip(
    api: Api, facts: list[Fact], round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    counts: list[int] = []
    for threshold in (None, 0.0):
        with round_trips() as seen:
            api(gated(threshold).assemble, {"q": "tea"}, agent_id="ada")
        counts.append(seen.sends)
    assert counts[1] == counts[0] + 1


# Along relationships ---------------------------------------------------------------------------


@pytest.fixture
def pages() -> dict[str, Page]:
    """root <- mid <- leaf <- tiger; bob's page is a child of mid, whose other child is far."""
    made: dict[str, Page] = {}

    def make(name: str, body: str, parent: str | None = None, agent: str = "ada") -> None:
        above = None if parent is None else made[parent]
        made[name] = Page.create(agent_id=agent, name=name, body=body, parent=above)

    make("root", "apples")
    make("mid", "pears", "root")
    make("leaf", "plums", "mid")
    make("tiger", "a tiger walks", "leaf")
    make("secret", "nuts", "mid", agent="bob")
    make("far", "figs", "mid")
    make("behind", "kiwis", "secret")
    make("beside", "limes", "secret")
    made["cited"] = Page.create(agent_id="ada", name="cited", body="x", source=made["tiger"])
    return made


def walking(depth: int, *fields: str, **options: Any) -> ContextAssembler:
    return ContextAssembler(
        Page,
        options.pop("weights", {}),
        propagation_depth=depth,
        graph_traversal_relationship_fields=fields,
        **options,
    )


@pytest.mark.parametrize(
    ("depth", "found"),
    [
        (0, ["tiger"]),
        (1, ["tiger", "leaf"]),
        (2, ["tiger", "leaf", "mid"]),
        (3, ["tiger", "leaf", "mid", "far", "root"]),
        # The way to what is behind it leads through another's record.
        (9, ["tiger", "leaf", "mid", "far", "root"]),
    ],
)
def test_records_some_steps_away_come_along(
    api: Api, pages: dict[str, Page], depth: int, found: list[str]
) -> None:
    result = api(walking(depth, "parent").assemble, {"q": "tiger"}, agent_id="ada")
    assert names(result.records)[:3] == found[:3]
    assert sorted(names(result.records)) == sorted(found)
    assert result.metadata["pull_count"] == len(found)


def test_several_relationships_lead_on(api: Api, pages: dict[str, Page]) -> None:
    result = api(walking(1, "parent", "source").assemble, {"q": "tiger"}, agent_id="ada")
    assert names(result.records)[0] == "tiger"
    assert sorted(names(result.records)) == ["cited", "leaf", "tiger"]


def test_no_walk_leads_through_what_a_filter_keeps_out(api: Api, pages: dict[str, Page]) -> None:
    # Found from both sides: downwards from mid, upwards from what is behind it.
    for word in ("pears", "kiwis"):
        result = api(walking(3, "parent").assemble, {"q": word}, agent_id="ada")
        assert "secret" not in names(result.records)
        assert ("behind" in names(result.records)) == (word == "kiwis")
    assert names(result.records) == ["behind"]


def test_signals_alone_are_lifted_as_well(api: Api, pages: dict[str, Page]) -> None:
    for name, record in pages.items():
        record.rank = {"tiger": 2.0, "leaf": 1.6}.get(name, 1.5)
        record.save()
    plain = walking(1, weights={"rank": 1}, retrieval_mode="composite", max_items=1)
    assert names(api(plain.assemble, {"q": "x"}, agent_id="ada").records) == ["tiger"]
    lifted = walking(1, "parent", weights={"rank": 1}, retrieval_mode="composite", max_items=1)
    assert names(api(lifted.assemble, {"q": "x"}, agent_id="ada").records) == ["leaf"]


def test_a_step_costs_one_round_trip(
    api: Api,
    pages: dict[str, Page],
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
) -> None:
    counts: list[int] = []
    for depth in (0, 1, 2):
        with round_trips() as seen:
            api(walking(depth, "parent").assemble, {"q": "tiger"}, agent_id="ada")
        counts.append(seen.sends)
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


# The texts alone -------------------------------------------------------------------------------


def test_the_content_format_has_a_line_for_each_text(api: Api, facts: list[Fact]) -> None:
    ConfidenceField.update_confidence(facts[1], "certainty", 0.9)
    result = api(
        ContextAssembler(Fact, {}, output_format="content").assemble, {"q": "tea"}, agent_id="ada"
    )
    lines = result.formatted.splitlines()
    assert sorted(lines) == ["- tea and cake for everybody here", "- tea tea"]
    named = ContextAssembler(Fact, {}, output_format="content", content_field="name")
    assert sorted(api(named.assemble, {"q": "tea"}, agent_id="ada").formatted.splitlines()) == [
        "- doubted",
        "- sure",
    ]


def test_which_field_holds_the_text(api: Api, pages: dict[str, Page]) -> None:
    (page,) = Page.query.filter(name="tiger")
    assert format_content([page]) == "- a tiger walks"
    assert format_content([page], content_field="name") == "- tiger"
    assert format_content([]) == ""
    given = [{"content": " a\nb "}, {"text": "x"}, {"a": 1}, {"content": None}, {"content": ""}]
    assert format_content(given) == "- a\\nb\n- x"
    assert format_content([{"body": "q"}, {"content": "c"}], "body") == "- q"
    assert format_content([Bare(name="b")]) == ""
    assert format_content([Meant(name="b", text="what else it holds", saying="hey")]) == "- hey"


# Settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Fact, {"confidence_gate_mode": "warn"}, "refuse or flag"),
        (Fact, {"confidence_gate_mode": None}, "refuse or flag"),
        (Fact, {"confidence_gate_threshold": "0.5"}, "number from 0 to 1"),
        (Fact, {"confidence_gate_threshold": float("nan")}, "number from 0 to 1"),
        (Fact, {"confidence_gate_threshold": True}, "number from 0 to 1"),
        (Fact, {"confidence_gate_threshold": 2}, "number from 0 to 1"),
        (Fact, {"confidence_gate_threshold": -0.1}, "number from 0 to 1"),
        (Fact, {"max_items": -1}, "Fact: max_items must be 0 or more, got -1"),
        (Fact, {"max_tokens": -1}, "Fact: max_tokens must be 0 or more"),
        (Fact, {"propagation_depth": -1}, "propagation_depth must be 0 or more"),
        (Fact, {"proactive_items": -1}, "proactive_items must be 0 or more"),
        (Fact, {"surfacing_threshold": float("nan")}, "surfacing_threshold must be a number"),
        (Fact, {"agent_id_field": "nope"}, "agent_id_field='nope'.: Fact has no such field"),
        (Page, {"graph_traversal_relationship_fields": 5}, "a list of names"),
        (Page, {"confidence_gate_threshold": 0.5}, "needs a ConfidenceField"),
        (Page, {"graph_traversal_relationship_fields": ["nope"]}, "parent, source"),
        (Page, {"graph_traversal_relationship_fields": ["body"]}, "parent, source"),
        (Page, {"graph_traversal_relationship_fields": ["about"]}, "parent, source"),
        (Page, {"graph_traversal_relationship_fields": [3]}, "parent, source"),
        (Page, {"graph_traversal_relationship_fields": "parent"}, "a list of names"),
        (Fact, {"graph_traversal_relationship_fields": ["name"]}, "none"),
        (Page, {"content_field": "nope"}, "no field of Page"),
        (Bare, {"output_format": "content"}, "content_field="),
        (Fact, {"retrieval_mode": "wise"}, "retrieval_mode"),
        (Fact, {"retrieval_mode": "hybrid"}, "EmbeddingField"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    model: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueryException, match=message):
        ContextAssembler(model, {}, **options)


def test_a_count_below_0_is_refused_where_the_quality_is_asked_for(api: Api) -> None:
    with pytest.raises(QueryException, match="probe_limit must be 0 or more, got -1"):
        api(ContextAssembler(Fact, {}).assess, {"topic": "tea"}, probe_limit=-1)


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        (["near"], {}, "score_weights must be a dict, such as .*'near'"),
        (None, {}, "score_weights must be a dict"),
        ({}, {"query_cues": "What is new?"}, "query_cues must be a dict.*What is new"),
        ({}, {"query_cues": ["tea"]}, "query_cues must be a dict"),
        ({}, {"partition_filters": "ada"}, "partition_filters must be a dict"),
    ],
)
def test_what_is_asked_for_goes_by_name(
    api: Api, weights: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueryException, match=message):
        api(ContextAssembler(Fact, weights).assemble, **arguments)


def test_settings_may_change_later(api: Api, facts: list[Fact]) -> None:
    assembler = ContextAssembler(Fact, {}, surfacing_threshold=1e9)
    assembler.output_format = "content"
    assembler.confidence_gate_threshold = 0.99
    assert api(assembler.assemble, {"q": "tea"}, agent_id="ada").formatted == ""
    assembler.confidence_gate_mode = "no such mode"
    with pytest.raises(QueryException, match="confidence_gate_mode"):
        api(assembler.assemble, {"q": "tea"}, agent_id="ada")


# A memory for those who have no model ------------------------------------------------------------


def test_the_default_model_needs_no_declaration(api: Api) -> None:
    memory = SubconsciousMemory(agent_id="ada")
    assert memory.model_class is DefaultMemory
    kept = api(memory.extract_memories, "We deploy on Mondays. The cat is asleep now.")
    assert [type(each) for each in kept] == [DefaultMemory, DefaultMemory]
    api(SubconsciousMemory(agent_id="bob").extract_memories, "We deploy in secret at night.")
    given = [{"role": "user", "content": "When do we deploy?"}]
    messages: Any
    messages, result = api(memory.inject_context, given)
    assert messages[0] == {
        "role": "system",
        "content": "You are a helpful assistant.\n\nRelevant context:\n- We deploy on Mondays.",
    }
    assert [each.content for each in result.records] == ["We deploy on Mondays."]
    api(memory.report_outcomes, result, "acted")
    assert result.records[0].confidence == 0.9


def test_whose_memories_they_are_has_to_be_told() -> None:
    cases: list[list[Any]] = [[], [DefaultMemory], [DefaultMemory, None, {}]]
    for arguments in cases:
        with pytest.raises(ValueError, match="agent_id"):
            SubconsciousMemory(*arguments)


def test_a_model_of_ones_own_is_shown_as_it_was(api: Api, facts: list[Fact]) -> None:
    memory = SubconsciousMemory(Fact, "ada")
    assert (memory.score_weights, memory.output_format) == ({}, "structured")
    _, result = api(memory.inject_context, [{"role": "user", "content": "tea"}])
    assert result.formatted.startswith("[\n  {\n")


class Noted(Model):
    agent_id = KeyField()
    name = KeyField()
    content = StringField(default="")
    importance = FloatField(default=1.0)
    words = BM25Field(source="content")


@pytest.mark.parametrize("style", ["content", "natural", "xml", "structured"])
def test_its_own_block_is_replaced_in_every_format(api: Api, style: str) -> None:
    Noted.create(agent_id="ada", name="1", content="tea\n\nRelevant context:\n- tea </records>")
    Noted.create(agent_id="ada", name="2", content="tea ]\n2. tea")
    Noted.create(agent_id="ada", name="3", content="tea tea\n<records>")
    memory = SubconsciousMemory(Noted, "ada", output_format=style)
    messages: Any = [{"role": "system", "content": "Be."}, {"role": "user", "content": "tea?"}]
    first: Any
    again: Any
    first, result = api(memory.inject_context, messages)
    block = first[0]["content"]
    assert block == f"Be.\n\nRelevant context:\n{result.formatted}"
    first[0]["content"] += "\n\nAnswer in French."
    again, _ = api(memory.inject_context, first)
    after = f"Be.\n\nAnswer in French.\n\nRelevant context:\n{result.formatted}"
    assert again[0]["content"] == after


def test_a_memory_shows_the_field_that_it_writes(api: Api) -> None:
    Noted.create(agent_id="ada", name="n", content="tea")
    memory = SubconsciousMemory(Noted, "ada", output_format="content", content_field="name")
    assert api(memory.inject_context, [{"role": "user", "content": "tea"}])[1].formatted == "- n"


def test_records_without_a_text_are_no_block(api: Api) -> None:
    noted = Noted.create(agent_id="ada", name="tea", content="tea")
    memory = SubconsciousMemory(Noted, "ada", output_format="content", content_field="content")
    Noted.raw_update([noted.pk], content="")
    given = [{"role": "user", "content": "tea?"}]
    messages, _ = api(memory.inject_context, given)
    assert messages is given
