"""What the published package leaves beside records is taken over, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import Defaults

from .layout import dump
from .sides import Side
from .stories import DAY, NOW

pytestmark = pytest.mark.interop

INDEX = "$DecayingSortF:Memory:relevance"


def at(side: Side, day: float, what: str, *arguments: Any) -> Any:
    return side.call("at", moment=NOW + day * DAY, what=what, arguments=list(arguments))


def test_a_rebuild_keeps_what_1_6_has_touched(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    for name, day in (("touched", 0), ("resaved", 1), ("left", 2)):
        at(published, day, "keep", "Memory", {"name": name, "agent": f"agent {day}"})
    at(published, 5, "touch", "Memory:touched", "relevance")
    at(published, 6, "touch", "Memory:touched", "rhythm")
    at(published, 7, "change", "Memory:resaved", {"weight": 2.0})
    assert at(ours, 8, "shown", "Memory:touched", "relevance") == NOW
    assert at(ours, 8, "upkeep", "Memory", "rebuild_indexes") == 3
    assert redis_client.zrange(INDEX, 0, -1, withscores=True) == [
        (b"Memory:left", NOW + 2 * DAY),
        (b"Memory:touched", NOW + 5 * DAY),
        (b"Memory:resaved", NOW + 7 * DAY),
    ]
    assert redis_client.zscore("$CyclicDecayF:Memory:rhythm:agent 0", "Memory:touched") == (
        NOW + 6 * DAY
    )
    assert at(ours, 8, "shown", "Memory:touched", "relevance") == NOW + 5 * DAY
    assert at(published, 8, "shown", "Memory:touched", "rhythm") == NOW + 6 * DAY
    assert at(ours, 8, "upkeep", "Memory", "check_indexes") == 0


def test_a_rebuild_by_1_6_keeps_what_is_touched_here(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    at(published, 0, "keep", "Memory", {"name": "m"})
    at(ours, 5, "touch", "Memory:m", "relevance")
    at(published, 8, "upkeep", "Memory", "rebuild_indexes")
    assert redis_client.zscore(INDEX, "Memory:m") == NOW + 5 * DAY


@pytest.mark.parametrize("how", ["changed", "added and removed"])
def test_where_1_6_writes_too_base_scores_are_read_from_records(
    how: str, ours: Side, published: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting for a database that is shared; without it, a rebuild makes it right."""
    for number in range(300):
        at(ours, number / 1000, "keep", "Memory", {"name": f"n{number:03}"})
    best = "n100" if how == "changed" else "new"
    if how == "changed":
        at(published, 1, "change", "Memory:n100", {"weight": 50.0}, ["weight"])
    else:
        at(published, 0.1, "keep", "Memory", {"name": "new", "weight": 50.0})
        at(published, 1, "forget", "Memory:n000")
    wanted = [best, "n299", "n298"]
    assert at(published, 100, "top", "relevance", 3, {}) == wanted
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)
    assert at(ours, 100, "top", "relevance", 3, {}) == wanted
    monkeypatch.undo()
    at(ours, 100, "upkeep", "Memory", "rebuild_indexes")
    assert at(ours, 100, "top", "relevance", 3, {}) == wanted


def test_amplitudes_that_one_has_learned_the_other_goes_on_with(
    ours: Side, published: Side
) -> None:
    at(ours, 0, "keep", "Memory", {"name": "m"})
    at(ours, 1, "strengthen_cycle", "Memory:m", "calm", 2)
    assert at(published, 1, "strengthen_cycle", "Memory:m", "calm", 2) == [[31536000, 8.0, 0]]
    assert at(ours, 1, "strengthen_cycle", "Memory:m", "calm", 2) == [[31536000, 16.0, 0]]
    # 1.6 lets what this package noted of the declaration stand, so a save here knows it.
    at(ours, 2, "change", "Memory:m", {"weight": 3.0})
    assert at(published, 2, "weaken_cycle", "Memory:m", "calm", 0.5) == [[31536000, 8.0, 0]]
    at(published, 3, "change", "Memory:m", {"weight": 4.0})
    assert at(ours, 3, "weaken_cycle", "Memory:m", "calm", 1) == [[31536000, 2.0, 0]]


def test_evidence_of_1_6_moves_to_partitions(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    stem = "$ConfidencF:Claim:apart:data"
    for name, agent in (("x", "a"), ("y", "b"), ("z", None)):
        at(published, 0, "keep", "Claim", {"name": name, "agent": agent})
        at(published, 1, "learn", f"Claim:{name}", "apart", 0.25)
    # As it was before the field had partitions.
    for key in (f"{stem}:a", f"{stem}:b"):
        for member, stored in redis_client.hgetall(key).items():
            redis_client.hset(stem, member, stored)
        redis_client.delete(key)
    partitions = {"a": 1, "b": 1, "default": 1}
    planned = {"total": 3, "migrated": 0, "errors": [], "partitions": partitions}
    assert at(ours, 2, "migrate", "Claim", "apart", True) == planned
    assert at(published, 2, "migrate", "Claim", "apart", True) == planned
    assert at(ours, 2, "migrate", "Claim", "apart", False) == {**planned, "migrated": 3}
    for name in "xyz":
        for side in (ours, published):
            assert at(side, 3, "confidence", f"Claim:{name}", "apart")["evidence_count"] == 1


def test_edges_of_1_6_that_lead_to_a_deleted_record_are_found(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    for name in "ab":
        at(published, 0, "keep", "Node", {"name": name})
    at(published, 0, "edges", "both", "link", "Node:a", "Node:b", 0.5)
    at(published, 0, "edges", "ways", "link", "Node:a", "Node:b", 0.5)
    at(ours, 0, "forget", "Node:b")
    assert at(published, 0, "edges", "both", "get_linked", "Node:a") == []
    # Nothing says where an edge that goes one way comes from; that is missed as well.
    assert at(ours, 0, "upkeep", "Node", "check_indexes") == 2
    at(ours, 0, "upkeep", "Node", "clean_indexes")
    assert at(published, 0, "edges", "ways", "get_linked", "Node:a") == []


def test_proposals_of_1_6_in_a_partition_are_resolved_where_it_is_named(
    ours: Side, published: Side
) -> None:
    at(published, 0, "keep", "Memory", {"name": "m"})
    at(published, 1, "surface", ["Memory:m"], "p")
    at(ours, 2, "observe", {"Memory:m": "deferred"})
    assert at(ours, 2, "pending", "Memory", "p") == [["Memory:m", NOW + DAY]]
    at(ours, 2, "observe_in", "p", {"Memory:m": "deferred"})
    assert at(published, 2, "pending", "Memory", "p") == []


def test_what_1_6_leaves_when_it_deletes_is_found_and_removed(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    at(ours, 0, "keep", "Memory", {"name": "m", "weight": 2.0})
    at(ours, 1, "surface", ["Memory:m"], "p")
    at(ours, 1, "predict", "Memory:m", {"x": 1})
    at(ours, 1, "resolve", "Memory:m", {"x": 1})
    at(published, 2, "forget", "Memory:m")
    assert at(ours, 3, "upkeep", "Memory", "check_indexes") == 4
    at(ours, 3, "upkeep", "Memory", "clean_indexes")
    assert dump(redis_client) == {}
    assert redis_client.exists("$DecayBase:Memory:relevance") == 0
