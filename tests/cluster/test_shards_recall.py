"""Recall and search by words over all shards answer as one server that holds the same records."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import ContextAssembler, QueryException, RetrievalQuality, clock, redis_db
from popoto.models.reading.ranking.recalling import sequence
from tests.driver import Api
from tests.queries.test_random_queries import unshrunk

from .models import Filed, Guarded, Memory, Said, holder
from .sameness import assert_same

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

NOW = 1_700_000_000.0
AGENTS = ("ann", "bob", "cleo", "dan")
WORDS = ("cat", "kitten", "rain", "garden", "tax", "due", "sleep", "play", "the")


texts = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
records = st.lists(
    st.fixed_dictionaries(
        {
            "agent": st.sampled_from(AGENTS),
            "name": st.integers(0, 9).map(str),
            "text": texts,
            "speaker": st.sampled_from(["Anna", "Ben"]),
            "session": st.sampled_from(["one", "two"]),
            "turn": st.integers(0, 20),
            "place": st.integers(0, 9),
        }
    ),
    max_size=24,
    unique_by=lambda each: (each["agent"], each["name"]),
)
conditions = st.sampled_from(
    [
        {},
        {"session": "one"},
        {"turn__gt": 5},
        {"agent__in": ["ann", "cleo"]},
        {"name__in": ["1", "2", "3"]},
        # Which of them match, only Python can tell.
        {"turn__lt": 2**53 + 1, "session": "two"},
    ]
)


@settings(unshrunk, max_examples=40)
@given(
    stored=records,
    asked=texts.filter(bool),
    condition=conditions,
    limit=st.integers(1, 9),
    offset=st.integers(0, 2),
)
def test_any_records_are_found_and_scored_as_by_one_server(
    api: Api,
    both: Callable[..., Any],
    server_url: str,
    stored: list[dict[str, Any]],
    asked: str,
    condition: dict[str, Any],
    limit: int,
    offset: int,
) -> None:
    def remember(several: list[dict[str, Any]]) -> None:
        Said.bulk_create([Said(**each) for each in several])

    remember(stored)
    # What words tell follows from the shards that are asked.
    agents = condition.get("agent__in", AGENTS)
    with redis_db.using(server_url):
        remember([each for each in stored if each["agent"] in agents])

    def asks(method: str, **arguments: Any) -> tuple[list[Any], list[Any]]:
        def ask() -> Any:
            query = Said.query.filter(**condition).offset(offset)
            return api(getattr(query, method), **arguments, limit=limit)

        return both(ask)

    with clock.using(NOW):
        assert_same(asks("keyword_search", query_text=asked), "_bm25_score")
        assert_same(asks("recall", text=asked), "_recall_score")
        assert_same(asks("recall", text=asked, signals=["words"]), "_recall_score")
        indexes = {"turn": 1.0, "sure": 0.5}
        for rule in ("SUM", "MAX"):
            scores = asks("composite_score", indexes=indexes, normalize=True, aggregate=rule)
            assert_same(scores, "_composite_score")
    both(Said.delete_all)


def remember_many() -> None:
    """So many that words are walked through; of each agent others, of which some are rare."""
    chance = random.Random(7)
    weights = [2.0**-place for place in range(len(WORDS))]
    rows: list[Said] = []
    for number in range(1_600):
        agent = AGENTS[number % 7 % 4]
        several = chance.choices(WORDS, weights, k=chance.randint(1, 12))
        several += [f"rare{number % 40}"] if agent in ("ann", "bob") else []
        rows.append(
            Said(
                agent=agent,
                name=str(number),
                text=" ".join(several),
                session=f"s{number % 30}",
                turn=number % 50,
                place=number // 30,
            )
        )
    Said.bulk_create(rows)


def test_many_records(both: Callable[..., Any]) -> None:
    both(remember_many)
    questions = ("cat", "the sleep play due", "rare3 cat", "rare3 rare7 rain the cat", "nobody")
    every = itertools.product(questions, ({}, {"session": "s4"}, {"turn__lt": 40}))
    for asked, condition in every:
        query = Said.query.filter(**condition)
        for _ in range(2):
            # Also by what this process remembers of each shard.
            assert_same(both(lambda q=query, t=asked: q.keyword_search(t, limit=25)), "_bm25_score")
        assert_same(both(lambda q=query, t=asked: q.recall(t, limit=25)), "_recall_score")


def test_which_words_bring_candidates_is_decided_for_all_shards(both: Callable[..., Any]) -> None:
    texts = ["alpha"] * 30 + ["beta gamma delta"] * 15 + ["one two three"] * 55 + ["filler"] * 100

    def remember() -> None:
        every = itertools.product(enumerate(texts), AGENTS)
        Said.bulk_create(Said(agent=a, name=f"{place:03}", text=text) for (place, text), a in every)

    both(remember)
    # Enough by a rare word, though not in any shard; too few, though each of the rare is in many.
    for asked, limit in (("alpha one two three", 25), ("beta gamma delta one two three", 90)):
        recall = Said.query.filter().recall
        answers = both(partial(recall, asked, limit=limit, signals=["words"]))
        assert len(answers[0]) == limit
        assert_same(answers, "_recall_score")


def test_a_shard_in_which_nothing_matches_changes_no_answer(both: Callable[..., Any]) -> None:
    """Few match, so all of them are looked at, and not those alone that have the rare word."""
    long, short = "alpha " + "filler " * 12, "beta"

    def remember() -> None:
        rows = [(["ann", "bob", "cleo"][at % 3], long, "here") for at in range(111)]
        rows += [(agent, short, "here") for agent in ("ann", "bob", "cleo")]
        rows += [("dan", short, "elsewhere")] * 111
        Said.bulk_create(
            Said(agent=agent, name=f"{place:03}", text=text, session=session)
            for place, (agent, text, session) in enumerate(rows)
        )

    both(remember)
    query = Said.query.filter(session="here")
    answers = both(partial(query.recall, "alpha beta", limit=5, signals=["words"]))
    assert [each.text for each in answers[0][:3]] == [short] * 3
    assert_same(answers, "_recall_score")


@pytest.mark.parametrize(
    "times",
    [
        {"alpha": 100, "beta": 120},
        # A word that just a fifth of all records have is rare.
        {"alpha": 90, "gamma": 100, "beta": 101, "none": 209},
    ],
)
def test_where_rare_words_bring_just_enough_common_ones_bring_no_more(
    both: Callable[..., Any], times: dict[str, int]
) -> None:
    """A hundred candidates are looked for: on one server, and in all shards together."""
    texts = [
        word if word == "beta" else f"{word} {'filler ' * 100}"
        for word, number in times.items()
        for _ in range(number)
    ]

    def remember() -> None:
        Said.bulk_create(
            Said(agent=AGENTS[place % 4], name=f"{place:03}", text=text)
            for place, text in enumerate(texts)
        )

    both(remember)
    query = Said.query.filter()
    answers = both(lambda: query.recall("alpha gamma beta", limit=5, signals=["words"]))
    assert "beta" not in {each.text for each in answers[0]}
    assert_same(answers, "_recall_score")


def remember_some() -> None:
    for place, agent in enumerate(AGENTS):
        for number in range(3):
            text = " ".join(WORDS[(place + step * number) % len(WORDS)] for step in range(5))
            Said.create(agent=agent, name=str(number), text=text, turn=place + number, place=number)


def test_who_is_gone_does_not_count(
    api: Api, nodes: list[redis.Redis], both: Callable[..., Any], redis_client: redis.Redis
) -> None:
    both(remember_some)
    for key in ("Said:ann:0", "Said:ann:2", "Said:cleo:1"):
        holder(nodes, key[:-2]).delete(f"{{{key[:-2]}}}{key}")
        redis_client.delete(key)
    for method, attribute in (("keyword_search", "_bm25_score"), ("recall", "_recall_score")):
        answers = both(lambda m=method: api(getattr(Said.query, m), "cat kitten", limit=9))
        assert len(answers[0]) > 4
        assert_same(answers, attribute)
    # The rest of what they left.
    Said.clean_indexes()


def test_each_step_asks_every_shard_once(counted: Callable[[], list[int]]) -> None:
    remember_some()
    recall = Said.query.filter().recall
    recall("cat sleep", limit=3)
    asked = counted()
    recall("cat sleep", limit=3, signals=["words"])
    # Which shards there are, what there is in all, what words bring, the records.
    assert asked == [1, 4, 4, 3]
    asked.clear()
    recall("cat sleep", limit=3, signals=["meaning"])
    # Nothing has to be known of words.
    assert asked == [1, 4, 4, 3]
    asked.clear()
    recall("cat sleep", limit=3)
    # Beside all that there is, which vectors have changed; and then what was said before and after.
    assert asked == [1, 8, 4, 3, 1, 8, 4, 3]


def test_a_length_is_measured_by_those_of_all_shards(api: Api, both: Callable[..., Any]) -> None:
    """Also where words are not asked for."""

    def remember() -> None:
        for place, agent in enumerate(AGENTS):
            Said.create(agent=agent, name="1", text="cat " + "rain " * 4**place)
            Said.create(agent=agent, name="2", text="kitten")

    both(remember)
    for signals in (["meaning", "length"], ["words", "length"], ["meaning"]):
        answers = both(lambda s=signals: api(Said.query.recall, "cat", limit=8, signals=s))
        assert len(answers[0]) > 3
        assert_same(answers, "_recall_score")


def test_the_best_of_all_agents_can_be_told_why(api: Api, both: Callable[..., Any]) -> None:
    both(remember_some)
    here, there = both(lambda: api(Said.query.recall, "cat sleep", limit=3, explain=True))
    one, other = here.explain(), there.explain()
    assert [each.key for each in one.results] == [each.key for each in other.results]
    assert (one.reach, one.notes, one.telling) == (other.reach, other.notes, other.telling)
    for mine, theirs in zip(
        (*one.results, *one.dropped), (*other.results, *other.dropped), strict=True
    ):
        assert (mine.key, mine.rule) == (theirs.key, theirs.rule)
        for part, there_part in zip(mine.parts, theirs.parts, strict=True):
            assert part.name == there_part.name
            assert math.isclose(part.value, there_part.value, rel_tol=1e-5, abs_tol=1e-6)


def test_a_long_conversation_of_several_agents(
    api: Api, both: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "_WINDOW", 3)

    def remember() -> None:
        rows = [
            Said(
                agent=AGENTS[number * 3 % 4],
                name=f"{number:02}",
                text=WORDS[number % len(WORDS)],
                place=number // 2,
            )
            for number in range(30)
        ]
        Said.bulk_create(rows)

    both(remember)
    assert_same(both(lambda: api(Said.query.recall, "cat garden", limit=30)), "_recall_score")


def test_nothing_is_recalled_where_no_agent_knows_anything(api: Api) -> None:
    assert api(Said.query.recall, "cat") == []
    assert api(Said.query.keyword_search, "cat") == []
    assert api(Said.query.composite_score, {"turn": 1.0}, normalize=True) == []


def test_files_are_one_store_for_all_agents(
    api: Api, both: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remember() -> None:
        for agent, text in itertools.product(AGENTS, ("the cat sleeps", "taxes are due")):
            Filed.create(agent=agent, name=text[:3], text=text)

    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    both(remember)
    assert_same(both(lambda: api(Filed.query.recall, "cat", limit=3)), "_recall_score")


# What is built on it ---------------------------------------------------------------------------


def remember_memories() -> None:
    for place, agent in enumerate(AGENTS):
        for number, text in enumerate(("the cat sleeps", "a kitten plays", "taxes are due")):
            with clock.using(NOW - 3600 * ((3 * place + 5 * number) % 7)):
                Memory.create(agent=agent, name=str(number), text=text, rank=float(place * number))


def test_associations_of_all_agents_come_along(api: Api, both: Callable[..., Any]) -> None:
    def remember() -> None:
        remember_memories()
        Memory.both.link(Memory, "Memory:ann:0", "Memory:ann:2", 0.9)
        Memory.both.link(Memory, "Memory:dan:0", "Memory:dan:2", 0.8)

    both(remember)
    cues = ["Memory:ann:0", "Memory:dan:0", "Memory:zed:0", "a topic"]
    with clock.using(NOW):
        for query in (Memory.query.filter(), Memory.query.filter(rank__gte=1)):
            # It is parted by the agents, of whom none is named.
            asked = {"cues": cues, "limit": 12, "weights": {"relevance": 0}}
            assert_same(both(lambda q=query, a=asked: api(q.recall, "cat", **a)), "_recall_score")


def test_who_comes_along_and_is_not_found_is_told_with_the_reason(
    api: Api, both: Callable[..., Any]
) -> None:
    """A record that is not asked for is none that is gone; one of no shard that is known is."""
    linked = ["Memory:ann:0", "Memory:ann:8"]

    def remember() -> None:
        remember_memories()
        for key in linked:
            Memory.both.link(Memory, "a topic", key, 0.9)
        Memory.both.link(Memory, "Memory:zed:0", "Memory:zed:1", 0.9)

    def told(query: Any) -> dict[str, str]:
        cues = ["a topic", "Memory:zed:0"]
        found = api(query.recall, "cat", cues=cues, weights={"relevance": 0}, explain=True)
        return {each.key: each.rule for each in found.explain().dropped}

    both(remember)
    with clock.using(NOW):
        here, there = both(lambda: told(Memory.query.filter()))
        assert here == there == dict.fromkeys(["Memory:ann:8", "Memory:zed:1"], "gone")
        some = Memory.query.filter(agent__in=["bob", "cleo"])
        here, there = both(lambda: told(some))
        assert here[linked[0]] == there[linked[0]] == "condition"
        # Their vectors are known as before.
        assert_same(
            both(lambda: api(Memory.query.filter().recall, "cat", weights={"relevance": 0})),
            "_recall_score",
        )


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "composite"])
def test_contexts_of_all_agents(api: Api, both: Callable[..., Any], mode: str) -> None:
    both(remember_memories)
    weights = {"rank": 0.5, "rhythm": 1.0}

    def assembled() -> Any:
        assembler = ContextAssembler(Memory, weights, max_items=5, retrieval_mode=mode)
        return api(assembler.assemble, {"topic": "cat"}, assess_quality=True)

    with clock.using(NOW):
        here, there = both(assembled)
        assert [each.pk for each in here.records] == [each.pk for each in there.records]
        assert here.formatted == there.formatted
        assert here.metadata["quality"] == there.metadata["quality"]


def test_the_quality_of_records_of_several_agents(api: Api, both: Callable[..., Any]) -> None:
    both(remember_memories)
    weights = {"rank": 1.0, "rhythm": 0.5}

    def quality() -> Any:
        found = Memory.query.filter(name="1").all()
        return api(RetrievalQuality.from_records, found, {"topic": "cat"}, score_weights=weights)

    here, there = both(quality)
    assert here == there


def test_what_needs_its_partition_still_does(api: Api) -> None:
    Guarded.create(agent="ann", name="1", text="the cat")
    for method in ("recall", "keyword_search"):
        with pytest.raises(QueryException, match="agent"):
            api(getattr(Guarded.query, method), "cat")
        assert len(api(getattr(Guarded.query.filter(agent="ann"), method), "cat")) == 1
