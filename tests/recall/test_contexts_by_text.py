"""`ContextAssembler` that searches for what cues say: by words, and by words and meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    CoOccurrenceField,
    CyclicDecayField,
    EmbeddingField,
    ExistenceFilter,
    IndexedField,
    KeyField,
    Model,
    QueryException,
    SortedField,
    StringField,
)
from popoto.fields.embedding_field import invalidate_cache
from popoto.models.reading.ranking.recalling import searching
from popoto.recipes.assembling.retrieving import mode_of
from tests.driver import Api, RoundTrips
from tests.vectors.provider import Known

#: "cat" and "kitten" are near to each other in meaning.
MEANINGS = Known(
    {
        "the cat sleeps": (1, 0, 0),
        "a kitten plays": (1, 0.2, 0),
        "rain in May": (0, 0, 1),
        "cat": (1, 0, 0),
    }
)


class Words(Model):
    agent_id = KeyField()
    name = KeyField()
    text = StringField()
    weight = SortedField(type=float, default=0.0)
    near = CoOccurrenceField()
    words = BM25Field(source="text")


class Meanings(Model):
    agent_id = KeyField()
    name = KeyField()
    text = StringField()
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")


class Linked(AccessTrackerMixin, Model):
    """Everything that an assembler can use."""

    agent_id = KeyField()
    team = IndexedField(default="red")
    name = KeyField()
    text = StringField()
    weight = SortedField(type=float, default=0.0)
    urgent = CyclicDecayField(decay_rate=0.5, partition_by="agent_id")
    sure = ConfidenceField()
    near = CoOccurrenceField()
    known = ExistenceFilter(fingerprint_fn=lambda record: record.text)
    words = BM25Field(source="text")
    meaning = EmbeddingField(source="text", provider=MEANINGS, store="server")


class Bare(Model):
    name = KeyField()
    weight = SortedField(type=float, default=0.0)


@pytest.fixture(autouse=True)
def _own_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    yield
    invalidate_cache()


def fill(model: Any) -> None:
    for name, text in (("1", "the cat sleeps"), ("2", "a kitten plays"), ("3", "rain in May")):
        model.create(agent_id="a", name=name, text=text)
    model.create(agent_id="b", name="4", text="the cat of another agent")


def names(records: list[Any]) -> list[str]:
    return [record.name for record in records]


def test_auto_is_the_first_mode_that_the_model_allows() -> None:
    assert [mode_of(each, "auto") for each in (Meanings, Words, Bare)] == [
        "hybrid",
        "lexical",
        "composite",
    ]


@pytest.mark.parametrize(("model", "mode"), [(Bare, "lexical"), (Words, "hybrid"), (Bare, "vague")])
def test_a_mode_that_cannot_be_is_refused(model: Any, mode: str) -> None:
    with pytest.raises(QueryException, match=mode):
        mode_of(model, mode)


def test_words_pull_what_has_them_and_nothing_else(api: Api) -> None:
    fill(Words)
    assembler = ContextAssembler(Words, {}, retrieval_mode="lexical")
    result = api(assembler.assemble, {"question": "Does the cat sleep?"}, agent_id="a")
    assert names(result.records) == ["1"]
    assert api(assembler.assemble, {"question": "volcano"}, agent_id="a").records == []
    assert api(assembler.assemble, None, agent_id="a").records == []


def test_meaning_pulls_what_has_other_words(api: Api) -> None:
    fill(Meanings)
    assembler = ContextAssembler(Meanings, {})
    result = api(assembler.assemble, {"question": "cat"}, agent_id="a")
    assert names(result.records) == ["1", "2"]
    by_words = ContextAssembler(Meanings, {}, retrieval_mode="lexical")
    assert names(api(by_words.assemble, {"question": "cat"}, agent_id="a").records) == ["1"]


def test_several_cues_are_one_question(api: Api) -> None:
    fill(Words)
    assembler = ContextAssembler(Words, {})
    result = api(assembler.assemble, {"a": "rain", "b": "kitten", "c": None}, agent_id="a")
    assert sorted(names(result.records)) == ["2", "3"]


def test_weights_move_what_was_found_and_bring_nothing_in(api: Api) -> None:
    for name, weight in zip("123456", (0.5, 0.4, 0.3, 0.2, 0.1, 0.9), strict=True):
        Words.create(agent_id="a", name=name, text="cat", weight=weight)
    Words.create(agent_id="a", name="7", text="rain", weight=5.0)
    plain, weighted = ContextAssembler(Words, {}), ContextAssembler(Words, {"weight": 1.0})
    assert names(api(plain.assemble, {"q": "cat"}, agent_id="a").records) == list("123456")
    assert names(api(weighted.assemble, {"q": "cat"}, agent_id="a").records) == list("612345")


def test_what_is_associated_with_the_first_comes_along(api: Api) -> None:
    fill(Words)
    first, third = (Words.query.get(agent_id="a", name=name) for name in "13")
    Words.near.link(Words, first.pk, third.pk, 1.0)
    result = api(ContextAssembler(Words, {}).assemble, {"q": "cat"}, agent_id="a")
    assert names(result.records) == ["1", "3"]
    other = Words.query.get(agent_id="b", name="4")
    Words.near.link(Words, first.pk, other.pk, 1.0)
    result = api(ContextAssembler(Words, {}).assemble, {"q": "cat"}, agent_id="a")
    assert names(result.records) == ["1", "3"]


def test_an_assessment_answers_the_words_too(api: Api) -> None:
    fill(Words)
    assembler = ContextAssembler(Words, {"weight": 1.0})
    found = api(assembler.assess, {"q": "cat"}, agent_id="a")
    assert len(found.score_distribution) == 1
    assert api(assembler.assess, {"q": "volcano"}, agent_id="a").score_distribution == []


def test_associations_do_not_have_the_question_embedded_again(api: Api) -> None:
    fill(Linked)
    Linked.near.link(Linked, "Linked:a:1", "Linked:a:3", 1.0)
    MEANINGS.calls.clear()
    result = api(ContextAssembler(Linked, {}).assemble, {"q": "cat"}, agent_id="a")
    assert sorted(names(result.records)) == ["1", "2", "3"]
    assert MEANINGS.calls == [(["cat"], "query")]


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "composite"])
def test_three_round_trips_with_all_that_there_is(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]], mode: str
) -> None:
    fill(Linked)
    Linked.near.link(Linked, "Linked:a:1", "Linked:a:3", 1.0)
    assembler = ContextAssembler(Linked, {"weight": 1.0}, max_items=2, retrieval_mode=mode)
    assert len(api(assembler.assemble, agent_id="a").proactive) == 2
    for _ in range(2):
        with round_trips() as seen:
            result = api(assembler.assemble, {"q": "cat"}, agent_id="a", assess_quality=True)
    assert {record.agent_id for record in result.records} == {"a"}
    assert seen.sends == 3
    with round_trips() as assessed:
        api(assembler.assess, {"q": "cat"}, agent_id="a")
    assert assessed.sends == (2 if mode == "composite" else 3)


def test_meaning_among_records_that_conditions_on_other_fields_find(
    api: Api,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(Linked)
    for number in range(5, 105):
        Linked.create(agent_id="a", name=str(number), text="the cat sleeps", team="blue")
    assembler = ContextAssembler(Linked, {}, suppression_signal=None)
    filters = {"agent_id": "a", "team": "red"}
    for most, sends in ((1000, 3), (1, 6)):
        monkeypatch.setattr(searching, "_MOST_MATCHES", most)
        for _ in range(2):
            with round_trips() as seen:
                result = api(assembler.assemble, {"q": "cat"}, partition_filters=filters)
        assert names(result.records)[:2] == ["1", "2"]
        assert {record.team for record in result.records} == {"red"}
        # Of many, the best are looked at first. They are of the other team.
        assert seen.sends == sends


def test_the_best_of_an_agent_are_found_among_those_of_many(api: Api) -> None:
    fill(Linked)
    for number in range(5, 105):
        Linked.create(agent_id="b", name=str(number), text="the cat sleeps")
    assembler = ContextAssembler(Linked, {}, max_items=2)
    assert names(api(assembler.assemble, {"q": "cat"}, agent_id="a").records) == ["1", "2"]


def test_a_record_that_is_gone_leaves_its_place_to_the_next(
    api: Api, redis_client: redis.Redis
) -> None:
    fill(Meanings)
    assembler = ContextAssembler(Meanings, {}, max_items=1)
    assert names(api(assembler.assemble, {"q": "cat"}, agent_id="a").records) == ["1"]
    redis_client.delete("Meanings:a:1")
    assert names(api(assembler.assemble, {"q": "cat"}, agent_id="a").records) == ["2"]


def test_agents_whose_names_look_like_parts_of_keys(api: Api) -> None:
    odd = ("None", "a:b", "a{&#58;}b", "&", "*", "")
    for number, agent in enumerate(odd):
        Meanings.create(agent_id=agent, name=str(number), text="the cat sleeps")
    for number, agent in enumerate(odd):
        found = api(ContextAssembler(Meanings, {}).assemble, {"q": "cat"}, agent_id=agent)
        assert names(found.records) == [str(number)]


@pytest.mark.parametrize("agent", ["b", "x:y", "x/y"])
def test_what_an_agent_is_not_shown_is_found_by_its_own(api: Api, agent: str) -> None:
    fill(Linked)
    Linked.create(agent_id=agent, name="5", text="cat")
    before = names(api(Linked.query.filter(agent_id=agent).semantic_search, "cat"))
    api(ContextAssembler(Linked, {}).assemble, {"q": "cat"}, agent_id="a")
    assert "5" in before
    assert names(api(Linked.query.filter(agent_id=agent).semantic_search, "cat")) == before


def test_associations_lift_what_was_found_and_what_was_not(api: Api) -> None:
    for name in "123":
        Words.create(agent_id="a", name=name, text="cat")
    Words.create(agent_id="a", name="4", text="rain")
    for name, weight in (("3", 1.0), ("4", 0.2)):
        Words.near.link(Words, "Words:a:1", f"Words:a:{name}", weight)
    assembler = ContextAssembler(Words, {}, max_items=1, propagation_depth=1)
    first = api(assembler.assemble, {"q": "cat"}, agent_id="a")
    assert names(first.records) == ["3"]
    assert (first.metadata["pull_count"], first.metadata["total_candidates"]) == (1, 2)
    assembler = ContextAssembler(Words, {}, max_items=4, propagation_depth=0)
    assert names(api(assembler.assemble, {"q": "cat"}, agent_id="a").records) == ["1", "2", "3"]
