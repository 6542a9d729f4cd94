"""`get`, `get_many` and `load`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from popoto import (
    AutoKeyField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    QueryException,
    StringField,
    UniqueField,
)
from popoto.models.db_key import DB_key
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Book(Model):
    shelf = KeyField()
    number = KeyField(type=int)
    title = IndexedField()
    isbn = UniqueField()
    pages = IntField()
    note = StringField(default="none")


def make(api: Api, **changes: Any) -> Book:
    values = {"shelf": "a:b", "number": 5, "title": "T", "isbn": "x", "pages": 3}
    return api(Book.create, **{**values, **changes})


def told(asked: Callable[[], Any]) -> Any:
    """The record that is found though another key stands beside its own."""
    with pytest.warns(UserWarning, match="takes one key"):
        return asked()


def test_every_form_of_a_key(api: Api, round_trips: Counter) -> None:
    book = make(api)
    key = "Book:5:a{&#58;}b"
    assert book.db_key.redis_key == key
    with round_trips() as seen:
        for found in (
            api(Book.query.get, key),
            api(Book.query.get, key.encode()),
            api(Book.query.get, book.db_key),
            api(Book.query.get, DB_key("Book", 5, "a:b")),
            api(Book.query.get, db_key=book.db_key),
            api(Book.query.get, redis_key=key),
            api(Book.query.get, redis_key=key.encode()),
            told(lambda: api(Book.query.get, "Book:6:other", redis_key=key)),
            api(Book.query.get, shelf="a:b", number=5),
            api(Book.query.get, shelf="a:b", number="5"),
            api(Book.query.get, shelf="a:b", number=5.0),
            api(Book.query.get, shelf="a:b", number=5, pages=3, title="T"),
            api(Book.load, key),
            api(Book.load, shelf="a:b", number=5),
        ):
            assert found == book
            assert (found.pages, found.note, found._is_persisted) == (3, "none", True)
    assert seen.sends == 14
    assert seen.commands.total() <= 14


def test_misses_are_none(api: Api, round_trips: Counter) -> None:
    make(api)
    with round_trips() as seen:
        assert api(Book.query.get, "Book:6:x") is None
        assert api(Book.query.get, shelf="a:b", number=6) is None
        assert api(Book.query.get, shelf="a:b", number=5, pages=4) is None
        assert api(Book.query.get, isbn="y") is None
        assert api(Book.query.get, pages=99) is None
    assert seen.sends == 5


def test_one_of_several_key_values_is_no_key(api: Api) -> None:
    make(api, shelf="plain")
    with pytest.raises(QueryException, match=r"write get\(number=…, shelf=…\)"):
        api(Book.query.get, "plain")
    assert api(Book.query.get_many, ["plain"]) == [None]


def test_other_conditions(api: Api, round_trips: Counter) -> None:
    book = make(api)
    other = make(api, number=6, isbn="y", shelf=None)
    with round_trips() as seen:
        assert api(Book.query.get, isbn="x") == book
        assert api(Book.query.get, number=6) == other
        assert api(Book.query.get, shelf=None) == other
        assert api(Book.query.get, title="T", pages=3, number=5) == book
    assert seen.sends == 4
    with pytest.raises(QueryException, match="more than one"):
        api(Book.query.get, title="T")


def test_null_and_the_text_none_as_keys(api: Api) -> None:
    class Named(Model):
        name = KeyField()
        year = KeyField(type=int)
        other = StringField()

    nobody = api(Named.create, name=None, year=1, other="null")
    assert api(Named.query.get, name=None, year=1) == nobody
    assert api(Named.query.get, name="None", year=1) is None
    named = api(Named.create, name="None", year=2, other="text")
    assert api(Named.query.get, name="None", year=2) == named
    assert api(Named.query.get, name=None, year=2) is None
    colon = api(Named.create, name=":", year=3)
    assert api(Named.query.get, name="{&#58;}", year=3) is None
    assert api(Named.query.get, name=":", year=3) == colon


def test_the_defaults_of_a_model_play_no_part_in_a_lookup(api: Api) -> None:
    calls: list[int] = []

    def default() -> str:
        calls.append(1)
        return "generated"

    class Token(Model):
        auto = AutoKeyField()
        name = KeyField()
        text = StringField(default=default)

    token = api(Token.create, name="n")
    calls.clear()
    assert api(Token.query.get, auto=token.auto, name="n") == token
    assert api(Token.query.get, name="n") == token
    assert calls == []


def test_get_many(api: Api, round_trips: Counter) -> None:
    books = [make(api, number=number, isbn=str(number)) for number in range(3)]
    keys = [book.db_key.redis_key for book in books]
    query = Book.query
    with round_trips() as seen:
        assert api(query.get_many, keys) == books
    assert (seen.sends, seen.commands.total()) == (1, 3)
    assert api(query.get_many, [keys[2], "Book:9:x", keys[0].encode(), keys[2]]) == [
        books[2],
        None,
        books[0],
        books[2],
    ]
    assert api(query.get_many, [keys[2], "Book:9:x"], skip_none=True) == [books[2]]
    assert api(query.get_many, (key for key in keys[:1])) == books[:1]
    assert set(api(query.get_many, set(keys))) == set(books)
    assert api(query.get_many, [books[0].db_key, books[1]]) == books[:2]
    with round_trips() as seen:
        assert api(query.get_many, None) == api(query.get_many, []) == []
    assert seen.sends == 0


@pytest.mark.parametrize("key", ["Book:a:5", b"Book:a:5"])
def test_get_many_takes_several_keys_and_no_text(key: Any, api: Api) -> None:
    with pytest.raises(QueryException, match=r"get_many\(b?'Book:a:5'\): give a list of keys"):
        api(Book.query.get_many, key)


def test_a_loaded_record_knows_what_is_stored(api: Api) -> None:
    make(api)
    for found in (
        api(Book.query.get, isbn="x"),
        api(Book.query.filter(isbn="x").all)[0],
        api(Book.query.get_many, ["Book:5:a{&#58;}b"])[0],
    ):
        assert found._redis_key == "Book:5:a{&#58;}b"
        assert found._is_persisted is True
        assert found._saved_field_values["shelf"] == "a:b"
        assert found._saved_field_values["number"] == 5


class Foreign:
    """Has a `pk`, as objects of other mappers do, or a `_meta`."""

    def __init__(self, **values: str) -> None:
        vars(self).update(values)


@pytest.mark.parametrize(
    "key",
    [Foreign(pk="Book:a:5"), Foreign(_meta="Book"), [5], Book],
    ids=["pk", "meta", "list", "class"],
)
def test_what_is_no_record_key_is_refused(api: Api, key: Any) -> None:
    for method, given in ((Book.query.get, key), (Book.query.get_many, [key])):
        with pytest.raises(QueryException, match=r"Book: .* is no record key; give text, bytes"):
            api(method, given)
