"""Rows of one call that want each other's unique values."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import KeyField, Model, UniqueField
from popoto.exceptions import BulkError, UniquenessError
from tests.driver import Api
from tests.truth.oracle import violations


class Seat(Model):
    row = KeyField()
    ticket = UniqueField()
    price = UniqueField(type=int)


def tickets() -> dict[str, str | None]:
    return {seat.row: seat.ticket for seat in Seat.query.all()}


@pytest.fixture(autouse=True)
def seats() -> None:
    for number, row in enumerate("abcd"):
        Seat.create(row=row, ticket=row, price=number)


def wanting(**wanted: str) -> list[Seat]:
    """The stored seats, each with the ticket that it is to have."""
    found = {seat.row: seat for seat in Seat.query.all()}
    for row, ticket in wanted.items():
        found[row].ticket = ticket
    return [found[row] for row in wanted]


def test_a_row_takes_what_another_one_gives_up(api: Api, redis_client: redis.Redis) -> None:
    api(Seat.bulk_create, wanting(a="b", b="c", c="d", d="new"))
    assert tickets() == {"a": "b", "b": "c", "c": "d", "d": "new"}
    assert violations(redis_client, Seat) == []


CIRCLES: list[dict[str, str]] = [
    {"a": "b", "b": "a"},
    {"a": "b", "b": "c", "c": "a"},
    {"d": "new", "a": "b", "b": "a"},
]


@pytest.mark.parametrize("wanted", CIRCLES, ids=str)
@pytest.mark.parametrize("loaded", [True, False])
def test_rows_that_exchange_values_are_swapped_in_one_step(
    api: Api, redis_client: redis.Redis, wanted: dict[str, str], loaded: bool
) -> None:
    """As in a transaction: what holds a value gives it up in the very same step."""
    given = wanting(**wanted)
    if not loaded:
        given = [Seat(row=seat.row, ticket=seat.ticket, price=seat.price) for seat in given]
    before = tickets()
    api(Seat.bulk_create, given)
    assert tickets() == {**before, **wanted}
    assert violations(redis_client, Seat) == []


def test_a_value_that_two_rows_want_is_refused(api: Api, redis_client: redis.Redis) -> None:
    before = tickets()
    with pytest.raises(BulkError, match=r"must be unique.*nothing of its batch was written"):
        api(Seat.bulk_create, wanting(a="b", b="c", c="b"))
    assert tickets() == before
    assert violations(redis_client, Seat) == []


def test_the_other_rows_are_written_where_errors_are_collected(
    api: Api, redis_client: redis.Redis
) -> None:
    errors: list[Any] = []
    api(Seat.bulk_create, wanting(a="c", d="new", b="new"), on_error=errors.append)
    assert sorted(error.position for error in errors) == [0, 2]
    assert all(isinstance(error.error, UniquenessError) for error in errors)
    assert tickets() == {"a": "a", "b": "b", "c": "c", "d": "new"}
    assert violations(redis_client, Seat) == []
