"""Damaged keys and impossible text: one exception of ours, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    GeoField,
    IndexedField,
    KeyField,
    ListField,
    Model,
    ModelException,
    QueryException,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)
from tests.driver import Api


class Thing(Model):
    name = KeyField()
    cat = IndexedField()
    code = UniqueField(default="c")
    rank = SortedField(type=int, default=0)
    place = GeoField()
    note = StringField()
    last = ListField(max_length=3)

    class Meta:
        indexes = ((("cat", "note"), True),)


class Holder(Model):
    name = KeyField()
    thing = Relationship(model=Thing)


@pytest.mark.parametrize(
    "key",
    [
        "Thing:a",
        "$IndexF:Thing:cat:x",
        "$UniquF:Thing:code:c",
        "$SortF:Thing:rank",
        "$GeoF:Thing:place",
        "$Values:Thing",
        "$Values:Thing:cat",
        "$Values:Thing:code",
        "$Index:Thing:cat:note",
    ],
)
@pytest.mark.parametrize("call", ["save", "delete", "create"])
def test_a_key_of_a_wrong_type_stops_a_write_before_it_begins(
    redis_client: redis.Redis, api: Api, key: str, call: str
) -> None:
    thing = Thing.create(name="a", cat="x", rank=1, place=(1, 1), note="n")
    redis_client.delete(key)
    redis_client.set(key, "another program's")
    before = {each: redis_client.dump(each) for each in redis_client.keys("*")}
    thing.cat, thing.code, thing.rank, thing.place = "y", "d", 2, (2, 2)
    values = {"name": "a" if key == "Thing:a" else "b", "cat": "x", "rank": 1, "note": "n"}
    calls: dict[str, Callable[[], object]] = {
        "save": lambda: api(thing.save),
        "delete": lambda: api(thing.delete),
        "create": lambda: api(Thing.create, place=(1, 1), **values),
    }
    with pytest.raises(ModelException, match="Thing"):
        calls[call]()
    assert {each: redis_client.dump(each) for each in redis_client.keys("*")} == before


def test_get_many_names_the_key_of_a_wrong_type(redis_client: redis.Redis, api: Api) -> None:
    Thing.create(name="a")
    redis_client.set("Thing:b", "another program's")
    with pytest.raises(QueryException, match="Thing:b"):
        api(Thing.query.get_many, ["Thing:a", "Thing:b"])


SURROGATE = "a\ud800"


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api(Thing.query.get, "Thing:" + SURROGATE),
        lambda api: api(Thing.query.get, b"Thing:\xff"),
        lambda api: api(Thing.query.get, name=SURROGATE),
        lambda api: api(Thing.query.get_many, ["Thing:" + SURROGATE]),
        lambda api: api(Thing.query.filter(cat=SURROGATE).all),
        lambda api: api(Thing.query.filter(note=SURROGATE).all),
        lambda api: api(Thing.query.filter(name__in=[SURROGATE]).count),
        lambda api: api(Thing.query.filter(cat__startswith=SURROGATE).count),
        lambda api: api(Thing.query.filter(cat__contains=SURROGATE).count),
        lambda api: api(Holder.query.filter(thing="Thing:" + SURROGATE).count),
        lambda api: api(Holder.query.filter(thing=b"Thing:\xff").count),
    ],
)
def test_text_that_cannot_be_stored_cannot_be_asked_for(
    api: Api, ask: Callable[[Api], Any]
) -> None:
    with pytest.raises(QueryException):
        ask(api)


def test_an_order_is_named_by_text(api: Api) -> None:
    for wrong in (["name"], 5, b"name", {"name"}):
        with pytest.raises(QueryException, match="order_by"):
            api(Thing.query.all, order_by=wrong)
