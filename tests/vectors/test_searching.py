"""`semantic_search`: the worked numbers of spec/4 section 9, and what it composes with."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    EmbeddingField,
    KeyField,
    Model,
    QueryException,
    SortedField,
    StringField,
)
from popoto.exceptions import VectorMismatchError
from tests.driver import Api, RoundTrips
from tests.vectors.provider import TABLE, Known


@pytest.fixture
def filled(note: Any) -> Any:
    for name, rank in zip("abcd", (1, 9, 5, 2), strict=True):
        note.create(name=name, text=name, rank=rank)
    return note


def scored(found: list[Any]) -> list[tuple[str, float]]:
    return [(each.name, pytest.approx(each._similarity_score, rel=1e-5)) for each in found]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("right", [("a", 0.6)]),
        ("up", [("a", 0.98995), ("b", 0.707107)]),
        ("left", [("c", 0.894427)]),
    ],
)
def test_the_nearest_come_first_and_what_is_unlike_does_not_come(
    api: Api, filled: Any, question: str, expected: list[tuple[str, float]]
) -> None:
    assert scored(api(filled.query.semantic_search, question)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"indexes": {"rank": 0.5}}, "b 1.15711, a 1.03995, c 0.25, d 0.1"),
        (
            {"indexes": {"rank": 0.5}, "aggregate": "MAX"},
            "a 0.98995, b 0.707107, c 0.25, d 0.1",
        ),
        ({"indexes": {"rank": 0.5}, "aggregate": "MIN"}, "b 0.45, c 0.25, d 0.1, a 0.05"),
        (
            {"indexes": {"rank": 0.5, "conf": 1}, "min_score": 0.8},
            "b 1.65711, a 1.53995",
        ),
        (
            {"indexes": {"rank": 0.5}, "co_occurrence_boost": {"Ranked:d": 0.25}},
            "b 1.15711, a 1.03995, d 0.35, c 0.25",
        ),
        (
            {"indexes": {"rank": 0.5}, "limit": 2, "temperature": 0.5},
            "b 2.31421, a 2.0799",
        ),
    ],
)
def test_similarity_is_one_signal_of_several(
    api: Api, provider: Known, store: Any, arguments: dict[str, Any], expected: str
) -> None:
    class Ranked(Model):
        name = KeyField()
        text = StringField()
        rank = SortedField(type=float, default=0.0)
        conf = ConfidenceField()
        vector = EmbeddingField(source="text", provider=provider, store=store)

    for name, rank in zip("abcd", (0.1, 0.9, 0.5, 0.2), strict=True):
        Ranked.create(name=name, text=name, rank=rank)
    found = api(Ranked.query.semantic_search, "up", **arguments)
    told = [(each.name, pytest.approx(each._composite_score, rel=1e-5)) for each in found]
    assert told == [
        (name, float(score)) for name, score in (pair.split() for pair in expected.split(", "))
    ]
    assert api(Ranked.query.semantic_search, "", **arguments) == []


def test_without_any_similarity_the_other_signals_find_nothing(
    api: Api, filled: Any, provider: Known
) -> None:
    provider.table["nowhere"] = (0, 0, 0)
    assert api(filled.query.semantic_search, "nowhere", indexes={"rank": 1}) == []
    with pytest.raises(QueryException, match="rang"):
        api(filled.query.semantic_search, "up", indexes={"rang": 1})


def test_the_question_is_embedded_as_a_question(api: Api, filled: Any, provider: Known) -> None:
    provider.calls.clear()
    api(filled.query.semantic_search, "up")
    assert provider.calls == [(["up"], "query")]


@pytest.mark.parametrize("question", ["", "  \n", None])
def test_an_empty_question_finds_nothing_and_asks_nobody(
    api: Api, filled: Any, provider: Known, question: Any
) -> None:
    provider.calls.clear()
    assert api(filled.query.semantic_search, question) == []
    assert provider.calls == []


def test_what_cannot_be_searched_says_so(api: Api, filled: Any, provider: Known) -> None:
    class Bare(Model):
        name = KeyField()

    assert api(Bare.query.semantic_search, "") == []
    with pytest.raises(QueryException, match="no EmbeddingField"):
        api(Bare.query.semantic_search, "up")
    with pytest.raises(QueryException, match="text"):
        api(filled.query.semantic_search, 7)
    provider.error = OSError("down")
    with pytest.raises(RuntimeError, match=r"Embedding provider failed.*down"):
        api(filled.query.semantic_search, "up")


def test_there_may_be_nobody_to_ask_or_nothing_to_find(
    api: Api, note: Any, provider: Known
) -> None:
    assert api(note.query.semantic_search, "up") == []
    note.create(name="a", text="a")
    provider.table["nowhere"] = (0, 0, 0)
    assert api(note.query.semantic_search, "nowhere") == []
    note.vector._provider = None
    assert api(note.query.semantic_search, "up") == []


def test_a_question_of_another_length_is_a_mismatch(api: Api, filled: Any) -> None:
    filled.vector._provider = Known(dimensions=2)
    with pytest.raises(VectorMismatchError, match="reembed"):
        api(filled.query.semantic_search, "up")


def test_limit_and_offset(api: Api, filled: Any) -> None:
    search = filled.query.semantic_search
    assert [each.name for each in api(search, "up", limit=1)] == ["a"]
    assert api(search, "up", limit=0) == api(search, "up", limit=-1) == []
    assert [each.name for each in api(filled.query.filter().offset(1).semantic_search, "up")] == [
        "b"
    ]
    assert [each.name for each in api(filled.query.limit(1).semantic_search, "up")] == ["a"]
    with pytest.raises(QueryException, match="limit"):
        api(search, "up", limit="many")


def test_temperature_scales_the_scores_alone(api: Api, filled: Any) -> None:
    found = api(filled.query.semantic_search, "up", temperature=0.5, min_score=0.9)
    assert scored(found) == [("a", 1.9799)]
    for wrong in (0, -1, "hot", float("nan")):
        with pytest.raises(QueryException, match="temperature"):
            api(filled.query.semantic_search, "up", temperature=wrong)


def test_what_a_search_adds_and_asks_for_are_numbers_of_any_kind(api: Api, filled: Any) -> None:
    boost = {b"Note:b": np.float32(2)}
    search = filled.query.semantic_search
    found = api(search, "up", limit=np.int64(1), min_score=np.float32(1), co_occurrence_boost=boost)
    assert scored(found) == [("b", 2.707107)]
    for name, wrong in (
        ("co_occurrence_boost", {"b": math.nan}),
        ("co_occurrence_boost", [("b", 1)]),
        ("min_score", "high"),
        ("indexes", ["rank"]),
    ):
        with pytest.raises(QueryException, match=name):
            api(search, "up", **{name: wrong})


def test_a_negative_least_score_lets_in_what_is_unlike(api: Api, filled: Any) -> None:
    found = api(filled.query.semantic_search, "left", min_score=-0.5)
    assert scored(found) == [("c", 0.894427), ("d", 0.0), ("b", -0.447214)]


def test_what_a_filter_refuses_makes_room(api: Api, filled: Any) -> None:
    seen: list[tuple[str, float]] = []

    def accept(key: str, score: float) -> bool:
        seen.append((key, score))
        return not key.endswith(":a")

    found = api(filled.query.semantic_search, "up", limit=1, post_filter=accept)
    assert [each.name for each in found] == ["b"]
    assert seen[0] == ("Note:a", pytest.approx(0.98995, rel=1e-5))


@pytest.mark.parametrize("limit", [1, 10])
def test_a_filter_function_sees_what_matches_alone(api: Api, filled: Any, limit: int) -> None:
    seen: list[str] = []

    def refuse(key: str, score: float) -> bool:
        seen.append(key)
        return False

    for among in (filled.query.filter(rank__gt=1), filled.query.filter(name="b")):
        assert api(among.semantic_search, "up", limit=limit, post_filter=refuse) == []
    assert set(seen) == {"Note:b"}
    assert api(filled.query.filter(rank__gt=1).semantic_search, "up", limit=limit)[0].name == "b"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("sum", [("d", 1.0), ("a", 0.98995), ("b", 0.807107)]),
        ("MAX", [("d", 1.0), ("a", 0.98995), ("b", 0.707107)]),
        ("min", [("d", 1.0), ("a", 0.98995), ("b", 0.1)]),
    ],
)
def test_boosts_are_joined_to_similarities(
    api: Api, filled: Any, rule: str, expected: list[tuple[str, float]]
) -> None:
    boost = {"Note:b": 0.1, "Note:d": 1.0, "Note:gone": 9.0}
    search = filled.query.semantic_search
    assert scored(api(search, "up", co_occurrence_boost=boost, aggregate=rule)) == expected
    among = filled.query.filter(rank__gt=1).semantic_search
    found = api(among, "up", co_occurrence_boost=boost, aggregate=rule)
    assert scored(found) == [each for each in expected if each[0] != "a"]
    with pytest.raises(QueryException, match="aggregate must be"):
        api(search, "up", aggregate="MEAN")


def test_conditions_hold(api: Api, filled: Any) -> None:
    search = filled.query.filter(rank__gte=2).semantic_search
    assert scored(api(search, "up")) == [("b", 0.707107)]
    assert api(filled.query.filter(name="c").semantic_search, "up") == []
    with pytest.raises(QueryException, match="order of its own"):
        api(filled.query.order_by("rank").semantic_search, "up")


def test_few_matches_among_many_are_found(api: Api, note: Any) -> None:
    note.bulk_create([note(name=f"n{n:03}", text="a", rank=0) for n in range(300)])
    note.bulk_create([note(name=f"m{n}", text="b", rank=1) for n in range(3)])
    found = api(note.query.filter(rank=1).semantic_search, "up", limit=2)
    assert [each.name for each in found] == ["m2", "m1"]
    boost = {"Note:m0": 1.0, "Note:n000": 9.0}
    among = note.query.filter(rank=1).semantic_search
    found = api(among, "up", limit=2, co_occurrence_boost=boost)
    assert scored(found) == [("m0", 1.707107), ("m2", 0.707107)]


def test_projections_hold(api: Api, filled: Any) -> None:
    found = api(filled.query.values("name", "rank").semantic_search, "up")
    assert found == [{"name": "a", "rank": 1}, {"name": "b", "rank": 9}]


def test_results_are_read_and_counted_as_such(api: Api, store: Any) -> None:
    class Tracked(AccessTrackerMixin, Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=Known(TABLE), store=store)
        _track_reads = True

    tracked = Tracked.create(name="a", text="a")
    api(Tracked.query.semantic_search, "up")
    api(Tracked.query.no_track().semantic_search, "up")
    tracked.confirm_access()
    assert tracked.access_count == 1


def test_equal_scores_come_in_reverse_order_of_keys(api: Api, note: Any) -> None:
    note.bulk_create([note(name=f"n{n:03}", text="a") for n in range(500)])
    found = api(note.query.semantic_search, "up", limit=400)
    assert [each.name for each in found] == [f"n{n:03}" for n in range(499, 99, -1)]


def test_a_search_is_one_round_trip_unless_the_best_have_changed(
    api: Api, filled: Any, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    def asked(query: Any) -> tuple[list[str], int]:
        with round_trips() as seen:
            found = api(query.semantic_search, "up")
        return [each.name for each in found], seen.sends

    some = filled.query.filter(name__in=["b", "c"])
    for query in (filled.query, some):
        api(query.semantic_search, "up")
    assert asked(filled.query) == (["a", "b"], 1)
    assert asked(some) == (["b"], 1)
    # Whoever writes: what is on the server is known here once the server has told it.
    told = 2 if filled.vector.store == "server" else 1
    filled.create(name="e", text="a")
    assert asked(filled.query) == (["e", "a", "b"], told)
    assert asked(filled.query) == (["e", "a", "b"], 1)
    filled.query.get(name="a").delete()
    assert asked(filled.query)[0] == ["e", "b"]
    # Somebody new who is not among the best.
    filled.create(name="f", text="c")
    assert asked(filled.query) == (["e", "b"], 1)


def test_a_long_search_leaves_the_event_loop_alone(
    note: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from popoto.memory.vectors.matrix import View
    from popoto.models.reading.ranking import comparing

    note.create(name="a", text="a")
    monkeypatch.setattr(comparing, "_MOST_AT_ONCE", 0)
    threads: list[int] = []
    plain = View.similarities

    def watched(self: View, vector: Any) -> Any:
        threads.append(threading.get_ident())
        return plain(self, vector)

    monkeypatch.setattr(View, "similarities", watched)
    both = Api(is_async=True)
    assert len(both(note.query.semantic_search, "up")) == 1
    both.close()
    assert threads != [threading.get_ident()]


@hypothesis.settings(max_examples=25)
@hypothesis.given(strategies.data())
def test_any_history_is_searched_as_a_table_is(data: strategies.DataObject) -> None:
    texts = strategies.one_of(strategies.none(), strategies.sampled_from("abcd"))
    step = strategies.tuples(strategies.sampled_from("xyz"), texts, strategies.booleans())
    for store in ("files", "server"):

        class History(Model):
            name = KeyField()
            text = StringField()
            vector = EmbeddingField(source="text", provider=Known(TABLE), store=store)

        History.delete_all()
        table: dict[str, str | None] = {}
        for name, text, deletes in data.draw(strategies.lists(step, max_size=8)):
            if deletes:
                if name in table:
                    History.query.get(name=name).delete()
                table.pop(name, None)
            else:
                History(name=name, text=text).save()
                table[name] = text
            found = History.query.semantic_search("up")
            assert {each.name for each in found} == {
                name for name, text in table.items() if text in ("a", "b")
            }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min_score": "much"}, "min_score must be a number"),
        ({"co_occurrence_boost": 3}, "co_occurrence_boost must be"),
        ({"post_filter": 3}, "post_filter must be a function"),
    ],
)
def test_each_setting_is_checked_though_no_other_is_given(
    api: Api, filled: Any, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(QueryException, match=told):
        api(filled.query.semantic_search, "up", **given)
