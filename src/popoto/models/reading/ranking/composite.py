"""Ranking by several signals at once: the plan of `composite_score`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import redis.exceptions

from popoto import clock
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import Keys, Node, Nothing, ScoreRange, all_of, encode, in_parts
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.given import flag_in
from popoto.fields.keeping.shards import all_asked
from popoto.memory.composite.signals import COMPOSITE, Signal, given
from popoto.models.beside.leftovers import repair, sweep
from popoto.models.reading.calls import TRUST, Page, Reading
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.ranking.asked import (
    Scoring,
    capped,
    checked_boost,
    checked_filter,
    checked_limit,
    checked_mapping,
    checked_number,
    checked_rule,
    checked_temperature,
    refuse_order,
)
from popoto.models.reading.ranking.scored import Accepts, Scored, finished, keys_of, merged
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import in_each_shard

__all__ = ["composite_ranking", "composite_score", "signal_named"]

Weighted: TypeAlias = tuple[Signal, float]

#: From where to where an index counts; see the head of ``composite.lua``.
Span: TypeAlias = Literal["", "own", "asked", "told"]

#: Names that stand for what a mixin keeps: the method that tells its signal, and the mixin.
_OF_MIXINS: Final = {
    "priority": ("_priority_signal", "WriteFilterMixin"),
    "access_count": ("_access_signal", "AccessTrackerMixin"),
    "access_score": ("_access_signal", "AccessTrackerMixin"),
}
#: How many records that Python has chosen one call ranks.
_MOST_CANDIDATES: Final = 50_000


def composite_score(spec: QuerySpec, asked: Scoring) -> Plan[list[Any]]:
    """The plan of `composite_score`; see `popoto.models.query_rankings`."""
    execution = Execution(spec)
    found = yield from _best(execution, asked, execution.reading())
    if found is None:
        return []
    return (yield from finished(execution, *found, "_composite_score"))


def composite_ranking(spec: QuerySpec, asked: Scoring) -> Plan[list[tuple[str, float]]]:
    """Keys and scores of the best records, without reading these."""
    found = yield from _best(Execution(spec), asked, Reading(()))
    return [] if found is None else keys_of(found[1])


def _best(
    execution: Execution, asked: Scoring, reading: Reading
) -> Plan[tuple[Fetch, list[Scored]] | None]:
    """The best rows, and what has fetched them; None where nothing can be found."""
    spec, options = execution.spec, execution.options
    if not asked.indexes and not asked.further:
        raise QueryException(
            f"{options.model_name}: composite_score() needs non-empty indexes, such as "
            '{"relevance": 1.0}'
        )
    count = checked_limit(options, asked.limit)
    if count <= 0:
        return None
    rule = checked_rule(options, asked.aggregate)
    temperature = checked_temperature(options, asked.temperature)
    normalize = flag_in(asked.normalize, "normalize")
    least = None
    if asked.min_score is not None:
        least = checked_number(options, "min_score", asked.min_score, infinite=True)
    signals = _signals(spec, asked)
    accepts = checked_filter(options, asked.post_filter)
    refuse_order(spec, "composite_score")
    count = capped(execution, count)
    now = clock.now()

    def rankings_of(each: QuerySpec) -> Plan[list[_Ranking]]:
        fetch = yield from Execution(each).unordered()
        if isinstance(fetch.operand.node, Nothing) or count <= execution.offset:
            return []
        nodes = yield from _candidates(fetch)
        span: Span = "own" if normalize else ""
        return [_Ranking(fetch, signals, rule, now, least, node, span) for node in nodes]

    told = yield from all_asked((yield from in_each_shard(spec)), rankings_of)
    rankings: list[_Ranking] = [each for several in told for each in several]
    if not rankings:
        return None
    if normalize and len(rankings) > 1:
        rankings = yield from _on_one_scale(rankings)

    def best(first: int, last: int) -> Plan[list[Scored]]:
        if len(rankings) == 1:
            return (yield from rankings[0].best(first, last, reading))
        found = yield from all_asked(rankings, lambda each: each.best(0, last, reading))
        return merged(found, backwards=True)[first:last]

    found = yield from accepted(best, count, temperature, accepts)
    return rankings[0].fetch, found[execution.offset :]


def accepted(
    best: Callable[[int, int], Plan[list[Scored]]],
    count: int,
    temperature: float,
    accepts: Accepts | None,
) -> Plan[list[Scored]]:
    """The first `count` rows that are accepted, with their scaled scores.

    `best` is asked for the rows from one place of the ranking to another.
    """
    found: list[Scored] = []
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


def _signals(spec: QuerySpec, asked: Scoring) -> list[Weighted]:
    options = spec.options
    found: list[Weighted] = []
    for name, weight in checked_mapping(options, "indexes", asked.indexes).items():
        signal = signal_named(spec, name)
        found.append((signal, checked_number(options, f"the weight of {name!r}", weight)))
    for what in ("co_occurrence_boost", "similarity_boost"):
        numbers = checked_boost(options, what, getattr(asked, what))
        if numbers:
            found.append((given(numbers), 1.0))
    return [*found, *asked.further]


def signal_named(spec: QuerySpec, name: Any) -> Signal:
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
    """The conditions, or the records that Python has found to meet them, in parts of so many.

    No or one request.
    """
    if fetch.operand.exact:
        return [fetch.operand.node]
    keys: Sequence[bytes] = yield from fetch.keys(Order("any"))
    return list(in_parts(keys, _MOST_CANDIDATES))


# Asking the server -----------------------------------------------------------------------------


def _on_one_scale(rankings: Sequence[_Ranking]) -> Plan[list[_Ranking]]:
    """Rankings of which each index counts from the least to the greatest number of all of them.

    One round trip to each node.
    """
    told = yield from all_asked(rankings, lambda each: each.spans())
    spans: list[tuple[float, ...]] = []
    for of_signal in zip(*told, strict=True):
        numbers = [number for span in of_signal for number in span]
        spans.append((min(numbers), max(numbers)) if numbers else ())
    return [replace(each, span="told", told_spans=spans) for each in rankings]


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One ranking of what one node finds; see the head of ``composite.lua``."""

    fetch: Fetch
    signals: Sequence[Weighted]
    rule: str
    now: float
    least: float | None
    node: Node
    span: Span
    #: the least and the greatest number of each signal, where these are told; () for none
    told_spans: Sequence[tuple[float, ...]] = ()

    def best(self, first: int, last: int, reading: Reading) -> Plan[list[Scored]]:
        """The rows from one place of the ranking to another. One round trip."""
        found, totals = yield from self._reply(self._call(first, last, reading))
        rows = self.fetch.rows_of(Page(found, [], []), reading)
        return list(zip(map(float, totals), rows, strict=True))

    def spans(self) -> Plan[list[tuple[float, ...]]]:
        """The least and the greatest number of each signal, () for none. One round trip."""
        asking = replace(self, span="asked")
        (told,) = yield from asking._reply(asking._call(0, 1, Reading(())))
        return [tuple(map(float, each)) for each in told]

    def _reply(self, call: ScriptCall) -> Plan[list[Any]]:
        """What the script tells but of records that are gone, which are seen to."""
        fetch, options = self.fetch, self.fetch.options
        try:
            (reply,) = yield Request((call,), options.shard, repeatable=True)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from fetch.wrong_kind(self.node, others=self._all_kinds())) from error
        told: list[Any] = reply[:-2]
        due, dead = reply[-2:]
        if due:
            yield from sweep(options, due)
        if dead and options.self_repair:
            indexes = [ScoreRange(key) for key, kind in self._kinds().items() if kind == "zset"]
            yield from repair(options, dead, due, all_of([self.node, *indexes]))
        return told

    def _call(self, first: int, last: int, reading: Reading) -> ScriptCall:
        keys = Keys()
        arguments = list(self._arguments(first, last, reading, keys))
        return ScriptCall(COMPOSITE, list(keys.positions), arguments)

    def _arguments(self, first: int, last: int, reading: Reading, keys: Keys) -> Iterator[Argument]:
        options = self.fetch.options
        for key in (options.class_set_key, options.expiry_key, options.expiry_values_key):
            keys.position(key)
        yield from ("records", first, last - first, last - first, TRUST, "any", 0, 0, 0)
        rest: list[Argument] = [len(reading.hash_names), *reading.hash_names]
        rest += [len(reading.list_names), *reading.list_names]
        encode(self.node, keys, rest)
        rest += (self.rule, repr(self.now), "" if self.least is None else repr(self.least))
        rest += (self.span, len(self.signals))
        for place, (signal, weight) in enumerate(self.signals):
            signal.encode(weight, keys, rest)
            if self.span == "told":
                rest += map(repr, self.told_spans[place]) if self.told_spans[place] else ("", "")
        yield from rest

    def _kinds(self) -> dict[str, str]:
        return dict(pair for signal, _ in self.signals for pair in signal.keys if pair is not None)

    def _all_kinds(self) -> dict[str, str]:
        declared = (key for signal, _ in self.signals for key in signal.declared)
        return self._kinds() | dict.fromkeys(declared, "zset")
