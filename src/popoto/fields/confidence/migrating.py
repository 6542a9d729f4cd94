"""Moving evidence from the hash without partition to the partitions of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, KeyArgument
from popoto.engine.codec import DecodeError
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request
from popoto.fields.confidence.evidence import Confidence
from popoto.memory.commands import put

__all__ = ["migrate"]

_PAGE = 500


def migrate(model_class: Any, field: Confidence, *, dry_run: bool) -> Plan[dict[str, Any]]:
    """The plan of `ConfidenceField.migrate_to_partitioned`; see there."""
    options = model_class._meta
    (members,) = yield from looked_up(
        [("HKEYS", field.data_key)], options.shard, before_writing=True
    )
    report: dict[str, Any] = {
        "total": len(members),
        "migrated": 0,
        "errors": [],
        "partitions": {},
    }
    for first in range(0, len(members), _PAGE):
        page = [member.decode("utf-8", "replace") for member in members[first : first + _PAGE]]
        yield from _migrate_page(options, field, page, report, dry_run=dry_run)
    return report


def _migrate_page(
    options: Any, field: Confidence, page: Sequence[str], report: dict[str, Any], *, dry_run: bool
) -> Plan[None]:
    names = field.partition_by
    replies = yield Request(
        [command for member in page for command in (("EXISTS", member), ("HMGET", member, *names))],
        options.shard,
        repeatable=True,
    )
    moves: list[tuple[str, Batch]] = []
    for member, exists, stored in zip(page, replies[::2], replies[1::2], strict=True):
        if not exists:
            _report_error(report, member, "the record is not stored any more")
            continue
        try:
            values = [
                None if raw is None else options.by_name[name].decode(raw)
                for name, raw in zip(names, stored, strict=True)
            ]
        except DecodeError as error:
            _report_error(report, member, f"its partition cannot be read: {error}")
            continue
        key = field.partition_key(values)
        label = "default" if key == field.data_key else key.removeprefix(f"{field.data_key}:")
        report["partitions"][label] = report["partitions"].get(label, 0) + 1
        if dry_run:
            continue
        batch = Batch()
        # Any: bytes of the hash, which lists are not kept in.
        held: list[Any] = [
            part for name, raw in zip(names, stored, strict=True) for part in (name, raw or b"")
        ]
        batch.guard("holds", member, *held)
        if label != "default":
            put(batch, "SETTLE", field.data_key, member, KeyArgument(key))
        moves.append((member, batch))
    if not moves:
        return
    calls = [batch.call() for _, batch in moves]
    outcomes = yield Request.write(*calls, shard=options.shard, wait=options.wait)
    for (member, _), reply in zip(moves, outcomes, strict=True):
        outcome = Batch.outcome(reply)
        if isinstance(outcome, GuardFailure):
            _report_error(report, member, "the record has changed meanwhile: run it again")
        elif outcome and outcome[0] == -1:
            _report_error(report, member, "its partition has gathered newer evidence: kept there")
        else:
            report["migrated"] += 1


def _report_error(report: dict[str, Any], member: str, error: str) -> None:
    report["errors"].append({"member_key": member, "error": error})
