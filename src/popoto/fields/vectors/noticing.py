"""Vectors that records say they have, and that are lost: found by a check, marked by a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto import clock
from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.codec import NIL
from popoto.engine.request import Plan

__all__ = ["Marking", "lost_vectors"]


def lost_vectors(field: Any, records: Sequence[Any]) -> Plan[list[str]]:
    """The keys of records whose vector is gone, and is not marked as missing. One round trip."""
    wanted = [record for record in records if record._stored.get(field.name, NIL) != NIL]
    if not wanted:
        return []
    shard: str = wanted[0]._meta.shard
    questions: list[Batch] = []
    for record in wanted:
        batch = _while_as_read(field, record)
        field.keeper.look(batch, record.pk)
        batch.put("ZSCORE", field.missing_key, record.pk)
        questions.append(batch)
    told = yield from outcomes(questions, shard)
    return [
        record.pk
        for record, outcome in zip(wanted, told, strict=True)
        if not isinstance(outcome, GuardFailure) and outcome == [0, None]
    ]


class Marking:
    """A rebuild marks records whose vector is lost, so that `embed_missing` makes it."""

    def __init__(self, field: Any, shard: str) -> None:
        self._field = field
        self._shard = shard

    def begin(self) -> Plan[None]:
        """Nothing is made anew: only a provider could do that."""
        yield from ()

    def add(self, records: Sequence[Any]) -> Plan[Sequence[tuple[str, str]]]:
        """Mark those of these records that have lost it. Two round trips at most."""
        field = self._field
        lost = set((yield from lost_vectors(field, records)))
        marks: list[Batch] = []
        for record in records:
            if record.pk in lost:
                batch = _while_as_read(field, record)
                batch.put("ZADD", field.missing_key, clock.now(), record.pk)
                marks.append(batch)
        yield from outcomes(marks, self._shard, upkeep=True)
        return ()

    def finish(self) -> Plan[Sequence[tuple[str, str]]]:
        """Nothing is left to do."""
        return ()
        yield  # a plan, though it asks for nothing


def _while_as_read(field: Any, record: Any) -> Batch:
    batch = Batch()
    batch.guard_holds(record.pk, record._stored, (field.name,))
    return batch
