"""Records whose value was changed by who leaves the index: results match, entries are mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, Model, SortedField, StringField
from tests.driver import Api
from tests.truth.oracle import violations


class Book(Model):
    name = KeyField()
    genre = IndexedField()
    shelf = IndexedField(type=int)
    year = SortedField(type=int, default=0)


def without_indexes() -> type[Model]:
    """What another process knows of books."""
    body = {
        "name": KeyField(),
        "genre": StringField(),
        "shelf": IntField(null=True),
        "year": IntField(default=0),
        "__module__": __name__,
    }
    return type(Model)("Book", (Model,), body)


@pytest.fixture
def books(api: Api) -> list[Book]:
    return api(Book.bulk_create, [Book(name=n, genre="horror", shelf=1, year=1990) for n in "abcd"])


def change(api: Api, *names: str, **values: Any) -> None:
    plain = without_indexes()
    for name in names:
        book: Any = api(plain.query.get, name=name)
        for field, value in values.items():
            setattr(book, field, value)
        api(book.save)


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "equality": ({"genre": "poetry"}, {"genre": "horror"}, {"genre": "poetry"}),
    "equality to null": ({"genre": None}, {"genre": "horror"}, {"genre": None}),
    "equality of numbers": ({"shelf": 2}, {"shelf": 1}, {"shelf": 2}),
    "one of several": ({"genre": "poetry"}, {"genre__in": ["horror", "x"]}, {"genre": "poetry"}),
    "in order": ({"year": 2001}, {"year": 1990}, {"year__gt": 2000}),
    "together": ({"genre": "poetry"}, {"genre": "horror", "shelf": 1}, {"genre": "poetry"}),
}


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_found_matches_and_its_entry_is_put_right(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    values, old, new = CHANGES[name]
    change(api, "b", **values)
    assert [book.name for book in api(Book.query.filter(**old).all)] == ["a", "c", "d"]
    assert [book.name for book in api(Book.query.filter(**new).all)] == ["b"]
    assert api(Book.query.count, **old) == 3
    assert violations(redis_client, Book) == []


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    "lookup", [{"genre__startswith": "horr"}, {"genre__endswith": "or"}, {"genre__contains": "rro"}]
)
@pytest.mark.parametrize("value", ["poetry", "is horror", "horror?", "x" * 40, "x" * 300, None])
def test_texts_that_are_found_match(api: Api, lookup: dict[str, str], value: str | None) -> None:
    change(api, "b", genre=value)
    ((name, operand),) = lookup.items()
    how = {"startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__}
    matches = value is not None and how[name.removeprefix("genre__")](value, operand)
    expected = ["a", "b", "c", "d"] if matches else ["a", "c", "d"]
    assert [book.name for book in api(Book.query.filter(**lookup).all)] == expected


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda query: query.limit(2).all, ["c", "d"]),
        (lambda query: query.first, ["c"]),
        (lambda query: query.order_by("-name").limit(2).all, ["d", "c"]),
        (lambda query: query.order_by("year").limit(2).all, ["c", "d"]),
        (lambda query: query.order_by("-name").last, ["c"]),
        (lambda query: query.values("name", "genre").limit(1).all, ["c"]),
    ],
)
def test_as_many_as_were_asked_for_are_found(
    api: Api, make: Callable[[Any], Any], expected: list[str]
) -> None:
    change(api, "a", "b", genre="poetry")
    found = api(make(Book.query.filter(genre="horror")))
    rows = found if isinstance(found, list) else [found]
    assert [row["name"] if isinstance(row, dict) else row.name for row in rows] == expected


@pytest.mark.usefixtures("books")
def test_what_counts_without_reading_does_not_notice(api: Api) -> None:
    """Nor does a query for the new value, until one for the old value has met the record."""
    change(api, "b", genre="poetry")
    horror, poetry = Book.query.filter(genre="horror"), Book.query.filter(genre="poetry")
    assert api(horror.count) == 4
    assert len(api(horror.keys)) == 4
    assert api(poetry.all) == []
    api(horror.all)
    assert (api(horror.count), api(poetry.count)) == (3, 1)


@pytest.mark.usefixtures("books")
def test_what_cannot_be_read_is_left_as_it_is(api: Api, redis_client: redis.Redis) -> None:
    redis_client.hset("Book:b", "genre", b"\xc1")
    assert len(api(Book.query.filter(genre="horror").all)) == 4
    assert redis_client.sismember("$IndexF:Book:genre:horror", "Book:b")


class Kept(Model):
    name = KeyField()
    genre = IndexedField()

    class Meta:
        self_repair = False


def test_a_model_whose_queries_repair_nothing_still_finds_what_matches(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Kept.bulk_create, [Kept(name=name, genre="x") for name in "abc"])
    redis_client.hset("Kept:b", "genre", b"\xa1y")
    assert [each.name for each in api(Kept.query.filter(genre="x").all)] == ["a", "c"]
    assert redis_client.sismember("$IndexF:Kept:genre:x", "Kept:b")


class Unique(Model):
    name = KeyField()
    code = IndexedField(unique=True)


def test_a_unique_value_is_taken_from_nobody(api: Api, redis_client: redis.Redis) -> None:
    for name, code in (("a", "x"), ("b", "y")):
        api(Unique.create, name=name, code=code)
    redis_client.hset("Unique:a", "code", b"\xa1y")
    assert api(Unique.query.filter(code="x").all) == []
    assert [each.name for each in api(Unique.query.filter(code="y").all)] == ["b"]
    assert redis_client.smembers("$IndexF:Unique:code:y") == {b"Unique:b"}
