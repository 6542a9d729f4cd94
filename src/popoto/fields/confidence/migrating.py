"""Moving evidence from the hash without partition to the partitions of the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, Step
from popoto.engine.codec import DecodeError
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Reply, Request
from popoto.fields.confidence.evidence import Confidence
from popoto.fields.given import flag_in
from popoto.fields.keeping.adjusting import Adjustment, carried_out
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.shards import every_shard

__all__ = ["migrate"]

_PAGE = 500


def migrate(model_class: Any, field: Confidence, *, dry_run: bool) -> Plan[dict[str, Any]]:
    """The plan of `ConfidenceField.migrate_to_partitioned`; see there."""
    dry_run = flag_in(dry_run, "migrate_to_partitioned(dry_run=…)")
    report: dict[str, Any] = {
        "total": 0,
        "migrated": 0,
        "errors": [],
        "partitions": {},
    }
    for options in (yield from every_shard(model_class._meta)):
        (members,) = yield from looked_up(
            [("HKEYS", field.data_key)], options.shard, before_writing=True
        )
        report["total"] += len(members)
        for first in range(0, len(members), _PAGE):
            page = [member.decode("utf-8", "replace") for member in members[first : first + _PAGE]]
            yield from _migrate_page(options, field, page, report, dry_run=dry_run)
    return report


def _migrate_page(
    options: Any,
    field: Confidence,
    page: Sequence[str],
    report: dict[str, Any],
    *,
    dry_run: bool,
) -> Plan[None]:
    """The evidence of some records of one shard."""
    names = field.partition_by
    replies = yield Request(
        [command for member in page for command in (("EXISTS", member), ("HMGET", member, *names))],
        options.shard,
        repeatable=True,
    )
    moves: list[_Moving] = []
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
        if not dry_run:
            held = {name: raw for name, raw in zip(names, stored, strict=True) if raw is not None}
            moves.append(_Moving(options, field, member, key, held))
    yield from carried_out(moves)
    for move in moves:
        if move.problem is None:
            report["migrated"] += 1
        else:
            _report_error(report, move.member, move.problem)


class _Moving(Adjustment):
    """The evidence of one record goes to its partition."""

    what = "migrate_to_partitioned()"
    cause = "migrate_to_partitioned"
    needs_record = False

    def __init__(
        self,
        options: Any,
        field: Confidence,
        member: str,
        key: str,
        stored: Mapping[str, bytes],
    ) -> None:
        super().__init__(options.model)
        self.options = options
        self.field = field
        self.member = member
        self.target = key
        self.stored = stored
        #: why it does not go
        self.problem: str | None = None

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        if self.problem is not None:
            return
        batch.guard_holds(self.member, self.stored, self.field.partition_by)
        if self.target != self.field.data_key:
            words = ("SETTLE", self.field.data_key, self.member, KeyArgument(self.target))
            put_noted(batch, "confidence", self.field.name, self.member, *words)

    def learn(self, failure: GuardFailure, step: Step) -> bool:
        self.problem = "the record has changed meanwhile: run it again"
        return True

    def finish(self, replies: Sequence[Reply]) -> None:
        if replies and replies[0] == -1:
            self.problem = "its partition has gathered newer evidence: kept there"


def _report_error(report: dict[str, Any], member: str, error: str) -> None:
    report["errors"].append({"member_key": member, "error": error})
