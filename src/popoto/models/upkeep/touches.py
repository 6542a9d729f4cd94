"""Touches that only an index knows: popoto 1.6 writes them there alone, not to the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.request import Plan
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.records import Judged, RecordWalk

__all__ = ["take_over_touches"]


def take_over_touches(options: ModelOptions, batch_size: int) -> Plan[None]:
    """Write what the indexes of decay fields hold into the records: later moments, other values.

    One round trip for each page of records, one more where any was touched.
    """
    if not options.listed("decay"):
        return
    walk = RecordWalk(options, batch_size)
    page = yield from walk.next()
    while page is not None:
        yield from _take_over(options, page)
        page = yield from walk.next()


def _take_over(options: ModelOptions, records: Sequence[Judged]) -> Plan[None]:
    asked = [(record, *place) for record in records for place in _places(options, record)]
    questions: list[Batch] = []
    for record, _, index, _ in asked:
        question = Batch()
        question.put("KIND", index, "zset")
        question.put("ZSCORE", index, record.key)
        questions.append(question)
    scores = yield from outcomes(questions, options.shard, upkeep=True)
    changes: list[Batch] = []
    for (record, field, _, moment), score in zip(asked, scores, strict=True):
        # A key of another kind has no scores: who indexes the record tells of it.
        # Any: a score as text, or none.
        told: Any = None if isinstance(score, GuardFailure) else score[1]
        touched = float(told or -math.inf)
        is_newer = touched > moment if field.is_clock else touched != moment
        if math.isfinite(touched) and is_newer:
            change = Batch()
            # A writer who was faster has set the moment himself.
            change.guard_holds(record.key, record.stored, [field.name])
            change.put("HSET", record.key, field.name, field.encode(touched))
            changes.append(change)
    yield from outcomes(changes, options.shard, upkeep=True)


def _places(options: ModelOptions, record: Judged) -> Iterator[tuple[Any, str, float]]:
    """Each decay field with the key of its index and the moment that the record holds."""
    for field in options.listed("decay"):
        names = (field.name, *field.partition_by)
        if field.name not in record.stored or not record.unknown.isdisjoint(names):
            continue
        moment, *partition = (
            options.by_name[name].decode(record.stored[name]) if name in record.stored else None
            for name in names
        )
        if moment is not None:
            yield field, field.partition_key(partition), moment
