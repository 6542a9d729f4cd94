"""1, 1.0 and True are equal in Python, and so are 0.0 and -0.0: storing tells them apart."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import (
    DictField,
    Field,
    FloatField,
    IntField,
    KeyField,
    ListField,
    Model,
    SetField,
    TupleField,
)
from tests.driver import Api


class Reading(Model):
    name = KeyField()
    real = FloatField()
    whole = IntField()
    mapping = DictField()
    items = ListField()
    pair = TupleField()
    group = SetField()
    tree = Field(type=dict)


CHANGES: list[tuple[str, Any, Any]] = [
    ("real", 0.0, -0.0),
    ("real", -0.0, 0.0),
    ("mapping", {"n": 1}, {"n": True}),
    ("mapping", {"n": False}, {"n": 0}),
    ("mapping", {"n": 1}, {"n": 1.0}),
    ("mapping", {1: "a"}, {1.0: "a"}),
    ("tree", {"n": [0.0]}, {"n": [-0.0]}),
    ("items", [1], [True]),
    ("pair", (1, 2), (1.0, 2)),
    ("group", {1, "a"}, {True, "a"}),
    ("group", {0.0}, {-0.0}),
    ("group", {(1, 2)}, {(1, 2.0)}),
]


@pytest.mark.parametrize(("name", "before", "after"), CHANGES)
def test_a_value_of_another_kind_is_a_change(api: Api, name: str, before: Any, after: Any) -> None:
    api(Reading.create, name="a", **{name: before})
    reading = api(Reading.query.get, name="a")
    setattr(reading, name, after)
    api(reading.save)
    found = getattr(api(Reading.query.get, name="a"), name)
    assert repr(found) == repr(after) if name != "group" else kinds(found) == kinds(after)


def kinds(group: set[Any]) -> list[str]:
    return sorted(map(repr, group))


@pytest.mark.parametrize(
    ("name", "theirs", "value"),
    [
        ("real", b"\xca\x3f\x80\x00\x00", 1.0),  # a single float
        ("real", b"\x01", 1.0),
        ("whole", b"\xcd\x00\x05", 5),  # more bytes than the number needs
        ("whole", b"\xa15", 5),  # as text
    ],
)
def test_another_writers_form_of_the_same_number_is_none(
    api: Api, redis_client: redis.Redis, name: str, theirs: bytes, value: Any
) -> None:
    api(Reading.create, name="a")
    redis_client.hset("Reading:a", name, theirs)
    reading = api(Reading.query.get, name="a")
    setattr(reading, name, value)
    api(reading.save)
    assert redis_client.hget("Reading:a", name) == theirs
