"""Ranked lists of several sources as one: the plan of `fuse`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from popoto.engine.request import Plan
from popoto.engine.tree import Members, Nothing, all_of
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.given import parts_of
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ranking.asked import (
    as_number,
    capped,
    checked_filter,
    checked_limit,
    refuse_order,
    tell_of_no_keys,
)
from popoto.models.reading.ranking.scored import Accepts, Scored, finished
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import fetch_of
from popoto.models.record.options import ModelOptions

__all__ = ["fuse", "reciprocal_ranks"]


def fuse(
    spec: QuerySpec,
    lists: Mapping[str, Iterable[Any] | None],
    k: Any,
    limit: Any,
    post_filter: Accepts | None,
    weights: Mapping[str, float] | None,
) -> Plan[list[Any]]:
    """The plan of `fuse`; see `popoto.models.query_rankings`."""
    options = spec.options
    if not lists:
        raise QueryException(
            f"{options.model_name}: fuse() needs ranked lists, such as words=[(key, score), ...]"
        )
    _check_number(options, "k", k)
    _check_weights(options, lists, weights)
    scores = reciprocal_ranks(lists, k, weights or {})
    tell_of_no_keys(options, "fuse()", scores)
    ranked = sorted(scores.items(), key=lambda each: each[1], reverse=True)
    accepts = checked_filter(options, post_filter)
    if accepts is not None:
        ranked = [each for each in ranked if accepts(*each)]
    refuse_order(spec, "fuse")
    execution = Execution(spec)
    count = capped(execution, checked_limit(options, limit))
    fetch = yield from execution.matches()
    found = yield from _read(execution, fetch, ranked, count)
    return (yield from finished(execution, fetch, found[execution.offset :], "_rrf_score"))


def reciprocal_ranks(
    lists: Mapping[str, Iterable[Any] | None], k: float, weights: Mapping[str, float]
) -> dict[str, float]:
    """The sum of ``weight / (k + rank)`` by record key, ranks from 1, in the order of first sight.

    Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009). Raises ValueError for what is no
    pair of key and score.
    """
    scores: dict[str, float] = {}
    for name, pairs in lists.items():
        weight = weights.get(name, 1.0)
        if not isinstance(pairs or (), Iterable):
            raise TypeError(
                f"{name} must be a list of pairs (record key, score), got {describe(pairs)}"
            )
        for rank, pair in enumerate(pairs or (), 1):
            key = _key_of(name, pair)
            scores[key] = scores.get(key, 0.0) + weight / (k + rank)
    return scores


def _key_of(name: str, pair: object) -> str:
    parts = parts_of(pair)
    if len(parts) != 2 or not isinstance(parts[0], (str, bytes)):
        raise ValueError(f"{name} must be of pairs (record key, score), got {describe(pair)}")
    key: str | bytes = parts[0]
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key


def _check_number(options: ModelOptions, what: str, number: Any) -> None:
    if not 0 <= as_number(number) < math.inf:
        raise QueryException(
            f"{options.model_name}: {what} must be a number of 0 or more, got {describe(number)}"
        )


def _check_weights(
    options: ModelOptions, lists: Mapping[str, Any], weights: Mapping[str, float] | None
) -> None:
    if weights is not None and not isinstance(weights, Mapping):
        raise QueryException(
            f"{options.model_name}: weights are numbers by the name of a list, got "
            f"{describe(weights)}; a list needs another name"
        )
    for name, weight in (weights or {}).items():
        if name not in lists:
            raise QueryException(
                f"{options.model_name}: no list is called {name!r}; lists are {', '.join(lists)}"
            )
        _check_number(options, f"the weight of {name}", weight)


def _read(
    execution: Execution, fetch: Fetch, ranked: list[tuple[str, float]], count: int
) -> Plan[list[Scored]]:
    """The first so many of a ranking that exist and meet the conditions."""
    if isinstance(fetch.operand.node, Nothing):
        return []
    # Any key may stand in a list: only records of the model are found.
    node = all_of([Members(fetch.options.class_set_key), fetch.operand.node])
    own = yield from fetch_of(execution.spec, dataclasses.replace(fetch.operand, node=node))
    scores = dict(ranked)
    waiting = [key.encode("utf-8", "surrogatepass") for key in scores]
    found: list[Scored] = []
    while waiting and len(found) < count:
        missing = count - len(found)
        head, waiting = waiting[:missing], waiting[missing:]
        rows = yield from own.again(head, execution.reading())
        found += [(scores[row.key], row) for row in rows]
    return found
