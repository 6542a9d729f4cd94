"""Additions up to what a field can hold, and not beyond; and what can be added at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto.exceptions import NumberOverflowError
from tests.driver import Api, RoundTrips

LEAST, MOST = -(2**63), 2**64 - 1


class Meter(popoto.Model):
    name = popoto.KeyField()
    count = popoto.IntField()
    ranked = popoto.SortedField(type=int, default=0)
    kind = popoto.IntField(indexed=True)
    flow = popoto.FloatField()
    price = popoto.DecimalField()


WIDEST = Decimal("9" * 1000)


AT_THE_TOP = [(MOST - 1, 1, MOST), (MOST, 1, None)]


@pytest.mark.parametrize("field", ["count", "ranked", "kind"])
@pytest.mark.parametrize(
    ("start", "delta", "total"),
    [
        (LEAST + 1, -1, LEAST),
        (LEAST, -1, None),
        (LEAST, MOST, 2**63 - 1),
        (2**53 - 1, 1, 2**53),
        (2**53, 1, 2**53 + 1),
        (-(2**53), -1, -(2**53) - 1),
        (0, 0, 0),
        *AT_THE_TOP,
    ],
)
def test_ints(api: Api, field: str, start: int, delta: int, total: int | None) -> None:
    meter = Meter.create(name="m", **{field: start})
    if total is None:
        with pytest.raises(NumberOverflowError):
            api(meter.atomic_increment, field, delta)
        assert getattr(Meter.query.get(name="m"), field) == start
        return
    assert api(meter.atomic_increment, field, delta) == total
    assert getattr(meter, field) == getattr(Meter.query.get(name="m"), field) == total
    assert Meter.query.count(**{field: total}) == 1


class Index:
    """A number of another library's, as numpy has them."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize(
    ("field", "delta", "total"),
    [
        *(("count", 2.0, 2), ("count", Decimal("2.0"), 2), ("count", Index(), 3)),
        *(("flow", 2, 2.0), ("flow", Decimal("0.5"), 0.5), ("flow", Index(), 3.0)),
        *(("price", 2, Decimal(2)), ("price", 0.1, Decimal("0.1")), ("price", Index(), Decimal(3))),
    ],
)
def test_amounts_of_other_types(api: Api, field: str, delta: Any, total: Any) -> None:
    meter = Meter.create(name="m")
    found = api(meter.atomic_increment, field, delta)
    assert (found, type(found)) == (total, type(total))


@pytest.mark.parametrize("raw", [b"\xc0", None])
@pytest.mark.parametrize(("field", "total"), [("count", 5), ("kind", 5), ("price", Decimal(5))])
def test_nothing_counts_as_nought(
    api: Api, redis_client: redis.Redis, raw: bytes | None, field: str, total: Any
) -> None:
    meter = Meter.create(name="m")
    if raw is None:
        redis_client.hdel("Meter:m", field)
    else:
        redis_client.hset("Meter:m", field, raw)
    assert api(meter.atomic_increment, field, 5) == total


@pytest.mark.parametrize("field", ["count", "kind", "price"])
def test_an_addition_leaves_nothing_to_be_saved_or_found_out(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]], field: str
) -> None:
    meter = Meter.create(name="m")
    api(meter.atomic_increment, field, 5)
    with round_trips() as seen:
        assert api(meter.save) == 0
    assert seen.sends == 1
    assert seen.commands["hset"] == 0


def test_a_queued_addition_is_taken_for_granted_by_the_next(api: Api) -> None:
    meter = Meter.create(name="m", count=1, kind=1)
    pipeline = popoto.redis_db.POPOTO_REDIS_DB.pipeline()
    for field in ("count", "kind"):
        for delta in (2, 3):
            meter.atomic_increment(field, delta, pipeline=pipeline)
    assert (meter.count, meter.kind) == (6, 6)
    pipeline.execute()
    found = Meter.query.get(name="m")
    assert (found.count, found.kind) == (6, 6)
    assert Meter.query.count(kind=6) == 1
