"""Checking and rebuilding while records change at the worst moment, and what cannot be indexed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import redis

from popoto import IndexedField, KeyField, Model, SortedField, UniqueField
from tests.driver import Api, at_the
from tests.interference import before_each_commit
from tests.truth.oracle import violations


class Book(Model):
    title = KeyField()
    shelf = IndexedField()
    isbn = UniqueField()
    price = SortedField(type=float, default=1.0)

    class Meta:
        indexes = ((("shelf", "price"), True),)


@pytest.fixture
def book(redis_client: redis.Redis) -> Book:
    """A record that stands under a wrong shelf as well."""
    book = Book.create(title="a", shelf="x", isbn="1")
    redis_client.sadd("$IndexF:Book:shelf:y", "Book:a")
    return book


def put_on_y() -> None:
    found = Book.query.get("Book:a")
    assert found is not None
    found.shelf = "y"
    found.save()


def put_on_z() -> None:
    found = Book.query.get("Book:a")
    assert found is not None
    found.shelf = "z"
    found.save()


def remove() -> None:
    Book(title="a").delete()


@pytest.mark.parametrize("work", [put_on_y, put_on_z, remove])
@pytest.mark.parametrize("number", range(1, 8))
def test_a_rebuild_follows_a_record_that_changes_meanwhile(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    book: Book,
    work: Callable[[], None],
    number: int,
) -> None:
    redis_client.delete("$SortF:Book:price")
    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, work))
        api(Book.rebuild_indexes)
    if work is not remove:  # Of one that went, the wrong entry may be left.
        assert violations(redis_client, Book) == []
    api(Book.rebuild_indexes)
    assert violations(redis_client, Book) == []
    assert api(Book.check_indexes)["total"] == 0


@pytest.mark.parametrize("number", range(1, 6))
def test_a_check_reports_nothing_that_a_writer_is_just_doing(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, book: Book, number: int
) -> None:
    redis_client.srem("$IndexF:Book:shelf:y", "Book:a")
    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, put_on_z))
        assert api(Book.check_indexes)["missing_entries"] == {}
    assert api(Book.check_indexes)["total"] == 0


def test_a_record_that_never_rests_does_not_keep_upkeep_for_ever(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, book: Book
) -> None:
    times = 0

    def change() -> None:
        nonlocal times
        times += 1
        book.shelf = f"shelf {times}"
        book.save()

    with monkeypatch.context() as patch:
        before_each_commit(patch, change)
        api(Book.check_indexes)
        assert times < 20
        api(Book.rebuild_indexes)
        assert times < 120
    assert api(Book.rebuild_indexes) == 1
    assert violations(redis_client, Book) == []


def test_an_index_that_goes_meanwhile_is_nothing_to_warn_of(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    book: Book,
) -> None:
    with monkeypatch.context() as patch:
        before_each_commit(patch, lambda: redis_client.delete("$IndexF:Book:shelf:y"))
        assert api(Book.check_indexes)["total"] == 0
        assert api(Book.clean_indexes) == 0
    assert caplog.text == ""


def test_two_records_with_the_same_values_are_told_and_one_is_indexed(
    api: Api, redis_client: redis.Redis
) -> None:
    for title in "ab":
        Book.create(title=title, shelf=title, isbn=title)
    redis_client.hset("Book:b", "shelf", msgpack.packb("a"))
    rebuilt = api(Book.rebuild_indexes)
    (problem,) = rebuilt.problems
    assert problem.key in ("Book:a", "Book:b")
    assert "holds the same values" in str(problem)


def test_what_has_no_place_in_an_order_is_told(api: Api, redis_client: redis.Redis) -> None:
    Book.create(title="a", shelf="x", isbn="1")
    redis_client.hset("Book:a", "price", msgpack.packb(float("nan")))
    rebuilt = api(Book.rebuild_indexes)
    assert rebuilt.problem_count == 1
    assert "NaN has no place" in str(rebuilt.problems[0])
    assert redis_client.zscore("$SortF:Book:price", "Book:a") is None
    assert [each.title for each in api(Book.query.filter(shelf="x").all)] == ["a"]


def test_a_model_whose_records_hold_nothing_to_compare(api: Api, redis_client: redis.Redis) -> None:
    redis_client.hset("Book:a", mapping={"shelf": b"\xa1x"})
    checked: Any = api(Book.check_indexes)
    assert checked["unreadable_records"] == 1
    assert checked["missing_entries"] == {}
