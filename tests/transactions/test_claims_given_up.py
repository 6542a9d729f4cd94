"""A unique value that one operation of a transaction is to give up, and then does not."""

from __future__ import annotations

from typing import Any

import pytest

import popoto
from popoto.exceptions import ModelException, UniquenessError
from tests.driver import Api
from tests.interference import before_each_commit


class Seat(popoto.Model):
    row = popoto.KeyField()
    ticket = popoto.UniqueField()


class Counted(popoto.Model):
    name = popoto.KeyField()
    ticket = popoto.Field(type=str, unique=True)
    number = popoto.Field(type=int, unique=True)
    visits = popoto.IntField(default=0)


def committed(api: Api, *operations: tuple[str, popoto.Model]) -> list[Any]:
    transaction = popoto.transaction()
    for name, seat in operations:
        getattr(transaction, name)(seat)
    return api(transaction.commit)


def tickets() -> dict[str, str | None]:
    return {seat.row: seat.ticket for seat in Seat.query.all()}


def test_who_deletes_another_record_than_the_holder_frees_nothing(api: Api) -> None:
    """ ":" and its escape make the same record key, of which one is stored."""
    Seat.create(row="a{&#58;}b", ticket="t")
    with pytest.raises(UniquenessError, match="already exists"):
        committed(api, ("delete", Seat(row="a:b")), ("save", Seat(row="c", ticket="t")))
    assert tickets() == {"a{&#58;}b": "t"}


def test_a_holder_that_went_and_came_back_meanwhile_keeps_its_value(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Seat.create(row="a", ticket="t")
    again = Seat(row="a", ticket="t")
    others = iter([lambda: None, Seat(row="a").delete, again.save])

    def other_writer() -> None:
        work = next(others, None)
        if work is not None:
            work()

    before_each_commit(monkeypatch, other_writer)
    with pytest.raises(UniquenessError, match="already exists"):
        committed(api, ("delete", holder), ("save", Seat(row="c", ticket="t")))
    assert next(others, None) is None
    assert tickets() == {"a": "t"}


def test_who_counts_up_another_field_keeps_its_value(api: Api) -> None:
    holder = Counted.create(name="a", ticket="t")
    transaction = popoto.transaction()
    transaction.increment(holder, "visits", 1)
    transaction.save(Counted(name="b", ticket="t"))
    with pytest.raises(UniquenessError, match="already exists"):
        api(transaction.commit)
    assert [(each.name, each.visits) for each in Counted.query.all()] == [("a", 0)]


def test_who_counts_up_its_value_gives_it_up(api: Api) -> None:
    holder = Counted.create(name="a", number=1)
    transaction = popoto.transaction()
    transaction.increment(holder, "number", 1)
    transaction.save(Counted(name="b", number=1))
    api(transaction.commit)
    assert {each.name: each.number for each in Counted.query.all()} == {"a": 2, "b": 1}


def test_who_is_only_looked_at_keeps_its_value(api: Api) -> None:
    holder = Seat.create(row="a", ticket="t")
    transaction = popoto.transaction()
    transaction.expect(holder)
    transaction.save(Seat(row="b", ticket="t"))
    with pytest.raises(UniquenessError, match="already exists in 'Seat:a'"):
        api(transaction.commit)
    assert tickets() == {"a": "t"}


def test_who_saves_something_else_keeps_its_value(api: Api) -> None:
    holder = Counted.create(name="a", ticket="t")
    holder.visits = 5
    transaction = popoto.transaction()
    transaction.save(holder)
    transaction.save(Counted(name="b", ticket="t"))
    with pytest.raises(UniquenessError, match="already exists in 'Counted:a'"):
        api(transaction.commit)
    assert [(each.name, each.visits) for each in Counted.query.all()] == [("a", 0)]


def test_who_moves_to_another_key_takes_its_value_along(api: Api) -> None:
    holder = Seat.create(row="a", ticket="t")
    holder.row = "m"
    transaction = popoto.transaction()
    transaction.save(holder, migrate_key=True)
    transaction.save(Seat(row="b", ticket="t"))
    with pytest.raises(UniquenessError, match="must be unique"):
        api(transaction.commit)
    assert tickets() == {"a": "t"}


def test_who_moves_may_give_its_value_up_on_the_way(api: Api) -> None:
    holder = Seat.create(row="a", ticket="t")
    holder.row, holder.ticket = "m", "u"
    transaction = popoto.transaction()
    transaction.save(holder, migrate_key=True)
    transaction.save(Seat(row="b", ticket="t"))
    api(transaction.commit)
    assert tickets() == {"b": "t", "m": "u"}


def test_who_moves_takes_part_under_both_keys() -> None:
    holder = Seat.create(row="a", ticket="t")
    holder.row = "m"
    transaction = popoto.transaction()
    transaction.save(holder, migrate_key=True)
    for row in "am":
        with pytest.raises(ModelException, match=rf"^'Seat:{row}' takes part in this transaction"):
            transaction.delete(Seat(row=row))
    transaction.discard()


class House(popoto.Model):
    name = popoto.KeyField()
    street = popoto.StringField()
    number = popoto.IntField(default=0)

    class Meta:
        indexes = ((("street", "number"), True),)


def test_values_that_are_unique_together_are_exchanged_and_passed_on(api: Api) -> None:
    first, second = House.create(name="a", street="x"), House.create(name="b", street="y")
    last = House.create(name="c", street="z")
    first.street, second.street = "y", "x"
    transaction = popoto.transaction()
    transaction.save(first)
    transaction.save(second)
    transaction.delete(last)
    transaction.save(House(name="d", street="z"))
    api(transaction.commit)
    assert {each.name: each.street for each in House.query.all()} == {"a": "y", "b": "x", "d": "z"}
    assert House.check_indexes()["total"] == 0
    second.number, first.street = 5, "x"
    transaction = popoto.transaction()
    transaction.save(first)
    transaction.save(second)
    api(transaction.commit)
    assert {each.name: each.street for each in House.query.all()} == {"a": "x", "b": "x", "d": "z"}
    with pytest.raises(UniquenessError, match="already exists: 'House:d'"):
        committed(api, ("save", first), ("save", House(name="e", street="z")))


@pytest.mark.parametrize("kind", ["alone", "together"])
def test_a_value_that_was_given_up_and_taken_by_a_third_is_taken(
    api: Api, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The holder that is overlooked is the one that gives the value up, and no other."""
    holder: Any = House.create(name="a", street="t")
    new: Any = House(name="b", street="t")
    third: Any = House(name="c", street="t")
    if kind == "alone":
        holder, new, third = Counted(name="a", ticket="t"), Counted(name="b"), Counted(name="c")
        holder.save()
        new.ticket = third.ticket = "t"
    copy = type(holder).query.get(name="a")

    def give_up() -> None:
        setattr(copy, name, "elsewhere")
        copy.save()
        third.save()

    name = "ticket" if kind == "alone" else "street"
    setattr(holder, name, "mine")
    others = iter([lambda: None, give_up])
    before_each_commit(monkeypatch, lambda: next(others, lambda: None)())  # noqa: PLW0108
    with pytest.raises(UniquenessError, match=r"already exists.*:c'"):
        committed(api, ("save", holder), ("save", new))
    assert next(others, None) is None
    found = {each.name: getattr(each, name) for each in type(holder).query.all()}
    assert found == {"a": "elsewhere", "c": "t"}
