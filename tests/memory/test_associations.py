"""`CoOccurrenceField`: edges, their bounds, spreading activation, and where edges go."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto import (
    CoOccurrenceField,
    Defaults,
    EventStreamMixin,
    KeyField,
    Model,
    ModelException,
    QueryException,
    transaction,
)
from tests.driver import Api


class Node(Model):
    name = KeyField()
    both = CoOccurrenceField()
    few = CoOccurrenceField(max_edges=2)
    ways = CoOccurrenceField(symmetric=False, max_edges=3)


both, few, ways = Node.both, Node.few, Node.ways


def weights(field: Any, pk: str) -> dict[str, float]:
    return dict(field.get_linked(Node, pk, min_weight=-math.inf, limit=-1))


def test_linking_and_strengthening(api: Api, redis_client: redis.Redis) -> None:
    assert api(both.link, Node, "x", "y") == 0.1
    assert api(both.link, Node, "x", "y", 0.9) == 0.1
    assert api(both.strengthen, Node, "x", "y") == pytest.approx(0.15)
    assert api(both.strengthen, Node, "y", "x", delta=0.2) == pytest.approx(0.35)
    assert weights(both, "x") == {"y": pytest.approx(0.35)}
    assert weights(both, "y") == {"x": pytest.approx(0.35)}
    assert redis_client.zscore("$CoOccurrencF:Node:both:x", "y") == pytest.approx(0.35)
    assert both.get_edge_key(Node, "x") == "$CoOccurrencF:Node:both:x"
    assert both.get_edge_key_prefix(Node) == "$CoOccurrencF:Node:both:"
    assert api(ways.strengthen, Node, 1, 2, delta=0.5) == 0.5
    assert weights(ways, "2") == {}
    assert api(both.unlink, Node, "y", "x") is None
    assert redis_client.keys("$CoOccurrencF:Node:both*") == []
    assert api(both.unlink, Node, "y", "x") is None


@pytest.mark.parametrize("weight", [0, -0.5, 2.5, 1e300])
def test_any_finite_weight(weight: float) -> None:
    assert both.link(Node, "x", "y", weight) == weight


def test_the_lightest_go(api: Api) -> None:
    for target, weight in (("p", 0.1), ("q", 0.2), ("r", 0.3)):
        api(ways.link, Node, "s", target, weight)
    assert api(ways.link, Node, "s", "n", 0.05) == 0.05
    assert weights(ways, "s") == {"p": 0.1, "q": 0.2, "r": 0.3}
    api(ways.link, Node, "s", "n", 0.4)
    assert weights(ways, "s") == {"q": 0.2, "r": 0.3, "n": 0.4}
    api(ways.strengthen, Node, "s", "late", 5)
    assert weights(ways, "s") == {"r": 0.3, "n": 0.4, "late": 5}
    for target, weight in (("p", 0.5), ("q", 0.6), ("r", 0.7)):
        api(few.link, Node, "hub", target, weight)
    # The other side of an edge that goes, goes as well.
    assert (weights(few, "hub"), weights(few, "p")) == ({"q": 0.6, "r": 0.7}, {})
    for target in ("a", "b", "c"):
        api(few.link, Node, "even", target, 0.5)
    assert set(weights(few, "even")) == {"b", "c"}


def test_an_edge_that_goes_one_way_leaves_those_of_its_target_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that has more than may be by now."""
    for target in "pqr":
        ways.link(Node, "t", target, 0.5)
    monkeypatch.setattr(ways, "max_edges", 1)
    api(ways.link, Node, "s", "t", 0.5)
    api(ways.strengthen, Node, "s", "t", delta=0.5)
    assert weights(ways, "t").keys() == set("pqr")
    api(ways.link, Node, "t", "s", 0.75)
    assert weights(ways, "t") == {"s": 0.75}


def test_weakening(api: Api) -> None:
    for target, weight in (("1", 1.0), ("2", 0.5), ("3", 0.001), ("4", 0.0015)):
        both.link(Node, "w", target, weight)
    assert api(both.weaken_all, Node, "w", 0.95) == 1
    expected = {"1": 0.95, "2": 0.475, "4": 0.001425}
    assert weights(both, "w") == pytest.approx(expected)
    assert (weights(both, "3"), weights(both, "2")) == ({}, {"w": pytest.approx(0.475)})
    assert api(both.weaken_all, Node, "w", 0.5) == 1
    assert weights(both, "w") == pytest.approx({"1": 0.475, "2": 0.2375})
    assert api(both.weaken_all, Node, "w") == 0
    assert weights(both, "w")["1"] == pytest.approx(0.475 * 0.95)
    assert api(both.weaken_all, Node, "w", 1) == 0
    assert api(both.weaken_all, Node, "w", 0) == 2
    assert weights(both, "1") == weights(both, "w") == {}
    ways.link(Node, "s", "exact", 0.002)
    assert ways.weaken_all(Node, "s", 0.5) == 0
    assert weights(ways, "s") == {"exact": 0.001}


