"""Additions up to what a field can hold, and not beyond; and what can be added at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import msgpack
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
        (2**53 - 1, 2, 2**53 + 1),
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


class Counted(popoto.Model):
    name = popoto.KeyField()
    note = popoto.IntField(default=0)
    version = popoto.IntField()

    class Meta:
        version_field = "version"


@pytest.mark.parametrize("write", ["save", "atomic_increment"])
def test_a_version_is_not_counted_beyond_either(
    api: Api, redis_client: redis.Redis, write: str
) -> None:
    api(Counted.create, name="a")
    redis_client.hset("Counted:a", "version", b"\xcf" + b"\xff" * 8)
    counted = api(Counted.query.get, name="a")
    counted.note = 1
    arguments = () if write == "save" else ("note", 1)
    with pytest.raises(NumberOverflowError, match=r"Counted\.version.*nothing was written"):
        api(getattr(counted, write), *arguments)
    stored = api(Counted.query.get, name="a")
    assert (stored.note, stored.version) == (0, MOST)


@pytest.mark.parametrize("field", ["count", "ranked", "kind"])
@pytest.mark.parametrize("beyond", [MOST + 1, LEAST - 1, 10**400, -(10**400)])
def test_what_no_field_can_hold_is_an_error_when_it_is_set_and_nobody_s_value_when_it_is_asked_for(
    api: Api, field: str, beyond: int
) -> None:
    api(Meter.create, name="m")
    with pytest.raises(popoto.exceptions.ValidationError, match=f"Meter.{field}"):
        api(Meter.create, name="n", **{field: beyond})
    with pytest.raises(popoto.exceptions.ValidationError, match=f"Meter.{field}"):
        api(Meter.bulk_update, Meter.query.filter(name="m"), **{field: beyond})
    assert api(Meter.query.count, **{field: beyond}) == 0
    assert api(Meter.query.count, **{f"{field}__ne": beyond}) == 1
    assert api(Meter.query.count) == 1


@pytest.mark.parametrize(
    "beyond",
    [MOST + 1, 10**400, Decimal(MOST + 1), Decimal("1e999999"), Decimal("Infinity"), 1e300],
)
def test_bounds_may_lie_beyond_all_integers_that_are_stored(api: Api, beyond: Any) -> None:
    for name, ranked in (("a", LEAST), ("b", 0), ("c", MOST)):
        api(Meter.create, name=name, ranked=ranked)
    counts = {
        lookup: api(Meter.query.count, **{f"ranked__{lookup}": beyond})
        for lookup in ("gt", "gte", "lt", "lte")
    }
    assert counts == {"gt": 0, "gte": 0, "lt": 3, "lte": 3}
    assert api(Meter.query.count, ranked__gt=-beyond) == 3
    assert api(Meter.query.count, ranked__between=(-beyond, beyond)) == 3
    assert api(Meter.query.count, ranked__lt=-beyond) == 0


def test_a_float_that_another_program_has_stored_as_a_large_integer_is_added_to(
    api: Api, redis_client: redis.Redis
) -> None:
    meter = Meter.create(name="m", flow=0.0)
    for start in (2**63, 2**64 - 1):
        redis_client.hset("Meter:m", "flow", msgpack.packb(start))
        assert api(meter.atomic_increment, "flow", 0.5) == float(start)
