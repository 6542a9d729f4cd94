"""Ranking by similarity of meaning: the plan of `semantic_search`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from popoto.engine.keys import text_of
from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.engine.tree import Everything
from popoto.exceptions import QueryException
from popoto.fields.keeping.shards import all_asked
from popoto.fields.vectors.keeper import VectorKeeper
from popoto.memory.vectors.arrays import HAS_NUMPY, Array
from popoto.models.reading.calls import Reading, Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.asked import (
    Scoring,
    asked_text,
    capped,
    checked_boost,
    checked_filter,
    checked_limit,
    checked_number,
    checked_rule,
    checked_temperature,
    refuse_order,
)
from popoto.models.reading.ranking.comparing import Search
from popoto.models.reading.ranking.composite import composite_score
from popoto.models.reading.ranking.named import NamedSearch
from popoto.models.reading.ranking.scored import Found, Scored, best_of_shards, finished
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import in_each_shard
from popoto.models.record.options import ModelOptions
from popoto.models.record.record_keys import told_by_key

__all__ = ["matcher_of_keys", "semantic_search"]

#: How many records the first request reads beyond those that are wanted, if conditions decide.
_FIRST_WINDOW = 64

Join: TypeAlias = Callable[[tuple[float, float]], float]


def semantic_search(spec: QuerySpec, text: Any, asked: Scoring) -> Plan[list[Any]]:
    """The plan of `semantic_search`; see `popoto.models.query_rankings`."""
    if not asked_text(spec.options, text, "semantic_search"):
        return []
    if asked.indexes:
        return (yield from _with_indexes(spec, text, asked))
    execution = Execution(spec)
    found = yield from _best(execution, text, asked, execution.reading())
    if found is None:
        return []
    return (yield from finished(execution, *found, "_similarity_score"))


def matcher_of_keys(spec: QuerySpec) -> Callable[[str], bool] | None:
    """Whether a record may match, by what its key tells. None where keys do not decide it."""
    options, wanted = spec.options, spec.keywords
    for name, value in wanted.items():
        field = options.by_name.get(name)
        if field is None or not field.told_by_key or type(value) is not field.type:
            return None
    for condition in spec.conditions:
        if condition.negated or condition.children or not condition.filters.keys() <= wanted.keys():
            return None
        if any(wanted[name] != value for name, value in condition.filters.items()):
            return None
    names = list(wanted)

    def matches(key: str) -> bool:
        told = told_by_key(options, key, names) if names else None
        return told is None or told == wanted

    return matches


def _best(
    execution: Execution, text: str, asked: Scoring, reading: Reading
) -> Plan[tuple[Fetch, list[Scored]] | None]:
    """The best rows, and what has fetched them; None where nothing can be found."""
    spec, options = execution.spec, execution.options
    field = embedding_field(spec)
    count = capped(execution, checked_limit(options, asked.limit))
    if count <= 0:
        return None
    temperature = checked_temperature(options, asked.temperature)
    refuse_order(spec, "semantic_search")
    rule = checked_rule(options, asked.aggregate)
    asked = _checked(options, asked)
    vector = yield from Search.vector_of(field, text)
    if vector is None:
        return None

    def best(each: QuerySpec) -> Plan[Found | None]:
        fetch = yield from Execution(each).unordered()
        search, ahead = yield from _searched(field, vector, fetch, reading, count)
        if search is None:
            return None
        ranked = _Ranked(search, asked, temperature, _JOINS[rule], _is_all(fetch))
        rows = yield from _rows(reading, fetch, ranked, count, ahead)
        return fetch, [(ranked.scores[row.key], row) for row in rows]

    found = yield from best_of_shards(spec, best, count, backwards=True)
    return None if found is None else (found[0], found[1][execution.offset :])


def _with_indexes(spec: QuerySpec, text: str, asked: Scoring) -> Plan[list[Any]]:
    """The ranking by further signals, to which similarity is added. Nothing where there is none."""
    similar = yield from _similarities(spec, text)
    if not similar:
        return []
    return (yield from composite_score(spec, replace(asked, similarity_boost=similar)))


def _similarities(spec: QuerySpec, text: Any) -> Plan[dict[str, float]]:
    """The positive similarities of a model's records to a text, by record key."""
    if not asked_text(spec.options, text, "semantic_search"):
        return {}
    field = embedding_field(spec)
    vector = yield from Search.vector_of(field, text)
    if vector is None:
        return {}
    asked = yield from in_each_shard(spec)
    if field.store != "server":
        # Files are one store for all shards.
        asked = asked[:1]
    told = yield from all_asked(
        asked, lambda each: Search.positive(field, vector, each.options.shard)
    )
    return {key: score for some in told for key, score in some.items()}


# What is asked for -----------------------------------------------------------------------------