def test_an_edge_without_end_can_be_taken_away(api: Api, redis_client: redis.Redis) -> None:
    """Another program has written it: nothing that is multiplied makes it less."""
    both.link(Node, "w", "1", 0.5)
    redis_client.zadd("$CoOccurrencF:Node:both:w", {"1": math.inf})
    assert api(both.weaken_all, Node, "w", 0) == 1
    assert weights(both, "1") == weights(both, "w") == {}


def test_reading_in_order(api: Api) -> None:
    for target, weight in (("a", 0.5), ("b", 0.5), ("c", 0.9), ("d", 0.009)):
        both.link(Node, "x", target, weight)
    linked = both.get_linked
    assert api(linked, Node, "x") == [("c", 0.9), ("b", 0.5), ("a", 0.5)]
    assert api(linked, Node, "x", min_weight=0.5, limit=2) == [("c", 0.9), ("b", 0.5)]
    assert api(linked, Node, "x", limit=0) == []
    assert len(api(linked, Node, "x", min_weight=0, limit=-5)) == 4
    assert api(linked, Node, "unknown") == []


def test_refusals(api: Api) -> None:
    for method in (both.link, both.strengthen):
        with pytest.raises(ValueError, match="self-loop"):
            api(method, Node, 1, "1")
    for delta in (0, -1):
        with pytest.raises(ValueError, match="delta must be > 0"):
            api(both.strengthen, Node, "x", "y", delta)
    for number in (math.nan, math.inf, "1", None, True):
        with pytest.raises(ValueError, match="delta must be a finite number"):
            api(both.strengthen, Node, "x", "y", number)
    # None is not left out, as in popoto 1.6.
    for number in (math.nan, None):
        with pytest.raises(ValueError, match="initial_weight must be a finite number"):
            api(both.link, Node, "x", "y", number)
        with pytest.raises(ValueError, match="decay_per_hop must be a finite number"):
            api(both.propagate, Node, ["x"], decay_per_hop=number)
    for factor in (-0.1, 1.1, math.nan, "x"):
        with pytest.raises(ValueError, match="between 0 and 1"):
            api(both.weaken_all, Node, "x", factor)
    with pytest.raises(ModelException, match="max_edges"):
        CoOccurrenceField(max_edges=0)
    for factor in (1, -0.1, "x"):
        with pytest.raises(ModelException, match="decay_factor"):
            CoOccurrenceField(decay_factor=factor)
    with pytest.raises(QueryException, match="no lookups"):
        Node.query.filter(both=1).all()
    assert Node.create(name="x").both is None


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Defaults, "CO_OCCURRENCE_INITIAL_WEIGHT", 0.7)
    monkeypatch.setattr(Defaults, "CO_OCCURRENCE_DECAY_FACTOR", 0.25)
    monkeypatch.setattr(Defaults, "CO_OCCURRENCE_DECAY_PER_HOP", 1.0)
    assert both.link(Node, "x", "y") == 0.7
    assert CoOccurrenceField().decay_factor == 0.25
    assert both.decay_factor == 0.95
    assert both.propagate(Node, ["x"]) == {"y": 0.7}


# Spreading activation --------------------------------------------------------------------------

GRAPH = [
    *(("A", "B", 0.8), ("A", "C", 0.5), ("B", "D", 0.9)),
    *(("C", "D", 1.0), ("D", "E", 0.7), ("E", "F", 0.6)),
]


