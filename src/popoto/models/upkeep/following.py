"""What mixins keep that follows from a record as a whole: whether it is there, and mending it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.fields.keeping.entries import Carried
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.whole import Whole


class Following(NamedTuple):
    """What should stand beside one record; or the reason why that cannot be told."""

    record: Whole
    entries: list[Carried]
    problem: str = ""


def following(options: ModelOptions, records: Sequence[Whole]) -> list[Following]:
    """What should stand beside these records. Methods of the user's own are asked."""
    found: list[Following] = []
    for record in records:
        try:
            entries = [
                entry for source in options.whole_sources for entry in source(record.instance)
            ]
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
            found.append(Following(record, [], f"what follows from it cannot be told: {error}"))
        else:
            found.append(Following(record, entries))
    return found


def missing_following(options: ModelOptions, wanted: Sequence[Following]) -> Plan[list[Carried]]:
    """The entries that records lack, as far as these hold what was read. One round trip."""
    asked = [each for each in wanted if each.entries]
    if not asked:
        return []
    calls: list[ScriptCall] = []
    for each in asked:
        batch = _while_as_read(options, each.record)
        batch.put("EXISTS", each.record.key)
        for entry in each.entries:
            entry.look(batch)
        calls.append(batch.call())
    missing: list[Carried] = []
    replies = yield Request(calls, options.shard, repeatable=True)
    for each, outcome in zip(asked, map(Batch.answers, replies), strict=True):
        # Walks have told of keys of other types: what should stand there is missing.
        if not isinstance(outcome, GuardFailure):
            pairs = zip(each.entries, outcome[1:], strict=True)
            missing += [entry for entry, reply in pairs if not entry.stands(reply)]
    return missing


def mend_following(options: ModelOptions, wanted: Sequence[Following]) -> Plan[None]:
    """Add the entries that records lack. Who writes a record meanwhile adds them himself."""
    calls: list[Batch] = []
    for each in wanted:
        if each.entries:
            batch = _while_as_read(options, each.record)
            for entry in each.entries:
                entry.mend(batch)
            calls.append(batch)
    yield from outcomes(calls, options.shard, upkeep=True)


def _while_as_read(options: ModelOptions, record: Whole) -> Batch:
    batch = Batch()
    batch.guard_holds(record.key, record.stored, options.hash_names)
    return batch