def _checked(options: ModelOptions, asked: Scoring) -> Scoring:
    """The same with floats for its least score and what it adds. Raises QueryException."""
    least = asked.min_score
    if least is None and asked.co_occurrence_boost is None and asked.post_filter is None:
        return asked
    if least is not None:
        least = checked_number(options, "min_score", least, infinite=True)
    boost = checked_boost(options, "co_occurrence_boost", asked.co_occurrence_boost)
    accepts = checked_filter(options, asked.post_filter)
    return replace(asked, min_score=least, co_occurrence_boost=boost, post_filter=accepts)


def embedding_field(spec: QuerySpec, source: str | None = None) -> AnyField:
    """The model's first embedding field, of those of this source if there are any.

    Raises QueryException without one, or without NumPy.
    """
    fields = spec.options.listed("embedding")
    if not fields:
        raise QueryException(
            f"{spec.options.model_name} has no EmbeddingField: give it one to search by meaning"
        )
    if not HAS_NUMPY:
        raise QueryException("semantic_search() needs NumPy: pip install 'popoto[embeddings]'")
    return next((field for field in fields if field.source == source), fields[0])


# Ranking ---------------------------------------------------------------------------------------


class _Ranked:
    """Records by score, best first. What is accepted is divided by the temperature."""

    def __init__(
        self, search: Search, asked: Scoring, temperature: float, join: Join, is_of_all: bool
    ) -> None:
        self.search = search
        #: Whether every record matches. Those that do not are no business of a filter function.
        self._is_of_all = is_of_all
        self._least = asked.min_score
        self._boost = asked.co_occurrence_boost or {}
        self._temperature = temperature
        self._accepts = asked.post_filter
        self._join = join
        #: by record, what it was accepted with
        self.scores: dict[str, float] = {}
        #: whether no other record than the nearest that were found can be accepted
        self.is_whole = False

    def best(self) -> Plan[Iterator[str]]:
        """The keys of all, each accepted one once."""
        yield from self.search.compare()
        return self._accepted(self._scored())

    def nearest(self, count: int) -> Plan[Iterator[str] | None]:
        """The same of about the nearest `count`, compared exactly. None: all are to be compared."""
        if self._least is not None and self._least < 0:
            return None
        keys = yield from self.search.nearest(count + len(self._boost))
        if keys is None:
            return None
        similar = yield from self.search.among(keys)
        # Further ones are no better than the last of these.
        worst = min(similar.values(), default=0.0)
        self.is_whole = self.search.has_all or (not self._boost and not self._passes_on(worst))
        boosted = yield from self.search.among(self._boost.keys() - similar.keys())
        return self._accepted(self._joined_with(similar | boosted, self._boost))

    def among(self, keys: list[str]) -> Plan[Iterator[str]]:
        """The same of these records alone."""
        similar = yield from self.search.among(keys)
        wanted = set(keys)
        boost = {key: value for key, value in self._boost.items() if key in wanted}
        return self._accepted(self._joined_with(similar, boost))

    def _joined_with(
        self, similar: Mapping[str, float], boost: Mapping[str, float]
    ) -> Iterator[tuple[str, float]]:
        totals = {key: score for key, score in similar.items() if self._passes(score)}
        for key, value in boost.items():
            totals[key] = self._joined(totals.get(key), value)
        return iter(sorted(totals.items(), key=_by_score, reverse=True))

    def _passes_on(self, similarity: float) -> bool:
        """Whether a record of this similarity, without a boost, may be accepted."""
        return similarity > 0 and (self._least is None or similarity >= self._least)

    def forget_all_but(self, living: set[str], asked: Sequence[str]) -> None:
        """Let those that were asked for and are gone not be found any more."""
        gone = [key for key in asked if key not in living]
        if gone:
            self.search.keeper.forget(gone, self.search.seen)

    def _passes(self, similarity: float) -> bool:
        return similarity > 0 or (self._least is not None and similarity >= self._least)

    def _joined(self, similarity: float | None, boost: float) -> float:
        return boost if similarity is None else self._join((similarity, boost))

    def _scored(self) -> Iterator[tuple[str, float]]:
        # Those that a negative least score lets in as well.
        least = 0.0 if self._least is None else min(float(self._least), 0.0)
        found = self.search.best(least)
        if not self._boost:
            return found
        totals = dict(found)
        for key, value in self._boost.items():
            totals[key] = self._joined(totals.get(key), value)
        return iter(sorted(totals.items(), key=_by_score, reverse=True))

    def _accepted(self, scored: Iterator[tuple[str, float]]) -> Iterator[str]:
        for key, total in scored:
            if self._least is not None and total < self._least:
                return
            self.scores[key] = total / self._temperature
            if not self._is_of_all or self._is_accepted(key):
                yield key

    def _is_accepted(self, key: str) -> bool:
        return self._accepts is None or self._accepts(key, self.scores[key])

    def accepted_of(self, rows: Iterable[Row]) -> list[Row]:
        """Those of some matching rows that the filter function accepts, if it was not asked yet."""
        return [row for row in rows if self._is_of_all or self._is_accepted(row.key)]


