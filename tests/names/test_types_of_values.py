"""UUIDs, timedeltas and Enums: their types come back, wherever a record is read from."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from typing import Any

import pytest
import redis

from popoto import (
    AutoKeyField,
    Field,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    QueryException,
    SortedField,
    StringField,
    UniqueField,
)
from popoto.exceptions import StoredDataError, UniquenessError, ValidationError
from tests.driver import Api


class Color(enum.Enum):
    RED = "red"
    DARK = "dark:red"
    NONE = "None"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(str, enum.Enum):  # noqa: UP042  # as many have it
    GOOD = "good"


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Pair(enum.Enum):
    ONE = (1, "a")


UID = uuid.UUID("3555a3ff-1177-474a-a871-858259a76019")
DAY = datetime.timedelta(days=1, seconds=5, microseconds=7)


class Thing(Model):
    uid: uuid.UUID = KeyField()
    color: Color = KeyField()
    span: datetime.timedelta = KeyField()
    owner: uuid.UUID = IndexedField()
    mood: Mood = IndexedField()
    level: Level = UniqueField()
    right: Right | None
    pair: Pair | None
    length: datetime.timedelta | None
    other: uuid.UUID | None
    plain: Color = Color.RED
    size: int = SortedField(partition_by="mood", default=0)

    class Meta:
        indexes = ((("mood", "color"), True),)


VALUES: dict[str, Any] = {
    "uid": UID,
    "color": Color.DARK,
    "span": DAY,
    "owner": UID,
    "mood": Mood.GOOD,
    "level": Level.HIGH,
    "right": Right.READ | Right.WRITE,
    "pair": Pair.ONE,
    "length": -DAY,
    "other": UID,
    "plain": Color.NONE,
    "size": 3,
}
TEXTS: dict[str, Any] = {
    "uid": str(UID),
    "color": "dark:red",
    "span": str(DAY),
    "owner": UID.hex.upper(),
    "mood": "good",
    "level": 2,
    "right": 3,
    "pair": (1, "a"),
    "length": str(-DAY),
    "other": str(UID),
    "plain": "None",
}


def test_values_come_back_as_they_were(api: Api) -> None:
    made = api(Thing.create, **VALUES)
    key = {name: VALUES[name] for name in ("uid", "color", "span")}
    for found in (
        api(Thing.query.get, made.pk),
        api(Thing.query.get, **key),
        api(Thing.load, **key),
        *api(Thing.query.filter().all),
        *api(Thing.query.get_many, [made.pk]),
    ):
        assert found.to_dict() == VALUES
        assert {name: type(value) for name, value in found.to_dict().items()} == {
            name: type(value) for name, value in VALUES.items()
        }
        assert (found, found.pk) == (made, made.pk)
    assert api(Thing.check_indexes)["total"] == 0


@pytest.mark.parametrize("name", TEXTS)
def test_each_is_found_by_its_value_and_by_what_stands_for_it(name: str, api: Api) -> None:
    api(Thing.create, **VALUES)
    for value in (VALUES[name], TEXTS[name]):
        assert api(Thing.query.count, **{name: value}) == 1
        assert api(Thing.query.count, **{f"{name}__ne": value}) == 0
        conditions = {"mood": Mood.GOOD, "size__gt": 1, name: value}
        assert api(Thing.query.count, **conditions) == 1


def test_what_stands_for_a_value_becomes_it() -> None:
    thing = Thing(**TEXTS)
    assert {name: getattr(thing, name) for name in TEXTS} == {name: VALUES[name] for name in TEXTS}
    assert Thing(length=90).length == datetime.timedelta(seconds=90)
    assert Thing(length=0.5).length == datetime.timedelta(milliseconds=500)
    assert Thing(level="2").level is Level.HIGH


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uid", "no uuid"),
        ("uid", 5),
        ("color", "green"),
        ("color", Mood.GOOD),
        ("level", 3),
        ("length", "soon"),
        ("length", True),
        ("length", float("inf")),
        ("pair", (1, "b")),
    ],
)
def test_what_stands_for_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"Thing\.{name}"):
        Thing(**{name: value})
    with pytest.raises(QueryException, match=rf"Thing\.{name}"):
        Thing.query.count(**{name: value})


def test_the_values_of_an_enum_are_named() -> None:
    with pytest.raises(ValidationError, match="'red', 'dark:red', 'None'"):
        Thing(color="green")


def test_changes_move_every_entry(api: Api, redis_client: redis.Redis) -> None:
    thing = api(Thing.create, **VALUES)
    thing.owner, thing.mood, thing.level = uuid.uuid4(), None, Level.LOW
    thing.plain, thing.color = Color.RED, Color.RED
    api(thing.save, migrate_key=True)
    assert api(Thing.query.count, owner=UID) == api(Thing.query.count, mood="good") == 0
    assert api(Thing.query.get, uid=UID, color="red", span=DAY).level is Level.LOW
    assert api(Thing.check_indexes)["total"] == 0
    assert api(Thing.rebuild_indexes) == 1
    assert api(Thing.check_indexes)["total"] == 0
    assert api(thing.delete) is True
    assert not redis_client.keys("*")


@pytest.mark.parametrize("name", ["length", "other", "level"])
def test_results_can_be_in_their_order(name: str, api: Api) -> None:
    class Ordered(Model):
        key: str = KeyField()
        length: datetime.timedelta | None
        other: uuid.UUID | None
        level: Level | None

    values = {
        "length": [-DAY, DAY * 2, DAY * 10],
        "other": [uuid.UUID(int=1), uuid.UUID(int=2), UID],
        "level": list(Level),
    }
    for number, value in enumerate(reversed(values[name])):
        api(Ordered.create, key=str(number), **{name: value})
    found = api(Ordered.query.filter().order_by(name).all)
    assert [getattr(each, name) for each in found] == values[name]


def test_uniqueness_is_decided_by_the_value(api: Api) -> None:
    api(Thing.create, **VALUES)
    with pytest.raises(UniquenessError):
        api(Thing.create, **{**VALUES, "uid": uuid.uuid4(), "color": "red", "level": 2})
    with pytest.raises(UniquenessError):
        api(Thing.create, **{**VALUES, "uid": uuid.uuid4(), "level": 1})


def test_an_update_sets_them_for_many(api: Api) -> None:
    api(Thing.create, **VALUES)
    assert api(Thing.bulk_update, Thing.query.filter(), plain="dark:red", length=60) == 1
    (found,) = api(Thing.query.filter().all)
    assert (found.plain, found.length) == (Color.DARK, datetime.timedelta(minutes=1))
    assert api(Thing.query.group_count, "plain") == {Color.DARK: 1}


# What popoto 1.6 stores of them -----------------------------------------------------------------


class Before(Model):
    name = KeyField()
    uid = StringField()
    color = StringField()
    span = StringField()


def test_what_was_stored_as_text_is_read(api: Api, redis_client: redis.Redis) -> None:
    api(Before.create, name="a", uid=str(UID), color="Color.DARK", span=str(DAY))

    class After(Model):
        name = KeyField()
        uid: uuid.UUID | None
        color: Color | None
        span: datetime.timedelta | None

        class Meta:
            name = "Before"

    found = api(After.query.get, name="a")
    assert (found.uid, found.color, found.span) == (UID, Color.DARK, DAY)
    for name, value in (("uid", UID), ("color", Color.DARK), ("span", DAY)):
        assert api(After.query.count, **{name: value}) == 1


def test_a_value_that_is_none_any_more_is_told_with_its_record(
    api: Api, redis_client: redis.Redis
) -> None:
    thing = api(Thing.create, **VALUES)
    redis_client.hset(thing.pk, "plain", b"\xa5green")
    with pytest.raises(StoredDataError, match=r"Thing\.plain.*'green'"):
        api(Thing.query.get, thing.pk).plain


# Types that are declared --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [uuid.UUID, datetime.timedelta, Color])
@pytest.mark.parametrize("field", [Field, KeyField, IndexedField, UniqueField])
def test_the_keyword_says_the_same(field: Any, kind: Any) -> None:
    assert field(type=kind).type is kind


@pytest.mark.parametrize("kind", [uuid.UUID, datetime.timedelta, Color, Level, enum.Enum])
def test_a_sorted_field_holds_numbers_and_moments(kind: Any) -> None:
    with pytest.raises(ModelException, match="not a valid"):
        SortedField(type=kind)


def test_an_enum_has_to_have_members_that_can_be_stored() -> None:
    class Odd(enum.Enum):
        THING = object()

    for kind in (enum.Enum, enum.IntEnum):
        with pytest.raises(ModelException, match="not a valid"):
            Field(type=kind)
    with pytest.raises(ModelException, match=r"Odd\.THING has no stored form"):
        type(Model)("Holder", (Model,), {"odd": Field(type=Odd)})


# A member in a field of another type --------------------------------------------------------


class Row(Model):
    name = KeyField()
    text = StringField()
    number = IntField()
    kind = IndexedField()


def test_a_member_means_its_value_in_every_field(api: Api) -> None:
    row = api(Row.create, name=Color.RED, text=Color.DARK, number=Level.HIGH, kind=Color.RED)
    assert (row.name, row.text, row.kind) == ("red", "dark:red", "red")
    found = api(Row.query.get, name=Color.RED)
    assert (found.pk, found.text, found.number) == ("Row:red", "dark:red", 2)
    assert api(Row.query.count, kind=Color.RED, text=Color.DARK, number=Level.HIGH) == 1
    assert api(Row.query.count, kind__in=[Color.RED, "x"]) == 1


def test_a_member_whose_value_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError):
        Row(number=Color.RED)
    with pytest.raises(ValidationError):
        Row(text=Pair.ONE)


def test_a_record_goes_through_json_by_the_values() -> None:
    thing = Thing(**{**VALUES, "right": None, "pair": None})
    plain = {name: TEXTS.get(name, value) for name, value in thing.to_dict().items()}
    plain |= {"right": None, "pair": None}
    assert Thing(**json.loads(json.dumps(plain))).to_dict() == thing.to_dict()


def test_an_automatic_key_beside_them(api: Api) -> None:
    class Loose(Model):
        key = AutoKeyField()
        color: Color

    made = api(Loose.create, color="red")
    assert api(Loose.query.get, made.pk).color is Color.RED
