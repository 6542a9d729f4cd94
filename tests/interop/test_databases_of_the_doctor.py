"""The databases that `popoto doctor` is tested with are what the published versions write."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
import redis

from tests.cli.written_by_others import WRITTEN

from .schema import Record, field, model
from .sides import PublishedSide, Side

pytestmark = pytest.mark.interop

MOMENT, HOUR = datetime(2024, 1, 2, 3, 4, 5), time(7, 30)
IN_UTC = MOMENT.replace(tzinfo=UTC)

VISIT = model(
    "Visit",
    name=field("KeyField"),
    state=field("IndexedField", null=True),
    chip=field("UniqueField"),
    due=field("SortedField", type=datetime),
    seen=field("DatetimeField", null=True),
    hour=field("TimeField", null=True),
)
SLOT = model("Slot", at=field("KeyField", type=datetime))
VISITS: list[Record] = [
    {"name": "ann", "state": "open", "chip": "c1", "due": MOMENT, "seen": MOMENT, "hour": HOUR},
    {"name": "bob", "state": "open", "chip": "c2", "due": IN_UTC, "seen": IN_UTC},
    {"name": "cy", "state": None, "chip": "c3", "due": MOMENT},
    {"name": "gone", "state": "open", "chip": "c4", "due": MOMENT},
]


def what_is_left(side: Side, server: redis.Redis) -> dict[bytes, object]:
    """What a version leaves of these, after one has expired and one was changed by raw_update."""
    side.call("define", models=[VISIT, SLOT])
    for values in VISITS:
        side.call("create", model="Visit", values=values)
    server.delete("Visit:gone")
    side.call("raw_update", model="Visit", keys=["Visit:cy"], changes={"state": "late"})
    side.call("create", model="Slot", values={"at": MOMENT})
    reads = {
        b"hash": server.hgetall,
        b"set": lambda key: sorted(server.smembers(key)),
        b"string": server.get,
        b"zset": lambda key: server.zrange(key, 0, -1, withscores=True),
    }
    return {key: reads[server.type(key)](key) for key in server.scan_iter(count=1000)}


def test_later_ones_are_what_these_versions_write(
    later: PublishedSide, redis_client: redis.Redis
) -> None:
    assert what_is_left(later, redis_client) == WRITTEN[later.version]


def test_the_first_one_is_what_1_6_1_writes(published: Side, redis_client: redis.Redis) -> None:
    assert what_is_left(published, redis_client) == WRITTEN["1.6.1"]