_JOINS: dict[str, Join] = {"sum": sum, "min": min, "max": max}


def _by_score(each: tuple[str, float]) -> tuple[float, str]:
    return each[1], each[0]


# Reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Rows that were read while the server told what has changed: those of these records."""

    keys: list[str]
    rows: list[Row]


def _searched(
    field: AnyField, vector: Array, fetch: Fetch, reading: Reading, count: int
) -> Plan[tuple[Search | None, _Ahead | None]]:
    """The question and what there is. One round trip, in which the best are read as well.

    None where a vector set is to name them.

    The best are those that this process knew last. Mostly they still are.
    """
    shard = fetch.options.shard
    keeper: VectorKeeper = field.keeper_in(shard)
    if keeper.vector_set is not None:
        return NamedSearch.asked(field, keeper, keeper.vector_set, vector), None
    foreseen = Search.foreseen(field, vector, shard)
    if foreseen is None:
        return Search.among_seen(field, (yield from keeper.seen()), vector), None
    keys = [key for key, _ in foreseen.first(_first_window(fetch, count))]
    seen, rows = yield from together(keeper.seen(), _read_ahead(fetch, keys, reading))
    found = Search.among_seen(field, seen, vector)
    if found is not None:
        found.take_over(foreseen)
    return found, None if rows is None else _Ahead(keys, rows)


def _read_ahead(fetch: Fetch, keys: Sequence[str], reading: Reading) -> Plan[list[Row] | None]:
    """Rows that may not be needed; so it is no error if they cannot be read."""
    if not keys:
        return None
    try:
        return (yield from fetch.again([key.encode("utf-8") for key in keys], reading))
    except QueryException:
        return None


def _is_all(fetch: Fetch) -> bool:
    return isinstance(fetch.operand.node, Everything) and fetch.operand.exact


def _first_window(fetch: Fetch, count: int) -> int:
    """How many records the first request reads."""
    return count if _is_all(fetch) else max(2 * count, _FIRST_WINDOW)


def _rows(
    reading: Reading, fetch: Fetch, ranked: _Ranked, count: int, ahead: _Ahead | None
) -> Plan[list[Row]]:
    """The rows of the best records that match the query and exist.

    One round trip where there are no conditions, and nobody is gone. With conditions, one for a
    first window of the best; where too few of these match, the matches themselves are ranked.
    With an index of neighbours, the nearest are looked at first, and others only where too few of
    these will do.
    """
    is_all = _is_all(fetch)
    window = max(2 * count, _FIRST_WINDOW)
    nearest = yield from ranked.nearest(window)
    if nearest is not None:
        found, _ = yield from _first_rows(reading, fetch, ranked, nearest, count, is_all=is_all)
        if len(found) >= count or ranked.is_whole:
            return found[:count]
    if nearest is None or is_all:
        best = yield from ranked.best()
        found, asked = yield from _first_rows(
            reading, fetch, ranked, best, count, is_all=is_all, ahead=ahead
        )
        if is_all or len(found) >= count or asked < window:
            return found[:count]
    matches = yield from fetch.keys(Order("any"))
    best = yield from ranked.among([text_of(key) for key in matches])
    found, _ = yield from _first_rows(
        reading, fetch, ranked, best, count, is_all=True, forgets=False
    )
    return found[:count]


def _first_rows(
    reading: Reading,
    fetch: Fetch,
    ranked: _Ranked,
    best: Iterator[str],
    count: int,
    *,
    is_all: bool,
    ahead: _Ahead | None = None,
    forgets: bool = True,
) -> Plan[tuple[list[Row], int]]:
    """Rows of the best as far as they match, and how many were asked for.

    `is_all`: asks on until there are enough, and `ranked` hears who is gone, if it `forgets`;
    otherwise once.
    """
    found: list[Row] = []
    asked: list[str] = []
    window = _first_window(fetch, count)
    while keys := list(islice(best, window)):
        asked += keys
        if ahead is not None and keys == ahead.keys:
            rows = ahead.rows
        else:
            rows = yield from fetch.again([key.encode("utf-8") for key in keys], reading)
        found += ranked.accepted_of(rows)
        if len(found) >= count or not is_all:
            break
        window = max(2 * window, count - len(found))
    if is_all and forgets and asked:
        ranked.forget_all_but({row.key for row in found}, asked)
    return found, len(asked)
