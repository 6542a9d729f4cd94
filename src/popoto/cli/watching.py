"""How far an upkeep operation has come, seen from outside its plan."""

from __future__ import annotations

from typing import Any, TypeVar

from popoto import redis_db
from popoto.cli.output import Report
from popoto.engine.request import Call, Plan
from popoto.engine.scanning import Scan

T = TypeVar("T")


def watched(plan: Plan[T], report: Report) -> Plan[T]:
    """The same plan; `report` is called with the number of keys that its scans have visited."""
    visited = 0
    try:
        step = next(plan)
        while True:
            try:
                answer: Any = yield step
            except Exception as error:  # noqa: BLE001 - raised again inside the plan
                step = plan.throw(error)
                continue
            scan = getattr(step.function, "__self__", None) if isinstance(step, Call) else None
            if isinstance(scan, Scan):
                visited += scan.count
                report(visited)
            step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def stored_keys() -> int:
    """How many keys the server holds, on a cluster all its primaries together."""
    return sum(int(_number(node)) for node in redis_db.connection().per_node())


def _number(node: redis_db.SyncConnection) -> int:
    reply = node.call(("DBSIZE",), repeatable=True)
    return reply if isinstance(reply, int) else 0
