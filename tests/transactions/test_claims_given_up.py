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


def committed(api: Api, *operations: tuple[str, Seat]) -> list[Any]:
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
