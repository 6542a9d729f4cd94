"""Values in classes of their own: numpy, freezegun, pandas, and whoever overrides a `repr`."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import redis

from popoto import (
    DateField,
    DatetimeField,
    DictField,
    Field,
    IndexedField,
    KeyField,
    ListField,
    Model,
    SortedField,
    UniqueField,
)
from popoto.exceptions import QueryException, UniquenessError, ValidationError
from tests.driver import Api


def odd(base: type) -> Any:
    """A subclass whose every text is its own."""

    def text(self: object, *arguments: object) -> str:
        return "odd!"

    names = ("__repr__", "__str__", "__format__", "isoformat", "strftime")
    return type(f"Odd{base.__name__.title()}", (base,), dict.fromkeys(names, text))


PLAIN: dict[type, Any] = {
    int: 5,
    float: 1.5,
    str: "x",
    bytes: b"x",
    Decimal: Decimal("1.5"),
    datetime.date: datetime.date(2024, 1, 2),
    datetime.datetime: datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime.time: datetime.time(1, 2, 3, 4),
}
ODD: list[tuple[type, Any]] = [
    (int, odd(int)(5)),
    (int, np.int64(5)),
    (int, np.uint8(5)),
    (float, odd(float)(1.5)),
    (float, np.float64(1.5)),
    (float, np.float32(1.5)),
    (str, odd(str)("x")),
    (str, np.str_("x")),
    (bytes, odd(bytes)(b"x")),
    (Decimal, odd(Decimal)("1.5")),
    (datetime.date, odd(datetime.date)(2024, 1, 2)),
    (datetime.date, np.datetime64("2024-01-02")),
    (datetime.datetime, odd(datetime.datetime)(2024, 1, 2, 3, 4, 5, 6)),
    (datetime.datetime, pd.Timestamp(2024, 1, 2, 3, 4, 5, 6)),
    (datetime.datetime, np.datetime64("2024-01-02T03:04:05.000006")),
    (datetime.time, odd(datetime.time)(1, 2, 3, 4)),
]
IN_ORDER = (int, float, Decimal, datetime.date, datetime.datetime)


def name_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def model_of(kind: str, type_: type) -> Any:
    fields: dict[str, Any] = {
        "plain": Field,
        "key": KeyField,
        "indexed": IndexedField,
        "unique": UniqueField,
        "sorted": SortedField,
    }
    namespace: dict[str, Any] = {"value": fields[kind](type=type_), "__module__": __name__}
    if kind != "key":
        namespace["name"] = KeyField(default="a")
    return type("Odd", (Model,), namespace)


CASES = [
    (kind, type_, value)
    for kind in ("plain", "key", "indexed", "unique", "sorted")
    for type_, value in ODD
    if not (kind != "plain" and type_ is bytes) and not (kind == "sorted" and type_ not in IN_ORDER)
]


@pytest.mark.parametrize(("kind", "type_", "value"), CASES, ids=name_of)
def test_it_is_stored_found_and_deleted_as_the_value_inside(
    api: Api, redis_client: redis.Redis, kind: str, type_: type, value: Any
) -> None:
    model, inside = model_of(kind, type_), PLAIN[type_]
    api(model.create, value=value)
    (found,) = api(model.query.all)
    assert (found.value, type(found.value)) == (inside, type_)
    assert found.pk == (model(value=inside).pk)
    for asked in (inside, value):
        assert api(model.query.count, value=asked) == 1
        if kind in ("key", "indexed", "unique", "sorted"):
            assert api(model.query.count, value__in=[asked]) == 1
        if kind == "key":
            assert api(model.query.get, value=asked) == found
        if kind == "sorted":
            assert api(model.query.count, value__between=(asked, asked)) == 1
            assert api(model.query.count, value__gt=asked) == 0
    if kind == "unique":
        with pytest.raises(UniquenessError):
            api(model.create, name="b", value=inside)
    assert model.check_indexes()["total"] == 0
    if kind != "key":
        api(found.save, expected={"value": value})
        assert api(model.bulk_update, model.query.filter(), value=value) == 1
    found.value = value
    api(found.save)
    assert model.check_indexes()["total"] == 0
    assert api(model.query.filter(value=value).delete) == 1
    assert redis_client.keys("*Odd*") == []


class Box(Model):
    name = KeyField()
    items = ListField(default=list)
    by_name = DictField(default=dict)
    price = Field(type=Decimal, null=True)
    ranked = SortedField(type=Decimal, default=Decimal(0))
    count = Field(type=int, default=0)


def test_inside_containers_it_is_the_value_inside(api: Api) -> None:
    values = [value for _, value in ODD]
    api(Box.create, name="a", items=values, by_name={"n": np.int64(3), "b": np.bool_(True)})
    found = api(Box.query.get, name="a")
    assert found.items == [PLAIN[type_] for type_, _ in ODD]
    assert [type(item) for item in found.items] == [type_ for type_, _ in ODD]
    assert found.by_name == {"n": 3, "b": True}
    assert found.by_name["b"] is True


def test_amounts_may_be_numbers_of_numpy(api: Api) -> None:
    box = api(Box.create, name="a", price=Decimal("0.1"))
    assert api(box.atomic_increment, "count", np.int32(2)) == 2
    assert api(box.atomic_increment, "price", np.float64(0.2)) == Decimal("0.3")


@pytest.mark.parametrize("number", [0.1, np.float64(0.1), np.float32(0.1), odd(float)(0.1), "0.1"])
def test_a_decimal_made_of_a_float_has_the_digits_that_it_shows(api: Api, number: Any) -> None:
    api(Box.create, name="a", price=number, ranked=number)
    found = api(Box.query.get, name="a")
    assert (str(found.price), str(found.ranked)) == ("0.1", "0.1")
    assert api(Box.query.count, price=number) == api(Box.query.count, ranked=number) == 1
    assert api(Box.query.count, ranked__gte=Decimal("0.1")) == 1


def test_a_signaling_nan_is_refused(api: Api, redis_client: redis.Redis) -> None:
    signaling = Decimal("sNaN")
    for wrong in ({"price": signaling}, {"price": "-sNaN7"}, {"ranked": signaling}):
        with pytest.raises(ValidationError, match=r"Box\.(price|ranked)"):
            api(Box.create, name="a", **wrong)
    with pytest.raises(ValidationError, match="signaling"):
        api(Box.create, name="a", items=[signaling])
    box = Box(name="a")
    box.price = signaling
    with pytest.raises(ValidationError, match="signaling"):
        api(box.save)
    for asked in ({"price": signaling}, {"ranked__gt": signaling}):
        with pytest.raises(QueryException):
            api(Box.query.count, **asked)
    assert redis_client.keys("*Box*") == []
    api(Box.create, name="a", price=Decimal("NaN"))


# Frozen time ----------------------------------------------------------------------------------


class _StandsIn(type):
    """As freezegun's: its classes call every date their own."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.__mro__[1])


