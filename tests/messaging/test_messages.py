"""What a message carries: what records carry, in a form that popoto 1.6 reads."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import msgpack
import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from popoto import (
    BytesField,
    DateField,
    DatetimeField,
    DecimalField,
    DictField,
    Field,
    GeoField,
    KeyField,
    ListField,
    Model,
    Publisher,
    PublisherException,
    Relationship,
    SetField,
    Subscriber,
    TimeField,
    TupleField,
)
from popoto.pubsub.messages import packed, unpacked
from tests.driver import Api


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Shop(Model):
    name = KeyField()


class Order(Model, Publisher):
    number = KeyField()
    placed = DatetimeField()
    due = DateField()
    at = TimeField()
    total = DecimalField()
    tags = SetField()
    size = TupleField()
    seal = BytesField()
    notes = DictField()
    recent = ListField(max_length=2)
    token = Field(type=uuid.UUID)
    takes = Field(type=timedelta)
    color = Field(type=Color)
    place = GeoField()
    shop = Relationship(model=Shop)


class Desk(Subscriber):
    sub_channel_names = ["Order"]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        yield desk


def told(desk: Desk) -> Any:
    return next(iter(desk))[1]


@pytest.mark.single_server("on a cluster PUBLISH counts the receivers of one node")
def test_a_record_is_published_as_it_is(api: Api, desk: Desk) -> None:
    values: dict[str, Any] = {
        "number": "7",
        "placed": datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC),
        "due": date(2026, 3, 2),
        "at": time(12, 30),
        "total": Decimal("9.90"),
        "tags": {"new", date(2026, 1, 1), (1, Decimal(2))},
        "seal": b"\x00\xff",
        "notes": {"paid": Decimal("1.5"), "days": [date(2026, 3, 1)]},
        "recent": ["b", date(2026, 3, 1)],
        "token": uuid.UUID(int=7),
        "takes": timedelta(days=-1, microseconds=1),
    }
    shop = Shop.create(name="s")
    order = api(Order.create, **values, size=(1, 2), color=Color.RED, place=(52.5, 13.4), shop=shop)
    assert api(order.publish, order.to_dict()) == 1
    received = told(desk)
    assert {name: received[name] for name in values} == values
    # As ever, tuples come as lists; members of an Enum come as their values.
    assert (received["size"], received["color"]) == ([1, 2], "red")
    assert (received["place"], received["shop"]) == ([52.5, 13.4], "Shop:s")


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1),
        date(1, 1, 1),
        time(1, 2, 3, 4),
        Decimal("1E+3"),
        {1, "a", None},
        set(),
        uuid.UUID(int=2**128 - 1),
        timedelta.max,
        {"nested": [{"deep": {Decimal(1)}}]},
        {date(2026, 1, 1): "by day", (1, 2): "by pair"},
        {"__Decimal__": True, "as_encodable": "1"},
        {"__date__": True, "as_encodable": Decimal(1)},
        [{"__dict__": True, "as_encodable": []}],
        {"as_encodable": 1},
        "as_encodable",
    ],
)
def test_any_of_it_alone_comes_back_equal(value: object) -> None:
    received = unpacked(packed(value))
    assert received == value
    assert type(received) is type(value)


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (Color.RED, "red"),
        (Size.SMALL, 1),
        ([Size.SMALL, date(2026, 1, 1)], [1, date(2026, 1, 1)]),
        (frozenset({1}), {1}),
        (np.int64(7), 7),
        ([np.float64(0.5), np.int64(7)], [0.5, 7]),
        ((1, (2, Decimal(3))), [1, [2, Decimal(3)]]),
    ],
)
def test_what_has_a_plain_form_comes_as_that(value: object, received: object) -> None:
    assert unpacked(packed(value)) == received


known = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text("ab_"), inner),
)


@given(known)
def test_what_msgpack_knows_is_sent_as_popoto_1_6_sends_it(value: object) -> None:
    assert packed(value) == msgpack.packb(value)


def test_what_it_does_not_know_is_a_map_for_other_readers() -> None:
    seen = msgpack.unpackb(packed({"total": Decimal("9.90"), "tags": {"a"}}))
    assert seen == {
        "total": {"__Decimal__": True, "as_encodable": "9.90"},
        "tags": {"__tagged_set__": True, "as_encodable": ["a"]},
    }


@pytest.mark.parametrize(
    "theirs",
    [
        {"__date__": True, "as_encodable": "no date"},
        {"__UUID__": True, "as_encodable": 7},
        {"__timedelta__": True, "as_encodable": ["1", 2, 3]},
        {"__timedelta__": True, "as_encodable": [10**12, 0, 0]},
        {"list": [1], "odd": {"__set__": True, "as_encodable": 5}},
    ],
)
def test_a_map_of_another_program_comes_as_it_is(
    desk: Desk, redis_client: redis.Redis, theirs: dict[str, object]
) -> None:
    redis_client.publish("Order", msgpack.packb(theirs))
    assert told(desk) == theirs


def test_what_has_no_form_is_refused(desk: Desk) -> None:
    endless: list[Any] = [Decimal(1)]
    for _ in range(100):
        endless = [endless]
    for data in (object(), {"a": object()}, endless, {"a": [2**64]}, "\ud800", Decimal("sNaN")):
        with pytest.raises(PublisherException, match="cannot publish"):
            Order(number="1").publish(data)
    assert desk() is None
