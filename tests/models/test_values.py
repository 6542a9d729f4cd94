"""What goes in comes out: every type, at the edges, also inside containers."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import redis

from popoto import (
    BooleanField,
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Field,
    FloatField,
    GeoField,
    IntField,
    KeyField,
    ListField,
    Model,
    ModelException,
    SetField,
    SortedField,
    StringField,
    TimeField,
    TupleField,
)
from tests.driver import Api


def numbered(cases: list[tuple[str, Any]]) -> list[str]:
    """Names that every test process gives alike."""
    return [f"{name}-{number}" for number, (name, _) in enumerate(cases)]


EAST = timezone(timedelta(hours=5, minutes=30))


class Box(Model):
    name = KeyField()
    integer = IntField()
    real = FloatField()
    exact = DecimalField()
    text = StringField()
    flag = BooleanField()
    raw = BytesField()
    items = ListField()
    mapping = DictField()
    group = SetField()
    pair = TupleField()
    day = DateField()
    moment = DatetimeField()
    clock = TimeField()
    plain = Field()


NAIVE = datetime(2024, 5, 6, 7, 8, 9, 123456)
VALUES: list[tuple[str, Any]] = [
    ("integer", 0), ("integer", -(2**63)), ("integer", 2**64 - 1), ("integer", 2**53 + 1),
    ("real", 0.1), ("real", -0.0), ("real", math.inf), ("real", -math.inf), ("real", 5e-324),
    ("exact", Decimal("1.10")), ("exact", Decimal("-0")), ("exact", Decimal("1E+30")),
    ("exact", Decimal("0." + "1" * 60)), ("exact", Decimal("Infinity")),
    ("text", ""), ("text", "None"), ("text", "żółw 🐢\n\t\x00"), ("text", "a:b*?[x]^'-/"),
    ("flag", True), ("flag", False), ("raw", b""), ("raw", bytes(range(256))),
    ("items", []), ("items", [1, "a", None, [2.5, {"x": b"y"}]]),
    ("items", [(1, 2), {3}, Decimal("1.5"), NAIVE, date(999, 1, 2), time(1, 2)]),
    ("mapping", {}), ("mapping", {"a": {"b": [(1,)]}}), ("mapping", {1: "a", (1, 2): "b"}),
    ("mapping", {"__set__": True, "as_encodable": [1]}), ("mapping", {"as_encodable": 1}),
    ("group", set()), ("group", {1, "a", (1, 2)}), ("pair", ()), ("pair", (1, ("a", (None,)))),
    ("day", date(1, 1, 1)), ("day", date(999, 10, 1)), ("day", date(9999, 12, 31)),
    ("moment", NAIVE), ("moment", datetime(1, 1, 1)), ("moment", datetime(1969, 7, 20, 20, 17)),
    ("moment", NAIVE.replace(tzinfo=UTC)), ("moment", NAIVE.replace(tzinfo=EAST)),
    ("moment", NAIVE.replace(fold=1)), ("clock", time(0)), ("clock", time(23, 59, 59, 999999)),
    ("clock", time(1, 2, tzinfo=EAST)), ("plain", "text"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), VALUES, ids=numbered(VALUES))
def test_round_trip(api: Api, name: str, value: Any) -> None:
    api(Box.create, name="a", **{name: value})
    for found in (api(Box.query.get, name="a"), api(Box.query.all)[0]):
        back = getattr(found, name)
        assert back == value
        assert repr(back) == repr(value) or isinstance(value, (set, dict))
        assert api(found.save) == 0
    assert found._saved_field_values[name] == value


@pytest.mark.parametrize("name", [each for each in Box._meta.field_names if each != "name"])
def test_null_round_trip(api: Api, redis_client: redis.Redis, name: str) -> None:
    api(Box.create, name="a", **{name: None})
    assert redis_client.hget("Box:a", name) == b"\xc0"
    assert getattr(api(Box.query.get, name="a"), name) is None
    assert getattr(api(Box.query.all)[0], name) is None


@pytest.mark.parametrize(("name", "value"), VALUES, ids=numbered(VALUES))
def test_null_becomes_a_value_and_a_value_null(api: Api, name: str, value: Any) -> None:
    """A record that is held, got or found notices the change: what is stored says so."""
    held = api(Box.create, name="a", **{name: None})
    for before, after in ((None, value), (value, None)):
        for changed in (held, api(Box.query.get, name="a"), api(Box.query.all)[0]):
            setattr(changed, name, after)
            api(changed.save)
            assert getattr(api(Box.query.get, name="a"), name) == after
            setattr(changed, name, before)
            api(changed.save)
            assert getattr(api(Box.query.get, name="a"), name) == before
        setattr(held, name, after)
        api(held.save)


def test_nan_comes_back(api: Api) -> None:
    api(Box.create, name="a", real=math.nan)
    assert math.isnan(api(Box.query.get, name="a").real)


UNSTORABLE = [
    ("items", [object()]), ("items", [2**64]), ("mapping", {"x": object()}),
    ("group", {frozenset()}),
    ("text", "\ud800"), ("plain", "\udfff"), ("pair", (open,)), ("items", [1j]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), UNSTORABLE)
def test_what_has_no_stored_form_is_refused_before_writing(
    api: Api, redis_client: redis.Redis, name: str, value: Any
) -> None:
    record = Box(name="a")
    setattr(record, name, value)
    with pytest.raises(ModelException, match=rf"Box\.{name}"):
        api(record.save)
    assert redis_client.keys("*") == []
    setattr(record, name, None)
    api(record.save)
    setattr(record, name, value)
    with pytest.raises(ModelException, match=rf"Box\.{name}"):
        api(record.save, update_fields=[name])


def test_a_list_that_holds_itself_is_refused(api: Api, redis_client: redis.Redis) -> None:
    endless: list[Any] = []
    endless.append(endless)
    record = Box(name="a")
    record.items = endless
    with pytest.raises(ModelException, match=r"Box\.items"):
        api(record.save)
    assert redis_client.keys("*") == []


class Place(Model):
    name = KeyField()
    spot = GeoField()
    price = SortedField(type=Decimal, default=Decimal(0))
    rank = SortedField(type=float, default=0.0)


@pytest.mark.parametrize("spot", [(0, 0), (0.0, 13.4), (52.5, 0), (-85.0, -180.0), (85.0, 180.0)])
def test_coordinates_at_the_edges(api: Api, redis_client: redis.Redis, spot: Any) -> None:
    api(Place.create, name="a", spot=spot)
    assert api(Place.query.get, name="a").spot == spot
    assert redis_client.zcard("$GeoF:Place:spot") == 1


@pytest.mark.parametrize("spot", [(91, 0), (0, 181), (math.nan, 0), (1,), ("a", "b"), 5])
def test_impossible_coordinates_are_refused_before_writing(
    api: Api, redis_client: redis.Redis, spot: Any
) -> None:
    place = Place(name="a")
    place.spot = spot
    with pytest.raises(ModelException):
        api(place.save)
    assert redis_client.keys("*") == []


def test_sorted_decimals_keep_their_digits(api: Api) -> None:
    place = api(Place.create, name="a", price=Decimal("1.10"))
    assert str(place.price) == "1.10"
    assert str(api(Place.query.get, name="a").price) == "1.10"


def test_nan_has_no_place_in_an_order(api: Api, redis_client: redis.Redis) -> None:
    place = Place(name="a")
    place.rank = math.nan
    with pytest.raises(ModelException):
        api(place.save)
    assert redis_client.keys("*") == []