@pytest.mark.parametrize(
    ("seeds", "options", "expected"),
    [
        (["A"], {}, {"B": 0.4, "C": 0.25, "D": 0.18}),
        (["A"], {"depth": 1}, {"B": 0.4, "C": 0.25}),
        (["A"], {"depth": 3}, {"B": 0.4, "C": 0.25, "D": 0.18, "E": 0.063}),
        (
            ["A"],
            {"depth": 4, "threshold": 0},
            {"B": 0.4, "C": 0.25, "D": 0.18, "E": 0.063, "F": 0.0189},
        ),
        (["A"], {"decay_per_hop": 0.9}, {"B": 0.72, "C": 0.45, "D": 0.5832}),
        (
            ["A"],
            {"decay_per_hop": 1, "depth": 4},
            {"B": 0.8, "C": 0.72, "D": 0.72, "E": 0.504, "F": 0.3024},
        ),
        (["A"], {"threshold": 0.2}, {"B": 0.4, "C": 0.25}),
        (["A"], {"decay_per_hop": 0}, {}),
        (["A", "D", "A"], {}, {"B": 0.45, "C": 0.5, "E": 0.35, "F": 0.105}),
        (["A"], {"depth": 0}, {"A": 1.0}),
        (["A"], {"depth": -1}, {}),
        (["unknown"], {}, {}),
        ([], {}, {}),
    ],
)
def test_activation_of_the_contract(
    api: Api, seeds: list[str], options: dict[str, Any], expected: dict[str, float]
) -> None:
    for source, target, weight in GRAPH:
        both.link(Node, source, target, weight)
    assert api(both.propagate, Node, seeds, **options) == pytest.approx(expected)


def test_activation_goes_one_way() -> None:
    ways.bulk_link(Node, [("A", "B"), ("B", "D"), ("C", "D")], 1)
    ways.link(Node, "A", "C", 0.5)
    assert ways.propagate(Node, ["A"], decay_per_hop=0.5)["D"] == 0.25
    assert ways.propagate(Node, ["D"]) == {}
    for options in ({"decay_per_hop": math.nan}, {"threshold": "x"}):
        with pytest.raises(ValueError, match="finite number"):
            ways.propagate(Node, ["A"], **options)


def reference(
    edges: dict[str, dict[str, float]], seeds: list[str], depth: int, decay: float, threshold: float
) -> dict[str, float]:
    """Breadth-first search, as plainly as can be: the best product over all ways."""
    best: dict[str, float] = {}
    queue = deque((seed, 1.0, 0) for seed in seeds)
    while queue:
        node, weight, hops = queue.popleft()
        if hops == depth:
            continue
        for target, edge in edges.get(node, {}).items():
            reached = weight * decay * edge
            if reached >= threshold:
                best[target] = max(best.get(target, 0.0), reached)
                queue.append((target, reached, hops + 1))
    return {target: reached for target, reached in best.items() if target not in seeds}


_NAMES = st.sampled_from("abcdef")


@settings(max_examples=40, deadline=None)
@given(
    edges=st.dictionaries(
        st.tuples(_NAMES, _NAMES).filter(lambda pair: pair[0] != pair[1]), st.floats(0.1, 1)
    ),
    seeds=st.lists(_NAMES, min_size=1, max_size=2, unique=True),
    depth=st.integers(1, 2),
    decay=st.floats(0.1, 1),
)
def test_activation_is_that_of_a_plain_search(
    edges: dict[tuple[str, str], float], seeds: list[str], depth: int, decay: float
) -> None:
    graph: dict[str, dict[str, float]] = {}
    for name in "abcdef":
        for other, _ in wide.get_linked(Wide, name, limit=-1):
            wide.unlink(Wide, name, other)
    for (source, target), weight in edges.items():
        wide.link(Wide, source, target, weight)
        graph.setdefault(source, {})[target] = weight
    found = wide.propagate(Wide, seeds, depth=depth, decay_per_hop=decay, threshold=0.05)
    assert found == pytest.approx(reference(graph, seeds, depth, decay, 0.05))


class Wide(Model):
    name = KeyField()
    ways = CoOccurrenceField(symmetric=False)


wide = Wide.ways


# Together, and where edges go ------------------------------------------------------------------


