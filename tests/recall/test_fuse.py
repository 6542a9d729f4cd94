"""`fuse`: ranked lists of several sources as one."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import redis

from popoto import AccessTrackerMixin, KeyField, Model, QueryException, StringField
from popoto.fields.describing import describe
from tests.driver import Api

A, B, C, D = (f"Page:{name}" for name in "abcd")


class Page(AccessTrackerMixin, Model):
    name = KeyField()
    kind = StringField(default="k")


class Other(Model):
    name = KeyField()


@pytest.fixture(autouse=True)
def _pages(_fresh_server: None) -> None:
    Page.bulk_create([Page(name=name, kind="odd" if name in "ac" else "even") for name in "abcd"])


def ranked(*keys: Any) -> list[tuple[Any, float]]:
    return [(key, 0.0) for key in keys]


def fused(api: Api, query: Any = Page.query, **options: Any) -> list[tuple[str, float]]:
    return [(each.name, each._rrf_score) for each in api(query.fuse, **options)]


@pytest.mark.parametrize(
    ("k", "scores"),
    [
        (60, [0.0325225, 0.0163934, 0.016129]),
        (1, [0.833333, 0.5, 0.333333]),
        (0, [1.5, 1, 0.5]),
    ],
)
def test_two_lists(api: Api, k: int, scores: list[float]) -> None:
    found = fused(api, k=k, kw=ranked(A, B), sem=ranked(B, C))
    assert [name for name, _ in found] == ["b", "a", "c"]
    assert [score for _, score in found] == pytest.approx(scores, rel=1e-5)


def test_more_lists_and_repeated_keys(api: Api) -> None:
    found = fused(api, x=ranked(A, B, C), y=ranked(C, A), z=ranked(D))
    assert [name for name, _ in found] == ["a", "c", "d", "b"]
    expected = [0.0325225, 0.0322665, 0.0163934, 0.016129]
    assert [score for _, score in found] == pytest.approx(expected, rel=1e-5)
    assert fused(api, x=ranked(A, A)) == [("a", pytest.approx(0.0325225, rel=1e-5))]


def test_lists_may_be_iterators_empty_or_none(api: Api) -> None:
    assert [name for name, _ in fused(api, x=iter(ranked(A, B)), y=None, z=[])] == ["a", "b"]
    assert fused(api, x=None, y=[]) == []


def test_keys_may_be_bytes(api: Api) -> None:
    assert fused(api, k=0, x=ranked(A.encode()), y=ranked(A)) == [("a", 2)]


def test_records_that_are_gone_take_no_place(api: Api, redis_client: redis.Redis) -> None:
    redis_client.delete(B)
    Other.create(name="o")
    found = fused(api, limit=2, x=ranked("Page:ghost", "Other:o", B, A, "nonsense", "\udcff", C))
    assert [name for name, _ in found] == ["a", "c"]


def test_conditions_limit_offset_and_values_of_the_query_hold(api: Api) -> None:
    lists = {"x": ranked(A, B, C, D)}
    odd = Page.query.filter(kind="odd")
    assert [name for name, _ in fused(api, odd, limit=2, **lists)] == ["a", "c"]
    assert [name for name, _ in fused(api, odd.offset(1).limit(1), **lists)] == ["c"]
    assert api(odd.values("name").fuse, **lists) == [{"name": "a"}, {"name": "c"}]
    assert fused(api, Page.query.filter(name__in=[]), **lists) == []
    with pytest.raises(QueryException, match="an order of its own"):
        api(Page.query.order_by("name").fuse, **lists)


def test_a_filter_function_comes_before_the_limit(api: Api) -> None:
    found = fused(api, x=ranked(A, B), limit=1, post_filter=lambda key, score: key != A)
    assert found == [("b", pytest.approx(0.016129, rel=1e-5))]


def test_lists_may_have_weights(api: Api) -> None:
    lists = {"x": ranked(A, B), "y": ranked(B, A)}
    assert fused(api, k=0, weights={"x": 3}, **lists) == [("a", 3.5), ("b", 2.5)]
    assert fused(api, k=0, weights={"x": 0, "y": 2}, **lists) == [("b", 2), ("a", 1)]


@pytest.mark.parametrize("limit", [0, -1])
def test_without_a_limit_above_0_nothing_is_found(api: Api, limit: int) -> None:
    assert fused(api, x=ranked(A), limit=limit) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs ranked lists"),
        ({"x": [], "k": -1}, "k must be a number of 0 or more"),
        ({"x": [], "k": math.nan}, "k must be"),
        ({"x": [], "limit": 1.5}, "limit must be an int"),
        ({"x": [], "weights": {"y": 1}}, "no list is called 'y'"),
        ({"x": [], "weights": {"x": math.inf}}, "the weight of x"),
        ({"x": [], "weights": [(A, 1)]}, "needs another name"),
    ],
)
def test_what_is_refused(api: Api, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryException, match=message):
        fused(api, **options)


@pytest.mark.parametrize("pair", [A, (A, 1, 2), {"key": A}, (None, 1), 5])
def test_a_list_is_of_pairs(api: Api, pair: Any) -> None:
    with pytest.raises(ValueError, match=f"pairs.*{re.escape(describe(pair))}"):
        fused(api, x=[pair])


def test_results_are_staged_once(redis_client: redis.Redis) -> None:
    Page.query.fuse(x=ranked(A, B), y=ranked(A), limit=1)
    Page.query.no_track().fuse(x=ranked(A))
    assert redis_client.llen(f"$AT:Page:staged:{A}") == 1
    assert not redis_client.exists(f"$AT:Page:staged:{B}")