class FrozenDatetime(datetime.datetime, metaclass=_StandsIn):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls(2024, 5, 6, 7, 8, 9, tzinfo=tz)


class FrozenDate(datetime.date, metaclass=_StandsIn):
    @classmethod
    def today(cls) -> Any:
        return cls(2024, 5, 6)


MOMENT, DAY = datetime.datetime(2024, 5, 6, 7, 8, 9), datetime.date(2024, 5, 6)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What freezegun does: other classes under the names of `datetime`, in every module."""
    real = {datetime.datetime: FrozenDatetime, datetime.date: FrozenDate}
    for name, module in list(sys.modules.items()):
        if name == "datetime" or name.partition(".")[0] == "popoto":
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type) and value in real:
                    monkeypatch.setattr(module, attribute, real[value])


class Event(Model):
    name = KeyField()
    day = KeyField(type=datetime.date)
    at = DatetimeField(auto_now=True)
    first = DatetimeField(auto_now_add=True)
    when = IndexedField(type=datetime.datetime, null=True)
    ranked = SortedField(type=datetime.datetime, auto_now=True)
    since = SortedField(type=datetime.date, auto_now_add=True)
    details = DictField(default=dict)


def test_everything_works_while_time_is_frozen(api: Api, frozen: None) -> None:
    now, today = datetime.datetime.now(), datetime.date.today()
    assert type(now) is FrozenDatetime
    api(Event.create, name="a", day=today, when=now, details={"now": now, "today": today})
    event = api(Event.query.get, name="a", day=today)
    assert (event.at, event.first, event.when, event.ranked) == (MOMENT,) * 4
    assert (event.since, event.details) == (DAY, {"now": MOMENT, "today": DAY})
    assert event.pk == "Event:2024/-05/-06:a"
    for asked in (
        {"day": today},
        {"when": now},
        {"when__in": [now]},
        {"ranked": now},
        {"ranked__gte": today, "ranked__lte": now},
        {"since": today},
        {"at": now},
    ):
        assert api(Event.query.count, **asked) == 1, asked
    api(event.save)
    assert Event.check_indexes()["total"] == 0
    assert Event.rebuild_indexes() == 1
    assert [each.when for each in api(Event.query.filter(when=MOMENT).order_by("-ranked").all)] == [
        MOMENT
    ]


def test_a_model_may_be_defined_while_time_is_frozen(api: Api, frozen: None) -> None:
    class Inside(Model):
        name = KeyField()
        at = DatetimeField(auto_now=True)
        day = DateField(null=True)
        when: datetime.datetime = IndexedField(null=True)  # type: ignore[assignment]
        ranked = SortedField(type=datetime.datetime, auto_now=True)

    now = datetime.datetime.now()
    api(Inside.create, name="a", when=now, day=datetime.date.today())
    assert api(Inside.query.get, name="a").day == DAY
    assert api(Inside.query.count, when=now, ranked=now) == 1


def test_what_was_stored_before_is_read_while_time_is_frozen(
    api: Api, request: pytest.FixtureRequest
) -> None:
    api(Event.create, name="a", day=DAY, when=MOMENT, at=MOMENT)
    request.getfixturevalue("frozen")
    (event,) = api(Event.query.filter(when=MOMENT).all)
    assert (event.when, event.day) == (MOMENT, DAY)
    assert api(Event.query.count, when=datetime.datetime.now()) == 1
