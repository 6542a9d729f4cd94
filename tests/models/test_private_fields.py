"""Fields whose name begins with two underscores: Python makes `_Model__name` of it."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import Field, IndexedField, IntField, KeyField, Model, Relationship, StringField
from popoto.exceptions import QueryException
from tests.driver import Api


class Bank(Model):
    name = KeyField()
    city = IndexedField()


class Account(Model):
    number = KeyField(type=int)
    __pin = StringField(default="0000")
    __level = IndexedField(type=int, default=1)
    __bank = Relationship(Bank)
    _Account = IntField(default=0)

    def check(self, pin: str) -> bool:
        return self.__pin == pin

    def promote(self) -> None:
        self.__level += 1

    def bank(self) -> Any:
        return self.__bank


def numbers(api: Api, **conditions: Any) -> list[int]:
    return [each.number for each in api(Account.query.filter(**conditions).all)]


def test_they_are_stored_and_hidden_as_in_popoto_1(api: Api, redis_client: redis.Redis) -> None:
    hidden = ["_Account__pin", "_Account__level", "_Account__bank", "_Account"]
    assert list(Account._meta.hidden_fields) == hidden
    api(Account.create, number=1, _Account__pin="1234")
    assert redis_client.hget("Account:1", "_Account__pin") == b"\xa41234"
    assert api(Account.query.get, number=1).check("1234")
    assert api(Account.query.get, number=1).to_dict() == {"number": 1}


def test_they_are_indexed_and_asked_for(api: Api) -> None:
    account = api(Account.create, number=1, _Account__pin="1234", _Account=7)
    api(Account.create, number=2)
    account.promote()
    api(account.save)
    assert numbers(api, _Account__level=2) == [1]
    assert numbers(api, _Account__level__in=[1, 2]) == [1, 2]
    assert numbers(api, _Account__pin="1234") == [1]
    assert numbers(api, _Account__pin__ne="1234") == [2]
    assert numbers(api, _Account=7) == [1]
    with pytest.raises(QueryException, match="_Account__pin__gt"):
        numbers(api, _Account__pin__gt="1")
    with pytest.raises(QueryException, match="_Account__pun"):
        numbers(api, _Account__pun="1")


def test_they_may_refer_to_records(api: Api) -> None:
    api(Account.create, number=1, _Account__bank=api(Bank.create, name="b", city="Rome"))
    assert numbers(api, _Account__bank__city="Rome") == [1]
    assert api(Account.query.get, number=1).bank().city == "Rome"
    found = api(Account.query.filter(number=1).select_related("_Account__bank").first)
    assert found.bank().city == "Rome"


def test_names_with_two_underscores_on_both_sides_are_left_alone() -> None:
    kept = Field()

    class Plain(Model):
        name = KeyField()
        __kept__ = kept

    assert Plain._meta.field_names == ["name"]
    assert Plain.__kept__ is kept
