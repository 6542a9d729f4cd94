"""`recall` where vectors of words are kept: the best are compared word by word."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    BM25Field,
    ContextAssembler,
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    QueryException,
    Recall,
    SortedField,
    StringField,
)
from popoto.models.reading.ranking.recalling import late
from tests.driver import Api, RoundTrips
from tests.recall.remembered import names
from tests.vectors.wordwise import Wordwise

WORDS = "$EmbeddingF:Story:meaning:words"
#: The vector of a whole text mixes its words: that of "b" is nearest to the question's.
TEXTS = {
    "a": "kitten paper bottle lamp desk doctor",
    "b": "animal",
    "c": "storm",
    "d": "harbour walked",
}
QUESTION = "cat vet"


@pytest.fixture
def provider() -> Wordwise:
    return Wordwise()


@pytest.fixture
def story(provider: Wordwise) -> Any:
    class Story(Model):
        name = KeyField()
        agent = IndexedField(default="ada")
        text = StringField()
        words = BM25Field(source="text")
        meaning = EmbeddingField(source="text", provider=provider, store="server")

    for name, text in TEXTS.items():
        Story.create(name=name, text=text)
    return Story


def values(found: Any) -> dict[str, float]:
    """What late interaction says of each candidate."""
    told = found.explain()
    return {
        each.key.rsplit(":", 1)[-1]: each["late_interaction"].value
        for each in (*told.results, *told.dropped)
        if each.parts
    }


def test_who_has_a_word_for_each_of_the_question_is_best(api: Api, story: Any) -> None:
    found = api(story.query.recall, QUESTION, explain=True)
    assert names(found)[0] == "a"
    without = api(story.query.recall, QUESTION, weights={"late_interaction": 0})
    assert names(without)[0] == "b"
    near = {"a": 1.0, "b": 0.75, "c": 0.5, "d": 0.5}
    mean = sum(near.values()) / 4
    assert values(found) == pytest.approx({key: each - mean for key, each in near.items()})
    assert found.explain().results[0]["late_interaction"].weight == 3.0


def test_a_word_counts_as_much_as_it_tells(api: Api, story: Any) -> None:
    """Nobody has "vet", everybody "cat"."""
    for name in "efgh":
        story.create(name=name, text="cat")
    story.create(name="i", text="doctor")
    found = api(story.query.recall, QUESTION, limit=20, explain=True)
    told = values(found)
    assert told["i"] > told["e"]
    found = api(story.query.recall, "the of and", limit=20, explain=True)
    assert "late_interaction" not in {part.name for part in found.explain().results[0].parts}


def test_without_an_index_of_words_each_counts_the_same(api: Api, provider: Wordwise) -> None:
    class Story(Model):
        name = KeyField()
        text = StringField()
        meaning = EmbeddingField(source="text", provider=provider, store="server")

    for name, text in {**TEXTS, "e": "cat", "f": "cat", "g": "doctor"}.items():
        Story.create(name=name, text=text)
    told = values(api(Story.query.recall, QUESTION, explain=True))
    assert told["e"] == pytest.approx(told["g"])


def test_it_asks_for_the_words_of_candidates_once(
    story: Any, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    story.query.recall(QUESTION)
    with round_trips() as seen:
        story.query.recall(QUESTION)
    assert seen.sends == 4
    assert seen.commands["hmget"] >= 1
    with round_trips() as seen:
        story.query.recall(QUESTION, weights={"late_interaction": 0})
    assert seen.sends == 3


def test_only_the_best_are_compared_and_stay_before_the_others(
    api: Api, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "_MOST_COMPARED", 2)
    prior = names(api(story.query.recall, QUESTION, weights={"late_interaction": 0}))
    found = api(story.query.recall, QUESTION, explain=True)
    assert set(names(found)[:2]) == set(prior[:2])
    told = values(found)
    assert told[prior[2]] == told[prior[3]] == min(told.values())


def test_a_record_without_words_is_as_the_mean(
    api: Api, story: Any, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.hdel(WORDS, "Story:b")
    redis_client.hset(WORDS, "Story:c", b"\x01ab?")
    redis_client.hset(WORDS, "Story:d", b"\x07a")
    with caplog.at_level(logging.WARNING):
        told = values(api(story.query.recall, QUESTION, explain=True))
    assert told["b"] == told["d"] == 0
    assert told["a"] > 0 > told["c"]
    assert "the words of 'Story:d' are left out of a recall" in caplog.text
    redis_client.delete(WORDS)
    found = api(story.query.recall, QUESTION, explain=True)
    assert names(found)[0] == "b"
    assert "late_interaction" not in {part.name for part in found.explain().results[0].parts}


def test_a_key_of_another_kind_is_told(story: Any, redis_client: redis.Redis) -> None:
    redis_client.delete(WORDS)
    redis_client.set(WORDS, "x")
    with pytest.raises(Exception, match="words"):
        story.query.recall(QUESTION)


def test_least_scores_hold_for_what_was_compared(api: Api, story: Any) -> None:
    all_of = api(story.query.recall, QUESTION, explain=True)
    scores = [each._recall_score for each in all_of]
    assert scores == sorted(scores, reverse=True)
    found = api(story.query.recall, QUESTION, min_score=scores[1], explain=True)
    assert names(found) == names(all_of)[:2]
    rules = {each.key: each.rule for each in found.explain().dropped}
    assert set(rules.values()) == {"min_score"}


def test_models_without_vectors_of_words_have_no_such_signal(api: Api, provider: Wordwise) -> None:
    class Plain(Model):
        name = KeyField()
        text = StringField()
        meaning = EmbeddingField(
            source="text", provider=provider, store="server", late_interaction=False
        )

    Plain.create(name="a", text="cat")
    with pytest.raises(QueryException, match="no signal 'late_interaction'"):
        api(Plain.query.recall, "cat", signals=["meaning", "late_interaction"])
    assert names(api(Plain.query.recall, "kitten")) == ["a"]


@pytest.fixture
def turn(provider: Wordwise) -> Any:
    class Turn(Model):
        name = KeyField()
        session = IndexedField()
        place = SortedField(type=int, partition_by="session")
        text = StringField()
        meaning = EmbeddingField(source="text", provider=provider, store="server")

        class Meta:
            recall = Recall(session="session", order="place")

    talk = [("a", 1, "cat"), ("a", 2, "paper"), ("a", 3, "bottle")]
    for session, place, text in [*talk, ("b", 0, "paper"), ("b", 1, "doctor storm")]:
        Turn.create(name=f"{session}{place}", session=session, place=place, text=text)
    return Turn


def test_words_just_before_count_nearly_in_full_and_those_just_after_less(
    api: Api, turn: Any
) -> None:
    near = {"a1": 1.0, "a2": 0.95, "a3": 0.0, "b0": 0.4, "b1": 0.5}
    mean = sum(near.values()) / 5
    found = api(turn.query.recall, "kitten", explain=True)
    assert values(found) == pytest.approx({key: each - mean for key, each in near.items()})


def test_neighbours_count_by_their_words_alone(api: Api, turn: Any) -> None:
    found = api(turn.query.recall, "kitten", explain=True)
    assert "neighbours" not in {part.name for part in found.explain().results[0].parts}
    for asked in ({"weights": {"neighbours": 0.1}}, {"signals": ["meaning", "neighbours"]}):
        found = api(turn.query.recall, "kitten", explain=True, **asked)
        assert found.explain().results[0]["neighbours"].weight == 0.1


def test_the_best_of_a_session_counts_with_its_words(api: Api, turn: Any) -> None:
    found = api(turn.query.recall, "kitten", explain=True)
    best = next(each for each in found.explain().results if each.key == "Turn:a1")
    text = sum(best[name].value * best[name].weight for name in ("meaning", "late_interaction"))
    for each in found.explain().results:
        if each.key.startswith("Turn:a"):
            assert each["session"].value == pytest.approx(text)
        assert each.score == pytest.approx(sum(part.value * part.weight for part in each.parts))


def test_contexts_have_the_same_order_in_as_many_round_trips(
    api: Api, story: Any, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    assembler = ContextAssembler(story, {}, max_items=3)
    found = api(assembler.assemble, {"question": QUESTION})
    assert names(found.records) == names(story.query.recall(QUESTION, limit=3))
    with round_trips() as seen:
        api(assembler.assemble, {"question": QUESTION})
    assert seen.sends <= 3
    lexical = ContextAssembler(story, {}, retrieval_mode="lexical")
    assert names(api(lexical.assemble, {"question": "animal"}).records)[0] == "b"
