"""Memories of which each agent has a shard of its own, on a cluster of three nodes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    EmbeddingField,
    ModelException,
    ObservationProtocol,
    RecallProposal,
    clock,
    redis_db,
    transaction,
)
from popoto.cli import digest
from popoto.memory.bm25.formula import inverse_frequency
from tests.driver import Api

from .models import Filed, Memory, holder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

NOW = 1_700_000_000.0
AGENTS = ("ann", "bob", "cleo")
TEXTS = {
    "sleep": "the cat sleeps",
    "play": "a kitten plays",
    "rain": "rain falls on the garden",
    "tax": "taxes are due",
}


@pytest.fixture(autouse=True)
def _remembered(_on_the_cluster: None) -> None:
    """Each agent knows one thing more than the one before."""
    for number, agent in enumerate(AGENTS):
        for place, (name, text) in enumerate(list(TEXTS.items())[: number + 2]):
            with clock.using(NOW - place * 3600):
                Memory.create(agent=agent, name=name, text=text, rank=float(place + 1))


def names(found: list[Memory]) -> list[str]:
    return [each.name for each in found]


def test_each_agent_is_ranked_by_itself(api: Api) -> None:
    cleo, ann = Memory.query.filter(agent="cleo"), Memory.query.filter(agent="ann")
    with clock.using(NOW):
        for _ in range(3):
            # Also by what this process remembers of each shard.
            assert names(api(cleo.keyword_search, "cat garden")) == ["sleep", "rain"]
            assert names(api(ann.keyword_search, "cat garden")) == ["sleep"]
            assert names(api(cleo.semantic_search, "cat", limit=2)) == ["sleep", "play"]
            assert names(api(ann.semantic_search, "cat", limit=9)) == ["sleep", "play"]
        assert names(api(cleo.recall, "cat garden", limit=2)) == ["rain", "sleep"]
        assert names(api(ann.recall, "garden", limit=2))[0] in ("sleep", "play")
        assert names(api(cleo.top_by_decay, "relevance", n=2)) == ["sleep", "play"]
        assert names(api(cleo.composite_score, {"rank": 1}, limit=2)) == ["tax", "rain"]
        assert names(api(ann.composite_score, {"rank": 1, "relevance": 1}, limit=9)) == [
            "play",
            "sleep",
        ]
        assert names(api(ann.fuse, x=[("Memory:ann:play", 1.0), ("Memory:bob:play", 0.5)])) == [
            "play"
        ]
    api(Memory.query.get("Memory:cleo:rain").delete)
    assert names(api(cleo.keyword_search, "cat garden")) == ["sleep"]
    assert "rain" not in names(api(cleo.semantic_search, "cat", limit=9))


def test_agents_take_turns_in_what_a_process_remembers(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popoto.fields.vectors.on_server._MOST_SHARDS", 1)
    for _ in range(2):
        for agent, known in (("ann", 2), ("bob", 3), ("cleo", 4)):
            query = Memory.query.filter(agent=agent)
            assert len(api(query.semantic_search, "the cat sleeps", min_score=-2, limit=9)) == known


def test_records_of_all_agents_are_tracked(api: Api) -> None:
    found = api(Memory.query.filter(name="sleep").all)
    assert [each.agent for each in found] == list(AGENTS)
    assert [api(each.confirm_access) for each in found] == [1, 1, 1]


def test_what_stands_beside_a_record(api: Api, nodes: list[redis.Redis]) -> None:
    record = api(Memory.query.get, "Memory:ann:sleep")
    with clock.using(NOW):
        assert api(record.touch, "relevance") == NOW
        assert api(record.strengthen_cycle, "rhythm", 3) == [[100, 3.0, 0]]
        assert api(ConfidenceField.update_confidence, record, "sure", 0.9) == 0.9
        assert api(ConfidenceField.get_confidence, record, "sure") == 0.9
        assert api(record.confirm_access) == 1
        assert record.access_count == 1
        api(Memory.record_prediction, record, {"x": 4})
        assert api(Memory.auto_resolve, record, "used") == 0.3
        assert api(Memory.get_prediction_data, record)["resolved"] is True
        ObservationProtocol.on_context_used([record], {record.pk: "acted"})
        together = transaction()
        record.touch("relevance", pipeline=together)
        Memory.query.get("Memory:ann:play").touch("relevance", pipeline=together)
        api(together.commit)
    assert len(api(record.history)) > 2
    node = holder(nodes, "Memory:ann")
    assert all(key.startswith(b"{Memory:") for key in node.keys("*Memory:ann:sleep*"))
    record.name = "moved"
    api(record.save, migrate_key=True)
    assert api(ConfidenceField.get_confidence, record, "sure") == 0.9
    api(record.delete)
    assert not node.keys("*:sleep")
    assert not node.keys("*:moved")


def test_edges_join_records_of_one_shard(api: Api) -> None:
    sleep, play, other = "Memory:cleo:sleep", "Memory:cleo:play", "Memory:bob:play"
    for field in (Memory.both, Memory.ways):
        assert api(field.link, Memory, sleep, play, 0.5) == 0.5
        assert api(field.bulk_link, Memory, [(sleep, "topic"), (other, "topic")], 0.25) == [
            0.25,
            0.25,
        ]
        assert api(field.get_linked, Memory, sleep) == [(play, 0.5), ("topic", 0.25)]
        assert api(field.get_linked, Memory, other) == [("topic", 0.25)]
        assert api(field.link, Memory, "cue", play, 0.5) == 0.5
        assert set(api(field.propagate, Memory, [sleep, other], 1)) == {play, "topic"}
        for method in (field.link, field.strengthen):
            with pytest.raises(ModelException, match="an edge joins records of one shard"):
                api(method, Memory, sleep, other, 0.5)
        assert api(field.weaken_all, Memory, sleep, 0.0001) == 2


def test_a_key_that_is_no_record_has_edges_in_every_shard(api: Api) -> None:
    ends = ["Memory:ann:sleep", "Memory:bob:play", "Memory:cleo:rain"]
    for field in (Memory.both, Memory.ways):
        for weight, end in zip((0.5, 0.75, 0.5), ends, strict=True):
            assert api(field.link, Memory, "a topic", end, weight) == weight
        assert api(field.link, Memory, ends[0], "another", 0.5) == 0.5
        assert api(field.link, Memory, ends[1], "another", 0.75) == 0.75
        # Of equal weights the greatest key comes first, as on a single server.
        expected = [(ends[1], 0.75), (ends[2], 0.5), (ends[0], 0.5)]
        assert api(field.get_linked, Memory, "a topic") == expected
        assert api(field.get_linked, Memory, "a topic", limit=2) == expected[:2]
        assert api(field.get_linked, Memory, "a topic", min_weight=0.6) == expected[:1]
        assert api(field.get_linked, Memory, "nothing") == []
        one_hop = {ends[0]: 0.25, ends[1]: 0.375, ends[2]: 0.25}
        assert api(field.propagate, Memory, ["a topic"], 1, decay_per_hop=0.5) == one_hop
        # Reached from two shards: the most counts.
        two_hops = api(field.propagate, Memory, ["a topic"], 2, decay_per_hop=0.5)
        assert two_hops == {**one_hop, "another": 0.375 * 0.375}
        with pytest.raises(ModelException, match=r"'a topic - another' names none.*nothing was"):
            api(field.link, Memory, "a topic", "another", 0.5)
        together = transaction()
        field.weaken_all(Memory, "a topic", pipeline=together)
        with pytest.raises(ModelException, match="'a topic' names none"):
            api(together.commit)
        assert api(field.weaken_all, Memory, "a topic", 0.0015) == 2
        left = api(field.get_linked, Memory, "a topic", min_weight=0)
        assert left == [(ends[1], pytest.approx(0.001125))]
        api(field.unlink, Memory, "a topic", ends[1])
        assert api(field.get_linked, Memory, "a topic", min_weight=0) == []


def test_hops_within_a_shard_count_for_what_goes_on_in_others(api: Api) -> None:
    chain = [
        "Memory:ann:a",
        "Memory:ann:b",
        "Memory:ann:c",
        "topic",
        "Memory:bob:a",
        "Memory:bob:b",
    ]
    pairs = list(itertools.pairwise(chain))
    api(Memory.ways.bulk_link, Memory, pairs, 1.0)
    for hops in range(1, 6):
        found = api(Memory.ways.propagate, Memory, chain[:1], hops, decay_per_hop=0.5)
        assert found == {key: 0.5**place for place, key in enumerate(chain) if 0 < place <= hops}


def test_activation_goes_from_shard_to_shard_through_what_is_no_record(
    api: Api, server_url: str
) -> None:
    ann, bob, cleo = ("Memory:ann:sleep", "Memory:bob:play", "Memory:cleo:rain")

    def reached() -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        for field in (Memory.both, Memory.ways):
            ways = [(ann, "a", 0.5), ("a", bob, 0.9), (bob, "b", 0.75), ("b", cleo, 0.5)]
            # Back to a shard where it has been, and weaker by a shorter way.
            ways += [("b", "Memory:ann:play", 0.8), (ann, "Memory:ann:play", 0.01), (ann, "b", 0.1)]
            for source, target, weight in ways:
                api(field.link, Memory, source, target, weight)
            found += [
                api(field.propagate, Memory, [ann], depth, decay_per_hop=0.9, threshold=0.001)
                for depth in range(6)
            ]
            found.append(api(field.propagate, Memory, [ann, "b"], 2, threshold=0))
        return found

    here = reached()
    with redis_db.using(server_url):
        there = reached()
        redis_db.get_REDIS_DB().flushall()
    assert here == [pytest.approx(each) for each in there]
    assert cleo in here[4]


def test_the_weaker_of_two_ways_reaches_further_where_it_is_shorter(api: Api) -> None:
    """Depth bounds each way: by three records of a shard, or by a topic and another shard."""
    field = Memory.ways
    long_way = ["Memory:ann:a", "Memory:ann:b", "Memory:ann:c", "Memory:ann:d", "topic"]
    short_way = ["Memory:ann:a", "a", "Memory:bob:a", "topic"]
    behind = ["topic", "Memory:cleo:a", "Memory:cleo:b"]
    for way, weight in ((long_way, 1.0), (short_way, 0.5), (behind, 1.0)):
        for source, target in itertools.pairwise(way):
            api(field.link, Memory, source, target, weight)
    found = api(field.propagate, Memory, long_way[:1], 5, decay_per_hop=0.9, threshold=0)
    assert found["Memory:cleo:a"] == pytest.approx(0.9**5)
    assert found["Memory:cleo:b"] == pytest.approx(0.5**3 * 0.9**5)


def test_an_edge_may_be_there_before_any_record_of_its_shard(api: Api) -> None:
    key = "Memory:nobody:yet"
    for field in (Memory.both, Memory.ways):
        assert api(field.link, Memory, "a topic", key, 0.5) == 0.5
        assert api(field.get_linked, Memory, "a topic") == [(key, 0.5)]
        assert api(field.propagate, Memory, ["a topic"], 1, decay_per_hop=0.5) == {key: 0.25}
        assert api(field.strengthen, Memory, "other", "Memory:none:yet", 0.5) == 0.5
        assert api(field.weaken_all, Memory, "a topic", 0) == 1
        assert api(field.weaken_all, Memory, "other", 0) == 1
        assert api(field.get_linked, Memory, "other") == []


def test_contexts_of_one_agent(api: Api) -> None:
    assembler = ContextAssembler(Memory, {"rank": 1, "relevance": 1}, max_items=2)
    with clock.using(NOW):
        result = api(assembler.assemble, {"topic": "cat"}, partition_filters={"agent": "cleo"})
        assert len(result.records) == 2
        assert {each.agent for each in result.records} == {"cleo"}
        ann = {"agent": "ann"}
        result = api(assembler.assemble, partition_filters=ann, assess_quality=True)
        assert {each.agent for each in result.records} == {"ann"}


def test_what_is_asked_of_all_agents(api: Api) -> None:
    first, second = (Memory.query.get(f"Memory:{agent}:sleep") for agent in ("ann", "bob"))
    with clock.using(NOW):
        api(RecallProposal.create_batch, [first], "why", "p")
    with clock.using(NOW + 60):
        api(RecallProposal.create_batch, [second], "why", "p")
    assert api(RecallProposal.get_pending, Memory, "p") == [(first.pk, NOW), (second.pk, NOW + 60)]
    with clock.using(NOW + 90):
        assert api(RecallProposal.expire_stale, Memory, "p", 60) == [first.pk]
    assert api(RecallProposal.get_pending, Memory, "p") == [(second.pk, NOW + 60)]
    for record, outcome in ((first, "used"), (second, "dismissed")):
        api(Memory.record_prediction, record, {"x": 4})
        api(Memory.auto_resolve, record, outcome)
        api(ConfidenceField.update_confidence, record, "sure", 0.9)
    errors = [(second.pk, 0.5), (first.pk, 0.3)]
    assert api(Memory.get_highest_errors, Memory) == errors
    assert api(Memory.get_highest_errors, Memory, limit=1)[0][0] == second.pk
    assert api(Memory.error_summary, Memory)["__all__"]["count"] == 2
    assert api(ConfidenceField.get_confidence_filtered, Memory, "sure", "*:sleep").keys() == {
        first.pk,
        second.pk,
        "Memory:cleo:sleep",
    }
    assert api(Memory.known.might_exist_batch, Memory, ["cat", "taxes", "dog"]) == {
        "cat": True,
        "taxes": True,
        "dog": False,
    }
    assert api(Memory.known.fill_ratio, Memory) > 0
    assert api(Memory.counts.get_frequency, Memory, "cat") == 3
    assert api(BM25Field.get_idf, Memory, "words", ["cat", "taxes", "dog"]) == {
        "cat": inverse_frequency(9, 3),
        "taxes": inverse_frequency(9, 1),
        "dog": inverse_frequency(9, 0),
    }


def stored(agent: str, name: str) -> Memory:
    return Memory.query.get(f"Memory:{agent}:{name}") or Memory.create(agent=agent, name=name)


def test_proposals_of_all_agents_go_and_are_told_as_on_one_server(
    api: Api, server_url: str, counted: Callable[[], list[int]]
) -> None:
    ages = {("ann", "sleep"): 300, ("bob", "sleep"): 500, ("cleo", "sleep"): 20}
    ages |= {("ann", "play"): 500, ("bob", "play"): 10, ("cleo", "play"): 400}
    # Of one moment, in an order of keys that is not that of the shards.
    ages |= {("ann", "rain"): 30, ("ann!", "rain"): 30}

    def expired() -> list[Any]:
        for (agent, name), age in ages.items():
            with clock.using(NOW - age):
                record = Memory.query.get(f"Memory:{agent}:{name}") or Memory(
                    agent=agent, name=name
                )
                record.save()
                RecallProposal.create_batch([record], "why", "p")
        with clock.using(NOW):
            gone = api(RecallProposal.expire_stale, Memory, "p", 60)
            return [gone, api(RecallProposal.get_pending, Memory, "p")]

    here = expired()
    with redis_db.using(server_url):
        there = expired()
        redis_db.get_REDIS_DB().flushall()
    assert here == there
    assert here[0] == [
        "Memory:ann:play",
        "Memory:bob:sleep",
        "Memory:cleo:play",
        "Memory:ann:sleep",
    ]
    assert here[1] == [
        ("Memory:ann!:rain", NOW - 30),
        ("Memory:ann:rain", NOW - 30),
        ("Memory:cleo:sleep", NOW - 20),
        ("Memory:bob:play", NOW - 10),
    ]
    asked = counted()
    assert RecallProposal.expire_stale(Memory, "p", 1e9) == []
    # Which shards there are, and what is overdue in each.
    assert asked == [1, 4]


def test_the_highest_errors_of_all_agents_are_those_of_one_server(
    api: Api, server_url: str
) -> None:
    outcomes = {"ann": "used", "bob": "dismissed", "cleo": "used"}

    def errors() -> list[Any]:
        for agent, outcome in outcomes.items():
            for name in ("sleep", "play"):
                record = Memory.query.get(f"Memory:{agent}:{name}") or Memory(
                    agent=agent, name=name
                )
                record.save()
                Memory.record_prediction(record, {"x": 4})
                Memory.auto_resolve(record, outcome)
        return [api(Memory.get_highest_errors, Memory, limit=limit) for limit in (1, 3, 9, 0)]

    here = errors()
    with redis_db.using(server_url):
        there = errors()
        redis_db.get_REDIS_DB().flushall()
    assert here == there
    # Of equal errors the greatest key comes first.
    assert [key for key, _ in here[1]] == [
        "Memory:bob:sleep",
        "Memory:bob:play",
        "Memory:cleo:sleep",
    ]
    assert [len(each) for each in here] == [1, 3, 6, 0]


def test_nothing_is_known_before_there_is_any_shard(api: Api, nodes: list[redis.Redis]) -> None:
    for node in nodes:
        node.flushall()
    assert api(RecallProposal.get_pending, Memory, "p") == []
    assert api(Memory.get_highest_errors, Memory) == []
    assert api(Memory.known.might_exist, Memory, "cat") is False
    assert api(Memory.known.fill_ratio, Memory) == 0
    assert api(Memory.counts.get_frequency, Memory, "cat") == 0
    assert api(BM25Field.get_idf, Memory, "words", ["cat"]) == {"cat": inverse_frequency(0, 0)}


def test_the_vectors_of_all_agents_are_loaded_and_told(api: Api) -> None:
    matrix, found = api(EmbeddingField.load_embeddings, Memory)
    assert sorted(found) == sorted(each.pk for each in Memory.query.all())
    assert len(matrix) == len(found)
    assert api(EmbeddingField.prepare_search, Memory) == len(found)
    told = digest(Memory)
    assert (told.records, told.vectors) == (len(found), len(found))


def test_no_vectors_are_loaded_where_no_agent_has_any(api: Api) -> None:
    Memory.delete_all()
    assert api(EmbeddingField.load_embeddings, Memory) == (None, [])
    assert api(EmbeddingField.prepare_search, Memory) == 0


def test_vectors_in_files_are_one_store_for_all_agents(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    for agent in AGENTS:
        for name, text in TEXTS.items():
            Filed.create(agent=agent, name=name, text=text)
    for agent in AGENTS:
        found = api(Filed.query.filter(agent=agent).semantic_search, "cat", limit=2)
        assert [(each.agent, each.name) for each in found] == [(agent, "sleep"), (agent, "play")]
    # Each vector once, also after searches that found some to be in no other shard.
    _, found = api(EmbeddingField.load_embeddings, Filed)
    assert sorted(found) == sorted(each.pk for each in Filed.query.all())
    assert api(EmbeddingField.prepare_search, Filed) == len(AGENTS) * len(TEXTS)