def test_many_writers_lose_nothing() -> None:
    def strengthen() -> None:
        for _ in range(25):
            both.strengthen(Node, "x", "y", 1)

    threads = [threading.Thread(target=strengthen) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (weights(both, "x"), weights(both, "y")) == ({"y": 100}, {"x": 100})


def test_pipelines_and_transactions(api: Api, redis_client: redis.Redis) -> None:
    pipeline = redis_client.pipeline()
    assert both.link(Node, "x", "y", pipeline=pipeline) is pipeline
    assert both.strengthen(Node, "x", "y", pipeline=pipeline) is None
    assert both.weaken_all(Node, "x", 0.5, pipeline=pipeline) is pipeline
    assert weights(both, "x") == {}
    pipeline.execute()
    assert weights(both, "x") == {"y": pytest.approx(0.075)}
    with transaction() as together:
        both.link(Node, "x", "z", 0.4, pipeline=together)
        both.unlink(Node, "x", "y", pipeline=together)
    assert together.results == [0.4, 1]
    assert api(both.bulk_link, Node, [("x", "a"), ("x", "b")], 0.3) == [0.3, 0.3]


def test_strengthening_is_told(redis_client: redis.Redis) -> None:
    class Told(EventStreamMixin, Model):
        name = KeyField()
        links = CoOccurrenceField()

        _stream_name = "told"
        _stream_partition_field = "name"

    Told.links.strengthen(Told, "x", "y", 0.25)
    (event,) = [fields for _, fields in redis_client.xrange("stream:told:x")]
    assert (event[b"op"], event[b"pk"], event[b"source_pk"]) == (b"strengthen", b"x", b"x")
    assert (event[b"target_pk"], event[b"delta"], event[b"model"]) == (b"y", b"0.25", b"Told")


def test_edges_follow_their_record(api: Api, redis_client: redis.Redis) -> None:
    x, y = Node.create(name="x"), Node.create(name="y")
    both.link(Node, x.pk, y.pk, 0.7)
    redis_client.zadd(f"$CoOccurrencF:Node:both:{y.pk}", {x.pk: 0.2})
    ways.link(Node, y.pk, x.pk, 0.5)
    ways.link(Node, x.pk, "elsewhere", 0.4)
    x.name = "moved"
    api(x.save, migrate_key=True)
    # Both sides have their own weight, if another program has written one of them.
    assert (weights(both, x.pk), weights(both, y.pk)) == ({y.pk: 0.7}, {x.pk: 0.2})
    assert (weights(ways, y.pk), weights(ways, x.pk)) == ({x.pk: 0.5}, {"elsewhere": 0.4})
    assert redis_client.keys("*Node:x") == []
    api(x.save)
    assert weights(both, x.pk) == {y.pk: 0.7}
    api(x.delete)
    assert (weights(both, y.pk), weights(ways, y.pk)) == ({}, {})
    assert redis_client.keys("$CoOcc*") == []


def test_upkeep_finds_what_is_left(redis_client: redis.Redis, caplog: Any) -> None:
    x, y = Node.create(name="x"), Node.create(name="y")
    both.link(Node, x.pk, y.pk)
    both.link(Node, x.pk, "no record's key")
    ways.link(Node, x.pk, y.pk)
    assert Node.check_indexes()["total"] == 0
    redis_client.delete(y.pk)
    assert Node.check_indexes()["total"] > 0
    Node.clean_indexes()
    assert weights(both, x.pk) == {"no record's key": 0.1}
    assert redis_client.keys("*Node:y") == []
    assert Node.check_indexes()["total"] == 0
    assert "no record key" not in caplog.text


@pytest.mark.parametrize(
    "key",
    [
        "$CoOccurrencF:Node:both:Node:y",
        "$CoOccurrencF:Node:ways:Node:y",
        "$CoOccurrenceIn:Node:ways:Node:y",
    ],
)
def test_upkeep_leaves_a_key_of_another_program_among_edges_alone(
    api: Api, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    x, y, z = (Node.create(name=name) for name in "xyz")
    for source, target in ((x, y), (y, z), (z, x), (z, y)):
        both.link(Node, source, target)
        ways.link(Node, source, target)
    redis_client.delete(key)
    redis_client.set(key, "foreign")
    before = {each: redis_client.dump(each) for each in redis_client.keys("$Co*")}
    assert api(Node.check_indexes)["total"] == 0
    assert f"{key!r} is a string where a" in caplog.text
    api(Node.rebuild_indexes)
    assert {each: redis_client.dump(each) for each in redis_client.keys("$Co*")} == before
    for each in (x, y, z):
        with pytest.raises(ModelException, match=r"holds a string.*nothing was written"):
            api(each.delete)
    assert {each: redis_client.dump(each) for each in redis_client.keys("$Co*")} == before


def test_a_key_of_another_kind_changes_nothing(redis_client: redis.Redis) -> None:
    redis_client.set("$CoOccurrencF:Node:both:x", "text")
    with pytest.raises(ModelException, match="holds a string where a zset belongs"):
        both.link(Node, "x", "y")
    assert redis_client.exists("$CoOccurrencF:Node:both:y") == 0
