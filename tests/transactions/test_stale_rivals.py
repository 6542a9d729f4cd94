"""Of two that claim one value, one may only believe that it has it: that is looked at first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import IntField, KeyField, Model, StringField, transaction
from popoto.exceptions import BulkError, NotStoredError, RecordGoneError, RowError, UniquenessError
from tests.driver import Api
from tests.truth.oracle import violations


class Seat(Model):
    name = KeyField()
    code = StringField(unique=True)
    row = IntField(default=0)
    place = IntField(default=0)

    class Meta:
        indexes = ((("row", "place"), True),)


Writing = Callable[..., None]


@pytest.fixture(params=["transaction", "bulk"])
def write(request: pytest.FixtureRequest, api: Api) -> Writing:
    def together(*seats: Seat, **how: Any) -> None:
        joined = transaction()
        for seat in seats:
            joined.save(seat, **how)
        api(joined.commit)

    def in_bulk(*seats: Seat, **how: Any) -> None:
        api(Seat.bulk_create, seats, **how)

    return together if request.param == "transaction" else in_bulk


def test_a_part_of_a_pair_that_another_writer_changed_claims_nothing(
    api: Api, write: Writing, redis_client: redis.Redis
) -> None:
    stale = api(Seat.create, name="a", row=1, place=1)
    api(Seat.query.filter(name="a").update, place=2)
    stale.row = 5
    write(stale, Seat(name="b", row=5, place=1))
    assert {(each.name, each.row, each.place) for each in api(Seat.query.all)} == {
        ("a", 5, 2),
        ("b", 5, 1),
    }
    assert stale.place == 2
    assert violations(redis_client, Seat) == []


@pytest.mark.parametrize("stale_first", [True, False])
def test_a_record_that_moves_claims_what_it_holds_now(
    api: Api, redis_client: redis.Redis, stale_first: bool
) -> None:
    stale = api(Seat.create, name="a", code="x", place=1)
    api(Seat.query.filter(name="a").update, code=None)
    stale.name = "moved"
    other = Seat(name="b", code="x", place=2)
    joined = transaction()
    for seat in (stale, other) if stale_first else (other, stale):
        joined.save(seat, migrate_key=True)
    api(joined.commit)
    assert {(each.name, each.code) for each in api(Seat.query.all)} == {("moved", None), ("b", "x")}
    assert violations(redis_client, Seat) == []


def test_who_holds_it_still_is_refused_as_before(api: Api, write: Writing) -> None:
    holder = api(Seat.create, name="a", row=1, place=1)
    holder.row = 5
    with pytest.raises((UniquenessError, BulkError), match="must be unique"):
        write(holder, Seat(name="b", row=5, place=1))


def test_a_record_that_is_gone_claims_nothing(api: Api, write: Writing) -> None:
    gone = api(Seat.create, name="a", row=1, place=1)
    api(Seat.query.filter(name="a").delete)
    gone.row = 5
    with pytest.raises((RecordGoneError, BulkError), match="'Seat:a' is not stored any more"):
        write(gone, Seat(name="b", row=5, place=1))
    assert api(Seat.query.count) == 0
    assert api(Seat.bulk_create, [gone, Seat(name="b", row=5, place=1)], on_error=print) == [
        *api(Seat.query.all)
    ]
    assert [each.name for each in api(Seat.query.all)] == ["b"]


def test_a_record_that_is_written_again_claims_what_its_instance_holds(api: Api) -> None:
    """It is written whole, so the pair is taken."""
    gone = api(Seat.create, name="a", row=1, place=1)
    api(Seat.query.filter(name="a").delete)
    gone.row = 5
    with pytest.raises(BulkError, match="must be unique"):
        api(Seat.bulk_create, [gone, Seat(name="b", row=5, place=1)], recreate=True)


def test_a_part_of_a_record_that_is_gone_is_refused_for_that(api: Api) -> None:
    gone = api(Seat.create, name="a", row=1, place=1)
    api(Seat.query.filter(name="a").delete)
    gone.row = 5
    joined = transaction()
    joined.save(gone, update_fields=["row"])
    joined.save(Seat(name="b", row=5, place=1))
    with pytest.raises(NotStoredError):
        api(joined.commit)
    assert api(Seat.query.count) == 0


def test_what_a_part_of_a_gone_record_claimed_is_free_for_the_rest_of_its_batch(api: Api) -> None:
    gone = api(Seat.create, name="a", row=1, place=1)
    other = api(Seat.create, name="b", row=2, place=1)
    api(Seat.query.filter(name="a").delete)
    refused: list[RowError] = []
    assert api(Seat.bulk_update, [gone, other], row=5, on_error=refused.append) == 1
    assert [(each.position, type(each.error)) for each in refused] == [(0, RecordGoneError)]
    assert [(each.name, each.row) for each in api(Seat.query.all)] == [("b", 5)]
