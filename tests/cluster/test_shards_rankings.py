"""Rankings over several shards answer as one server would that held the same records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import redis

from popoto import BM25Field, ModelException, QueryException, clock, redis_db
from tests.driver import Api

from .models import Memory, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

NOW = 1_700_000_000.0
AGENTS = ("ann", "bob", "cleo", "dan")
TEXTS = ("the cat sleeps", "a kitten plays", "rain falls on the garden", "taxes are due")


def remember() -> None:
    """Sixteen memories, of which some score the same."""
    for place, agent in enumerate(AGENTS):
        for number, text in enumerate(TEXTS):
            age = (7 * place + 5 * number) % 9
            with clock.using(NOW - age * 3600):
                Memory.create(
                    agent=agent,
                    name=f"m{number}",
                    text=text,
                    weight=float(1 + (place + number) % 3),
                    rank=float((place * number) % 5),
                )


@pytest.fixture(autouse=True)
def _remembered(_on_the_cluster: None, server_url: str) -> Iterator[None]:
    remember()
    # The same on a single server, which is emptied for the check of the shards.
    with redis_db.using(server_url):
        remember()
    yield
    with redis_db.using(server_url):
        redis_db.get_REDIS_DB().flushall()


Ranking: TypeAlias = tuple[Callable[[Any], Any], dict[str, Any], str | None]

#: What is asked, and the attribute that tells a score.
RANKINGS: list[Ranking] = [
    (lambda query: query.top_by_decay, {"field_name": "rhythm"}, None),
    (
        lambda query: query.top_by_decay,
        {"field_name": "rhythm", "base_score_field": "weight"},
        None,
    ),
    (lambda query: query.composite_score, {"indexes": {"rank": 1.0}}, "_composite_score"),
    (
        lambda query: query.composite_score,
        {"indexes": {"rank": 0.5, "rhythm": 2.0, "sure": 1.0}, "temperature": 2.0},
        "_composite_score",
    ),
    (
        lambda query: query.composite_score,
        {"indexes": {"rank": 0.5, "rhythm": 2.0, "sure": 1.0}, "normalize": True},
        "_composite_score",
    ),
    (
        lambda query: query.semantic_search,
        {"query_text": "cat", "indexes": {"rank": 2.0}, "normalize": True},
        "_composite_score",
    ),
    (
        lambda query: query.composite_score,
        {"indexes": {"rank": 1.0}, "post_filter": lambda key, score: "m2" not in key},
        "_composite_score",
    ),
    (
        lambda query: query.composite_score,
        {"indexes": {"rank": 1.0}, "co_occurrence_boost": {"Memory:bob:m1": 7.0}},
        "_composite_score",
    ),
    (lambda query: query.semantic_search, {"query_text": "cat"}, "_similarity_score"),
    (
        lambda query: query.semantic_search,
        {"query_text": "cat", "min_score": 0.5, "post_filter": lambda key, score: "bob" not in key},
        "_similarity_score",
    ),
    (
        lambda query: query.semantic_search,
        {"query_text": "cat", "indexes": {"rank": 1.0}},
        "_composite_score",
    ),
    (
        lambda query: query.fuse,
        {"a": [(f"Memory:{agent}:m1", 1.0) for agent in AGENTS], "b": [("Memory:dan:m3", 1.0)]},
        "_rrf_score",
    ),
]


def told(found: list[Any], attribute: str | None) -> list[tuple[str, float]]:
    return [(each.pk, getattr(each, attribute) if attribute else 0.0) for each in found]


@pytest.mark.parametrize("ranking", RANKINGS, ids=lambda ranking: str(RANKINGS.index(ranking)))
@pytest.mark.parametrize(("limit", "offset"), [(3, 0), (9, 2)])
def test_they_are_merged_by_score(
    api: Api,
    server_url: str,
    ranking: tuple[Any, dict[str, Any], str | None],
    limit: int,
    offset: int,
) -> None:
    method, arguments, attribute = ranking
    most = "n" if "field_name" in arguments else "limit"
    answers: list[list[tuple[str, float]]] = []
    with clock.using(NOW):
        for query in (Memory.query.filter, lambda: Memory.query.filter(rank__gte=1)):
            ask = {**arguments, most: limit}
            here = api(method(query().offset(offset)), **ask)
            with redis_db.using(server_url):
                there = api(method(query().offset(offset)), **ask)
            answers += [told(here, attribute), told(there, attribute)]
    for here, there in (answers[:2], answers[2:]):
        assert [key for key, _ in here] == [key for key, _ in there]
        assert here or offset
        for (_, one), (_, other) in zip(here, there, strict=True):
            assert math.isclose(one, other, rel_tol=1e-6)


def test_words_tell_the_same_in_all_shards(api: Api, server_url: str) -> None:
    def ask() -> tuple[list[Any], list[Any]]:
        Memory.create(agent="ann", name="long", text="cat cat cat and a garden full of other cats")
        found = api(Memory.query.filter().keyword_search, "cat garden", limit=5)
        pairs = BM25Field.search(Memory, "words", "cat garden", limit=5)
        return [(each._bm25_score, each.pk) for each in found], [(s, key) for key, s in pairs]

    here = ask()
    with redis_db.using(server_url):
        assert here == ask()
    found, pairs = here
    assert found == pairs
    assert found[0][1] == "Memory:ann:long"


@pytest.mark.parametrize(
    ("key", "method", "arguments"),
    [
        ("$SortF:Memory:rank", "composite_score", {"indexes": {"rank": 1.0}}),
        ("$CyclicDecayF:Memory:rhythm", "top_by_decay", {"field_name": "rhythm"}),
        ("$BM25:Memory:words:inv:cat", "keyword_search", {"query_text": "cat"}),
        ("$BM25:Memory:words:inv:cat", "recall", {"text": "cat", "weights": {"relevance": 0}}),
        ("$EmbeddingF:Memory:meaning:changes", "semantic_search", {"query_text": "cat"}),
    ],
)
def test_where_one_shard_cannot_answer_nobody_does(
    api: Api, nodes: list[redis.Redis], key: str, method: str, arguments: dict[str, Any]
) -> None:
    node, there = holder(nodes, "Memory:cleo"), f"{{Memory:cleo}}{key}"
    kept: Any = node.dump(there)
    assert kept, sorted(node.keys("{Memory:cleo}*"))
    node.set(there, "theirs")
    with pytest.raises((QueryException, ModelException), match=re.escape(key)):
        api(getattr(Memory.query.filter(), method), **arguments)
    node.restore(there, 0, kept, replace=True)
    assert api(getattr(Memory.query.filter(), method), **arguments)
