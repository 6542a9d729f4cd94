"""Ranking by several signals at once: the plan of `composite_score`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import redis.exceptions

from popoto import clock
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import Keys, Node, Nothing, RecordKeys, ScoreRange, all_of, encode
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.memory.composite.signals import COMPOSITE, Signal, given
from popoto.models.beside.leftovers import repair, sweep
from popoto.models.reading.calls import TRUST, Page, Reading, Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.ranking.scored import Accepts, checked_limit, finished, refuse_order
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = ["Scoring", "composite_score"]

Weighted: TypeAlias = tuple[Signal, float]

_RULES: Final = ("SUM", "MIN", "MAX")
#: Names that stand for what a mixin keeps: the method that tells its signal, and the mixin.
_OF_MIXINS: Final = {
    "priority": ("_priority_signal", "WriteFilterMixin"),
    "access_count": ("_access_signal", "AccessTrackerMixin"),
    "access_score": ("_access_signal", "AccessTrackerMixin"),
}
#: How many records that Python has chosen one call ranks.
_MOST_CANDIDATES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Scoring:
    """What `composite_score` was asked for; see `popoto.models.query_rankings`."""

    indexes: Mapping[str, Any] | None
    limit: Any = 10
    aggregate: Any = "SUM"
    min_score: Any = None
    post_filter: Accepts | None = None
    co_occurrence_boost: Mapping[str, Any] | None = None
    similarity_boost: Mapping[str, Any] | None = None
    temperature: Any = 1.0


def composite_score(spec: QuerySpec, asked: Scoring) -> Plan[list[Any]]:
    """The plan of `composite_score`; see `popoto.models.query_rankings`."""
    options = spec.options
    if not asked.indexes:
        raise QueryException(
            f"{options.model_name}: composite_score() needs non-empty indexes, such as "
            '{"relevance": 1.0}'
        )
    count = checked_limit(options, asked.limit)
    if count <= 0:
        return []
    rule = _checked_rule(options, asked.aggregate)
    temperature = _checked_temperature(options, asked.temperature)
    least = None
    if asked.min_score is not None:
        least = _checked_number(options, "min_score", asked.min_score, infinite=True)
    signals = _signals(spec, asked)
    refuse_order(spec, "composite_score()")
    execution = Execution(spec)
    if execution.limit is not None:
        count = min(count, execution.offset + execution.limit)
    fetch = yield from execution.unordered()
    if isinstance(fetch.operand.node, Nothing) or count <= execution.offset:
        return []
    ranking = _Ranking(fetch, signals, rule, clock.now(), least)
    nodes = yield from _candidates(fetch)
    accepts = asked.post_filter

    def best(first: int, last: int) -> Plan[list[tuple[float, Row]]]:
        return (yield from ranking.best(nodes, first, last, execution.reading()))

    found = yield from accepted(best, count, temperature, accepts)
    return (yield from finished(execution, fetch, found[execution.offset :], "_composite_score"))


def accepted(
    best: Callable[[int, int], Plan[list[tuple[float, Row]]]],
    count: int,
    temperature: float,
    accepts: Accepts | None,
) -> Plan[list[tuple[float, Row]]]:
    """The first `count` rows that are accepted, with their scaled scores.

    `best` is asked for the rows from one place of the ranking to another.
    """
    found: list[tuple[float, Row]] = []
    first, more = 0, count
    while True:
        rows = yield from best(first, first + more)
        for total, row in rows:
            score = total / temperature
            if len(found) < count and (accepts is None or accepts(row.key, score)):
                found.append((score, row))
        if len(found) >= count or len(rows) < more:
            return found
        first, more = first + more, 2 * more


# What is asked for -----------------------------------------------------------------------------


def _checked_rule(options: ModelOptions, given: Any) -> str:
    rule = given.upper() if isinstance(given, str) else given
    if rule not in _RULES:
        raise QueryException(
            f"{options.model_name}: aggregate must be SUM, MIN or MAX, got {describe(given)}"
        )
    return str(rule).lower()


def _checked_temperature(options: ModelOptions, given: Any) -> float:
    temperature = _checked_number(options, "temperature", given)
    if temperature <= 0:
        raise QueryException(
            f"{options.model_name}: temperature must be > 0, got {describe(given)}"
        )
    return temperature


def _checked_number(
    options: ModelOptions, what: str, given: Any, *, infinite: bool = False
) -> float:
    number = math.nan
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            number = math.inf
    if math.isnan(number) or (math.isinf(number) and not infinite):
        raise QueryException(
            f"{options.model_name}: {what} must be a {'' if infinite else 'finite '}number, "
            f"got {describe(given)}"
        )
    return number


def _signals(spec: QuerySpec, asked: Scoring) -> list[Weighted]:
    options = spec.options
    found: list[Weighted] = []
    for name, weight in (asked.indexes or {}).items():
        signal = _signal(spec, name)
        found.append((signal, _checked_number(options, f"the weight of {name!r}", weight)))
    for what in ("co_occurrence_boost", "similarity_boost"):
        boost: Mapping[str, Any] | None = getattr(asked, what)
        if boost:
            numbers = {
                _text(key): _checked_number(options, f"{what} of {key!r}", number)
                for key, number in boost.items()
            }
            found.append((given(numbers), 1.0))
    return found


def _text(key: Any) -> str:
    return key.decode("utf-8") if isinstance(key, bytes) else str(key)


def _signal(spec: QuerySpec, name: Any) -> Signal:
    """The signal that a name stands for. Raises QueryException."""
    options = spec.options
    method, mixin = _OF_MIXINS.get(name, ("", ""))
    if method and hasattr(spec.model, method):
        found: Signal = getattr(spec.model, method)()
        return found
    field = options.by_name.get(name)
    if field is None and mixin:
        raise QueryException(
            f"{options.model_name}: the index {name!r} is that of {mixin}, which is none of its "
            "bases"
        )
    if field is None:
        raise QueryException(
            f"{options.model_name} has no field {describe(name)}; "
            f"fields are {', '.join(options.by_name)}"
        )
    missing = [each for each in field.partition_names if each not in spec.keywords]
    if missing:
        raise QueryException(
            f"{field.label} is partitioned by {', '.join(field.partition_names)}: it needs a "
            f"partition filter, filter({', '.join(f'{each}=...' for each in missing)}), as plain "
            "keywords"
        )
    signal = field.signal([spec.keywords[each] for each in field.partition_names])
    if signal is None:
        raise QueryException(
            f"{field.label} is a {type(field).__name__}, which does not have a sorted set of "
            f"scores{f'; the index of that name is that of {mixin}' if mixin else ''}"
        )
    return signal


def _candidates(fetch: Fetch) -> Plan[list[Node]]:
    """The conditions, or the records that Python has found to meet them. No or one request."""
    if fetch.operand.exact:
        return [fetch.operand.node]
    keys: Sequence[bytes] = yield from fetch.keys(Order("any"))
    return [
        RecordKeys(tuple(keys[first : first + _MOST_CANDIDATES]))
        for first in range(0, len(keys), _MOST_CANDIDATES)
    ]


# Asking the server -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One ranking; see the head of ``composite.lua``."""

    fetch: Fetch
    signals: Sequence[Weighted]
    rule: str
    now: float
    least: float | None

    def best(
        self, nodes: Sequence[Node], first: int, last: int, reading: Reading
    ) -> Plan[list[tuple[float, Row]]]:
        """The rows from one place of the ranking to another. One round trip for each node."""
        if len(nodes) == 1:
            return (yield from self._call(nodes[0], first, last, reading))
        best: list[tuple[float, Row]] = []
        for node in nodes:
            best += yield from self._call(node, 0, last, reading)
        best.sort(key=lambda each: (each[0], each[1].key.encode("utf-8")), reverse=True)
        return best[first:last]

    def _call(
        self, node: Node, first: int, last: int, reading: Reading
    ) -> Plan[list[tuple[float, Row]]]:
        fetch, options = self.fetch, self.fetch.options
        keys = Keys()
        call = ScriptCall(COMPOSITE, [], list(self._arguments(node, first, last, reading, keys)))
        call.keys = list(keys.positions)
        try:
            (reply,) = yield Request((call,), options.shard, repeatable=True)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from fetch.wrong_kind(node, others=self._kinds())) from error
        found, totals, due, dead = reply
        if due:
            yield from sweep(options, due)
        if dead and options.self_repair:
            indexes = [ScoreRange(key) for key, kind in self._kinds().items() if kind == "zset"]
            yield from repair(options, dead, due, all_of([node, *indexes]))
        rows = fetch.rows_of(Page(found, [], []), reading)
        return list(zip(map(float, totals), rows, strict=True))

    def _arguments(
        self, node: Node, first: int, last: int, reading: Reading, keys: Keys
    ) -> Iterator[Argument]:
        options = self.fetch.options
        for key in (options.class_set_key, options.expiry_key, options.expiry_values_key):
            keys.position(key)
        yield from ("records", first, last - first, last - first, TRUST, "any", 0, 0, 0)
        rest: list[Argument] = [len(reading.hash_names), *reading.hash_names]
        rest += [len(reading.list_names), *reading.list_names]
        encode(node, keys, rest)
        rest += (self.rule, repr(self.now), "" if self.least is None else repr(self.least))
        rest.append(len(self.signals))
        for signal, weight in self.signals:
            signal.encode(weight, keys, rest)
        yield from rest

    def _kinds(self) -> dict[str, str]:
        return dict(pair for signal, _ in self.signals for pair in signal.keys if pair is not None)
