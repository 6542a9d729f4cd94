"""Ranking by decay: the plan of `top_by_decay`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis.exceptions

from popoto import clock
from popoto._unknown_names import closest, is_strict, tell
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import AllOf, ScoreRange
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.given import field_named
from popoto.memory.decay.scripts import TOP
from popoto.memory.hashing import new_version
from popoto.models.beside.leftovers import repair
from popoto.models.reading.calls import Page, Reading
from popoto.models.reading.executing import Execution
from popoto.models.reading.explaining import lines_of
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.asked import (
    as_number,
    number_of_results,
    partition_of,
    refuse_order,
    the_field,
)
from popoto.models.reading.ranking.explaining import Ranked, RankingExplanation, Story
from popoto.models.reading.ranking.scored import Found, Scored, best_of_parts, best_of_shards
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = ["top_by_decay"]

#: How many records that other conditions have found one call ranks.
_MOST_CANDIDATES = 5_000
#: Moments from here on, in seconds, are told as numbers: the end of the year 9999.
_LAST_MOMENT: Final = 253_402_300_800


def top_by_decay(
    spec: QuerySpec,
    field_name: str | None,
    n: Any,
    decay_rate: Any,
    base_score_field: Any,
) -> Plan[Ranked[Any]]:
    """The plan of `top_by_decay`; see `popoto.models.query_rankings`."""
    options = spec.options
    field = _decay_field(options, field_name)
    rate = field.decay_rate if decay_rate is None else _checked_rate(options, decay_rate)
    base = field.base_score_field if base_score_field is None else base_score_field
    if base is not None and not isinstance(base, str):
        raise QueryException(
            f"{options.model_name}: base_score_field must be a field's name, got {describe(base)}"
        )
    if base and base not in options.by_name:
        tell(
            f"{options.model_name}: base_score_field={base!r} is no field, so every record counts "
            f"1.0; {closest(base, options.by_name, 'fields')}",
            refuse=is_strict(options.strict),
        )
    elif base and options.by_name[base].type in (str, bytes, list, dict, set, tuple):
        tell(
            f"{options.model_name}: base_score_field={base!r} holds no numbers, so every record "
            "counts 1.0",
            refuse=is_strict(options.strict),
        )
    execution = Execution(spec)
    count = number_of_results(execution, "n", n)
    now, story = clock.now(), Story()
    asked = _asked(field, now, rate, count, base)
    if count <= 0:
        return Ranked((), RankingExplanation.of(spec.options.model_name, asked, (), story))
    refuse_order(spec, "top_by_decay")
    partition, is_all = partition_of(field, spec, "top_by_decay")
    reading = execution.reading()

    def best(each: QuerySpec) -> Plan[Found]:
        fetch, own = (yield from Execution(each).unordered()), Story()
        ranking = _Ranking(
            fetch,
            field.partition_key(partition),
            field.base_key(partition) if _is_kept(field, base) else None,
            now,
            rate,
            count,
            base or "",
            field.companion_hashes(partition),
            own,
        )
        if is_all:
            scored = yield from ranking.of_all(reading)
        else:
            keys = yield from fetch.keys(Order("any"))
            scored = yield from ranking.of(keys, reading)
        own.round_trips += fetch.sent
        story.add(own)
        return fetch, scored

    found = yield from best_of_shards(spec, best, count)
    if found is None:
        return Ranked((), RankingExplanation.of(spec.options.model_name, asked, (), story))
    fetch, scored = found
    operands = () if is_all else lines_of(fetch.operand.node)
    explanation = RankingExplanation.of(spec.options.model_name, asked, operands, story)
    results = execution.shaped(fetch, [row for _, row in scored[execution.offset :]])
    return Ranked((yield from execution.finished(results)), explanation)


# What is asked for -----------------------------------------------------------------------------


def _decay_field(options: ModelOptions, name: str | None) -> AnyField:
    """The field by which to rank: the named one, or the only one. Raises QueryException."""
    if name is None:
        return the_field(options, "decay", "DecayingSortedField", "rank by decay")
    field: AnyField | None = field_named(options, name)
    if field is None:
        raise QueryException(
            f"{options.model_name} has no field {describe(name)}; "
            f"fields are {', '.join(options.by_name)}"
        )
    if field not in options.listed("decay"):
        raise QueryException(
            f"top_by_decay requires a DecayingSortedField, and {field.label} is a "
            f"{type(field).__name__}"
        )
    return field


def _checked_rate(options: ModelOptions, rate: Any) -> float:
    number = as_number(rate)
    if not math.isfinite(number):
        raise QueryException(
            f"{options.model_name}: decay_rate must be a finite number, got {describe(rate)}"
        )
    return number


def _asked(field: AnyField, now: float, rate: float, count: int, base: str | None) -> str:
    """What a ranking was asked for, in words."""
    weight = f"base {base}" if base else "without a base"
    moment = datetime.fromtimestamp(now, UTC) if abs(now) < _LAST_MOMENT else now
    return f"the best {count} by {field.name}, decay rate {rate:g}, {weight}, as of {moment}"


def _is_kept(field: AnyField, base: str | None) -> bool:
    """Whether the order of these base scores can be relied on: popoto 1.6 does not keep it."""
    return bool(base) and base == field.base_score_field and new_version() != 1


# Asking the server -----------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class _Ranking:
    """One ranking of one index; see the head of ``top.lua``."""

    fetch: Fetch
    index: str
    #: the sorted set of base scores, where one is kept for the base that is asked for
    bases: str | None
    now: float
    rate: float
    count: int
    base: str
    #: of a cyclic field, the hashes of cycles and of pressure
    cycles: tuple[str, str] | None
    #: what the calls have told
    story: Story

    def of_all(self, reading: Reading) -> Plan[list[Scored]]:
        """The best of all members. One round trip."""
        return (yield from self._call((), reading))

    def of(self, keys: Sequence[bytes], reading: Reading) -> Plan[list[Scored]]:
        """The best among these records. One round trip, one more for every 5,000 of them."""
        if not keys:
            return []
        if len(keys) <= _MOST_CANDIDATES:
            return (yield from self._call(keys, reading))
        best = yield from best_of_parts(
            keys, _MOST_CANDIDATES, lambda some: self._call(some, Reading(())), self.count
        )
        winners = [row.key.encode("utf-8") for _, row in best]
        rows = yield from self.fetch.again(winners, reading)
        scores = {row.key: score for score, row in best}
        return [(scores[row.key], row) for row in rows]

    def _call(self, keys: Sequence[bytes], reading: Reading) -> Plan[list[Scored]]:
        fetch, options = self.fetch, self.fetch.options
        arguments: list[Argument] = [
            repr(float(self.now)),
            repr(float(self.rate)),
            self.count,
            self.base,
            0 if self.bases is None else 1,
            len(reading.hash_names),
            *reading.hash_names,
            len(reading.list_names),
            *reading.list_names,
            len(keys) or -1,
            *keys,
        ]
        bases = self.bases or options.record_keys_key
        declared = [
            self.index,
            bases,
            options.record_keys_key,
            options.class_set_key,
            options.expiry_values_key,
        ]
        if self.cycles is not None:
            declared += self.cycles
        node = AllOf((ScoreRange(self.index), ScoreRange(bases)))
        try:
            (reply,) = yield Request(
                (ScriptCall(TOP, declared, arguments),), options.shard, repeatable=True
            )
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from fetch.wrong_kind(node)) from error
        found, dead, told = reply
        self._note(told)
        if dead and options.self_repair:
            yield from repair(options, dead, (), node)
        scores = [float(each[1]) for each in found]
        page = Page([[each[0], [*each[2], *each[3:]]] for each in found], [], [])
        return list(zip(scores, fetch.rows_of(page, reading), strict=True))

    def _note(self, told: Sequence[Any]) -> None:
        way, members, scored = told
        self.story.way, self.story.members = way.decode(), members
        self.story.scored += scored
        self.story.round_trips += 1
