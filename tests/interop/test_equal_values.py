"""Equal values whose texts differ: what the published package wrote is found and mended."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto.exceptions import UniquenessError

from .schema import Record
from .sides import Side

pytestmark = pytest.mark.interop

EAST = timezone(timedelta(hours=2))
MOMENT = datetime(2024, 5, 1, 14, tzinfo=EAST)
LABELS: Record = {
    "name": "a", "text": "t", "number": True, "ratio": -0.0, "amount": Decimal("1.50"),
    "flag": True, "day": None, "moment": MOMENT, "hour": time(12, tzinfo=EAST), "serial": True,
}  # fmt: skip

#: What ours asks, and whether the text that was written tells it before a rebuild.
EQUAL: list[dict[str, Any]] = [
    {"number": 1},
    {"number": True},
    {"number__in": [1, 3]},
    {"ratio": 0.0},
    {"ratio": -0.0},
    {"amount": Decimal("1.5")},
    {"amount": Decimal("1.500")},
    {"serial": 1},
    {"moment": MOMENT},
    {"hour": time(12, tzinfo=EAST)},
]


@pytest.mark.parametrize("lookup", EQUAL, ids=str)
def test_ours_finds_what_the_published_package_wrote(
    ours: Side, published: Side, lookup: dict[str, Any]
) -> None:
    key = published.call("create", model="Labelled", values=LABELS)
    assert ours.call("filter", model="Labelled", lookup=lookup) == [key]


def test_a_unique_value_under_another_text_is_held(ours: Side, published: Side) -> None:
    published.call("create", model="Labelled", values=LABELS)
    with pytest.raises(UniquenessError):
        ours.call("create", model="Labelled", values={**LABELS, "name": "b", "serial": 1})


def test_a_rebuild_brings_everything_under_one_text(ours: Side, published: Side) -> None:
    key = published.call("create", model="Labelled", values=LABELS)
    assert ours.call("check_indexes", model="Labelled") > 0
    ours.call("rebuild_indexes", model="Labelled")
    assert ours.call("check_indexes", model="Labelled") == 0
    for lookup in EQUAL[:8]:
        assert ours.call("filter", model="Labelled", lookup=lookup) == [key]
    # The record of the published package has no zone any more.
    assert ours.call("filter", model="Labelled", lookup={"moment": MOMENT}) == []
    naive = MOMENT.replace(tzinfo=None)
    assert ours.call("filter", model="Labelled", lookup={"moment": naive}) == [key]


def test_the_published_package_finds_what_ours_wrote_by_the_one_text(
    ours: Side, published: Side
) -> None:
    key = ours.call("create", model="Labelled", values=LABELS)
    for lookup in (
        {"number": 1},
        {"ratio": 0.0},
        {"amount": Decimal("1.50")},
        {"moment": MOMENT.astimezone(UTC)},
        {"hour": time(10, tzinfo=UTC)},
    ):
        assert published.call("filter", model="Labelled", lookup=lookup) == [key]


CHANGES: list[Record] = [
    {"number": 2},
    {"ratio": 1.5},
    {"amount": Decimal(3)},
    {"serial": 4},
]


def test_changes_and_deletions_of_ours_leave_nothing_under_the_other_text(
    ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    key = published.call("create", model="Labelled", values=LABELS)
    for changes in CHANGES:
        ((name, _),) = changes.items()
        ours.call("update", model="Labelled", key=key, changes=changes)
        assert ours.call("count", model="Labelled", lookup={name: LABELS[name]}) == 0
        assert published.call("filter", model="Labelled", lookup={name: LABELS[name]}) == []
    # What has no zone any more tells nobody in which it was entered.
    for name in ("moment:2024*", "hour:12*"):
        redis_client.delete(*redis_client.keys(f"$IndexF:Labelled:{name}+*"))
    ours.call("delete", model="Labelled", key=key)
    assert redis_client.keys("*Labelled*") == []
