"""What bulk operations take for records, and what they say to what are none."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import IntField, KeyField, Model, ModelException, StringField
from popoto.exceptions import UnknownNameError
from tests.driver import Api


class Guest(Model):
    name = KeyField()
    age = IntField(default=1)
    mail = StringField(default="")


class StrictGuest(Model):
    name = KeyField()
    age = IntField(default=1)

    class Meta:
        strict = True


G: Any = Guest


def two() -> list[Guest]:
    return [Guest(name="a"), Guest(name="b")]


@pytest.mark.parametrize("method", ["bulk_create", "bulk_update", "bulk_delete"])
@pytest.mark.parametrize("given", ["abc", b"abc", {"name": "a"}, 5, 1.5, object()])
def test_what_holds_no_records_is_refused_by_name(api: Api, method: str, given: Any) -> None:
    Guest.create(name="a")
    values = {"age": 2} if method == "bulk_update" else {}
    with pytest.raises(ModelException, match=f"Guest.{method} takes instances of Guest"):
        api(getattr(G, method), given, **values)
    assert [guest.age for guest in Guest.query.all()] == [1]


@pytest.mark.parametrize("nothing", [None, (), [], "", {}])
def test_nothing_is_nothing(api: Api, nothing: Any) -> None:
    assert api(G.bulk_create, nothing) == []
    assert api(G.bulk_update, nothing, age=2) == 0
    assert api(G.bulk_delete, nothing) == 0


def test_any_iterable_and_one_record_will_do(api: Api) -> None:
    for given in (iter(two()), (each for each in two()), set(two()), Guest(name="a")):
        api(G.bulk_create, given)
    assert api(G.bulk_update, (each for each in two()), age=2) == 2
    assert api(G.bulk_update, Guest.query.get(name="a"), age=3) == 1
    assert [guest.age for guest in Guest.query.order_by("name")] == [3, 2]
    assert api(G.bulk_delete, Guest.query.get(name="a")) == 1
    assert api(G.bulk_delete, iter(Guest.query.all())) == 1


@pytest.mark.parametrize("names", ["age", ["age"], ("age", "mail"), {"age"}])
def test_names_of_fields_are_told_how_values_are_given(api: Api, names: Any) -> None:
    guests = Guest.bulk_create(two())
    with pytest.raises(
        ValueError,
        match=r"Guest.bulk_update\(records, age=…\); .* Guest.bulk_create\(records\)",
    ):
        api(G.bulk_update, guests, names)


def test_a_change_without_values_is_told_of(api: Api) -> None:
    guests = Guest.bulk_create(two())
    guests[0].age = 7
    with pytest.warns(UserWarning, match=r"Guest.bulk_update\(records\) without any values writes"):
        assert api(G.bulk_update, guests) == 0
    with pytest.raises(UnknownNameError, match="without any values"):
        api(StrictGuest.bulk_update, [StrictGuest.create(name="a")])
    api(G.bulk_create, guests)
    assert Guest.query.filter(name="a", age=7).count() == 1


@pytest.mark.parametrize("names", ["age", 5])
def test_what_is_no_list_of_names_is_refused(api: Api, names: Any) -> None:
    guest: Any = Guest.create(name="a")
    with pytest.raises(ModelException, match=r"update_fields=.*give a list of names"):
        api(guest.save, update_fields=names)
    with pytest.raises(ModelException, match=r"to_dict\(include=.*give a list of names"):
        guest.to_dict(include=names)
