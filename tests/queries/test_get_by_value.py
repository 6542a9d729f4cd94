"""`get("ann")`: the record of a model with one key field, by the value of that field."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest

from popoto import AutoKeyField, IntField, KeyField, Model, QueryException, StringField
from popoto.models.db_key import DB_key
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class User(Model):
    name = KeyField()
    age = IntField()


class Seat(Model):
    row = KeyField()
    number = KeyField(type=int)
    note = StringField()


class Ticket(Model):
    text = StringField()


class Token(Model):
    id = AutoKeyField()


def test_a_value_finds_the_record_by_one_read(api: Api, round_trips: Counter) -> None:
    ann = api(User.create, name="ann", age=30)
    with round_trips() as seen:
        assert api(User.query.get, "ann") == ann
        assert api(User.query.get, "bob") is None
        assert api(User.load, "ann") == ann
        assert api(User.query.get, "ann", age=30) == ann
        assert api(User.query.get, "ann", age=31) is None
        assert api(User.query.get, "ann", User.age == 30) == ann
        assert api(User.query.get, "ann", name="ann") == ann
        assert api(User.query.get, "ann", name="bob") is None
        assert api(User.query.get_many, ["ann", "bob", "User:ann"]) == [ann, None, ann]
    assert (seen.sends, seen.commands.total() <= 11) == (9, True)


@pytest.mark.parametrize("name", ["a b", "", "None", "*?[x]^'-/", "é", "{}", "User", "a{&#58;}b"])
def test_every_text_without_a_colon_is_a_value(api: Api, name: str) -> None:
    stored = api(User.create, name=name)
    found = api(User.query.get, name)
    assert found == stored
    assert found.name == name
    assert api(User.query.get_many, [name]) == [stored]


def test_null_and_the_text_none_are_told_apart(api: Api) -> None:
    with pytest.warns(UserWarning, match="name"):
        nobody = api(User.create, name=None, age=1)
    assert api(User.query.get, "None") is None
    assert api(User.query.get_many, ["None", "User:None"]) == [None, nobody]
    assert api(User.query.get_many, ["None", "User:None"], skip_none=True) == [nobody]


def test_text_with_a_colon_is_a_record_key(api: Api) -> None:
    ann = api(User.create, name="ann")
    nested = api(User.create, name="User:ann")
    assert api(User.query.get, "User:ann") == ann
    assert api(User.query.get, name="User:ann") == nested
    assert api(User.query.get, nested.db_key) == nested
    assert api(User.query.get, "User:bob") is None
    with pytest.raises(QueryException, match=r"another model.*start with 'User:'.*get\(name=…\)"):
        api(User.query.get, "http://ann")


def test_a_value_and_a_condition_must_both_hold(api: Api) -> None:
    for name, age in (("ann", 30), ("bob", 40)):
        api(User.create, name=name, age=age)
    assert api(User.query.get, "ann", name="bob") is None
    assert api(User.query.get, "ann", User.name == "bob") is None
    assert api(User.query.get, "ann", age=40) is None
    assert api(User.query.get, User.age == 40, name="bob").name == "bob"


def test_by_position_a_record_key_may_come_second(api: Api) -> None:
    ann = api(User.create, name="ann", age=30)
    assert api(User.query.get, None, "User:ann") == ann
    with pytest.warns(UserWarning, match="takes one key, got 'User:ann' and 'bob'"):
        assert api(User.query.get, "bob", "User:ann") == ann
    with pytest.raises(TypeError, match="takes Q objects"):
        api(User.query.get, "User:ann", "User:ann", "bob")


def test_the_keywords_for_keys_take_keys(api: Api) -> None:
    api(User.create, name="ann")
    assert api(User.query.get, db_key="ann") is None
    assert api(User.query.get, redis_key="ann") is None
    assert api(User.query.get, b"ann") is None
    assert api(User.query.get, db_key="User:ann").name == "ann"
    assert api(User.query.get, redis_key=b"User:ann").name == "ann"
    # A key that is named counts, whatever stands beside it, which is told of.
    with pytest.warns(UserWarning, match="takes one key"):
        assert api(User.query.get, "bob", redis_key="User:ann").name == "ann"
    assert api(User.query.get, db_key=DB_key("User", "ann")).name == "ann"


class Color(enum.Enum):
    RED = "red"


DAY = datetime.date(2026, 11, 27)
VALUES: list[tuple[type, Any, list[Any]]] = [
    (int, 5, [5, "5", 5.0, Decimal(5)]),
    (float, 1.5, [1.5, "1.5"]),
    (Decimal, Decimal("1.5"), [Decimal("1.5"), "1.5", 1.5]),
    (bool, True, [True, "true", 1]),
    (datetime.date, DAY, [DAY, "2026-11-27"]),
    (datetime.datetime, datetime.datetime(2026, 1, 1), [datetime.datetime(2026, 1, 1)]),
    (uuid.UUID, uuid.UUID(int=7), [uuid.UUID(int=7), str(uuid.UUID(int=7))]),
    (datetime.timedelta, datetime.timedelta(hours=1), [datetime.timedelta(hours=1), 3600]),
    (Color, Color.RED, [Color.RED, "red"]),
]


@pytest.mark.parametrize(("kind", "value", "given"), VALUES, ids=lambda part: repr(part)[:40])
def test_values_are_converted_as_in_conditions(
    api: Api, kind: type, value: Any, given: list[Any]
) -> None:
    body = {"__module__": __name__, "key": KeyField(type=kind)}
    model: Any = type(Model)(f"Of{kind.__name__.title()}", (Model,), body)
    stored = api(model.create, key=value)
    for each in given:
        assert api(model.query.get, each) == stored
        if kind is not datetime.datetime:
            assert api(model.query.get_many, [each]) == [stored]
            continue
        # popoto 1.9 and later name moments in keys in another way: only conditions know both.
        with pytest.raises(QueryException, match="no record key"):
            api(model.query.get_many, [each])


def test_a_key_that_gives_itself_a_value_is_one_too(api: Api) -> None:
    ticket, token = api(Ticket.create, text="t"), api(Token.create)
    assert api(Ticket.query.get, ticket._auto_key) == ticket
    assert api(Token.query.get, token.id) == token
    assert api(Token.query.get, "0" * 32) is None


def test_a_value_that_cannot_be_is_named(api: Api, round_trips: Counter) -> None:
    class Numbered(Model):
        number = KeyField(type=int)

    with round_trips() as seen:
        for wrong in ("abc", 2.5):
            with pytest.raises(QueryException, match=r"number.*cannot be compared with a int"):
                api(Numbered.query.get, wrong)
        # A comparison that was decided already, as `record.number > 4` is.
        with pytest.raises(TypeError, match="decided before"):
            api(Numbered.query.get, True)
        for wrong in (object(), User, [5], {"number": 5}):
            with pytest.raises(QueryException, match="is no record key"):
                api(Numbered.query.get, wrong)
    assert seen.sends == 0


def test_several_key_fields_say_what_to_write(api: Api, round_trips: Counter) -> None:
    seat = api(Seat.create, row="a", number=1)
    with round_trips() as seen:
        for wrong in ("a", 1):
            with pytest.raises(QueryException) as caught:
                api(Seat.query.get, wrong)
            for hint in (repr(wrong), "row=…", "number=…", "'Seat:'"):
                assert hint in str(caught.value)
        with pytest.raises(QueryException, match="row=…"):
            api(Seat.load, "a")
        with pytest.raises(QueryException, match="row=…"):
            api(Seat.query.get, "a", number=1)
    assert seen.sends == 0
    assert api(Seat.query.get, "Seat:1:a") == seat
    assert api(Seat.query.get_many, ["a", "Seat:1:a"]) == [None, seat]


def test_nothing_is_no_value(api: Api) -> None:
    api(User.create, name="x")
    with pytest.raises(QueryException, match="needs a lookup"):
        api(User.query.get, None)
    assert api(User.query.get, None, name="x").name == "x"
