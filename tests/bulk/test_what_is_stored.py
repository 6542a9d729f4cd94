"""What a bulk operation says of rows that stand twice, want one value, or save themselves."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, UniqueField
from popoto.engine.request import Request
from popoto.exceptions import BulkError, ConflictError, ModelException, RowError, UniquenessError
from popoto.models.writing import bulk, carrying, single
from popoto.models.writing.save_request import SaveRequest
from tests.driver import Api
from tests.truth.oracle import violations


class Seat(Model):
    row = KeyField()
    ticket = UniqueField()
    kind = IndexedField(default="plain")


def tickets() -> dict[str, str]:
    return {seat.row: seat.ticket for seat in Seat.query.all()}


@pytest.fixture(autouse=True)
def seats() -> None:
    for row in "abc":
        Seat.create(row=row, ticket=row)


# A key that stands twice ------------------------------------------------------------------------


def test_a_second_step_that_is_refused_does_not_deny_the_first(api: Api) -> None:
    rows = [Seat(row="x", ticket="x"), Seat(row="y", ticket="y"), Seat(row="x", ticket="a")]
    with pytest.raises(BulkError) as refused:
        api(Seat.bulk_create, rows)
    error = refused.value
    assert tickets() == {"a": "a", "b": "b", "c": "c", "x": "x", "y": "y"}
    assert (error.done, error.stored) == (2, [0, 1])
    assert [row.position for row in error.errors] == [2]
    assert "of its batch 2 rows were written before (0-1), and 0 rows of earlier" in str(error)
    assert "nothing" not in str(error)


def test_the_rows_of_earlier_batches_count_as_well(api: Api) -> None:
    rows = [Seat(row=str(number), ticket=str(number)) for number in range(4)]
    rows += [Seat(row="x", ticket="x"), Seat(row="x", ticket="a")]
    with pytest.raises(BulkError, match="and 4 rows of earlier batches were") as refused:
        api(Seat.bulk_create, rows, batch_size=4)
    assert (refused.value.done, refused.value.stored) == (5, [4])
    with pytest.raises(ModelException, match=r"row 1 is 7, .*nothing of its batch was written, 1 "):
        api(Seat.bulk_create, [Seat(row="y", ticket="y"), 7], batch_size=1)  # type: ignore[list-item]


def test_every_row_of_a_missing_record_is_told(api: Api, redis_client: redis.Redis) -> None:
    first, second = Seat.query.get(row="a"), Seat.query.get(row="a")
    other = Seat.query.get(row="b")
    redis_client.delete("Seat:a")
    with pytest.raises(BulkError) as refused:
        api(Seat.bulk_update, [first, other, second], kind="box")
    assert [row.position for row in refused.value.errors] == [0, 2]
    assert refused.value.stored == []
    told: list[RowError] = []
    assert api(Seat.bulk_update, [first, other, second], on_error=told.append, kind="box") == 1
    assert [row.position for row in told] == [0, 2]
    assert [row.instance for row in told] == [first, second]


# One value that several rows want ---------------------------------------------------------------


@pytest.mark.parametrize("loaded", [True, False])
def test_a_row_keeps_its_own_value_whatever_an_earlier_one_wants(
    api: Api, redis_client: redis.Redis, loaded: bool
) -> None:
    given = [Seat(row="b", ticket="a"), Seat(row="a", ticket="a", kind="box")]
    if loaded:
        given = [Seat.query.get(row="b"), Seat.query.get(row="a")]
        given[0].ticket = "a"
        given[1].kind = "box"
    told: list[RowError] = []
    assert api(Seat.bulk_create, given, on_error=told.append) == given[1:]
    assert [row.position for row in told] == [0]
    assert tickets() == {"a": "a", "b": "b", "c": "c"}
    assert [seat.row for seat in Seat.query.filter(kind="box")] == ["a"]
    assert violations(redis_client, Seat) == []


def test_of_rows_that_want_one_value_the_first_that_can_be_written_has_it(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("Seat:0", "another program's")
    told: list[RowError] = []
    rows = [Seat(row=str(number), ticket="wanted") for number in range(5)]
    assert api(Seat.bulk_create, rows, on_error=told.append) == [rows[1]]
    assert [row.position for row in told] == [0, 2, 3, 4]
    assert "holds a string" in str(told[0].error)
    assert all("row 1 of this batch" in str(row.error) for row in told[1:])
    assert violations(redis_client, Seat) == []


def test_many_rows_that_want_what_a_stored_record_has_are_refused_in_one_round(
    api: Api, redis_client: redis.Redis
) -> None:
    told: list[RowError] = []
    rows = [Seat(row=str(number), ticket="a") for number in range(300)]
    redis_client.config_resetstat()
    assert api(Seat.bulk_create, rows, on_error=told.append) == []
    assert len(told) == 300
    assert all("already exists in 'Seat:a'" in str(row.error) for row in told)
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 2


def test_many_rows_of_which_each_is_refused_for_a_reason_of_its_own(
    api: Api, redis_client: redis.Redis
) -> None:
    """More rounds than there are attempts: each leaves one row fewer."""
    for number in range(100):
        redis_client.set(f"Seat:{number}", "another program's")
    told: list[RowError] = []
    rows = [Seat(row=str(number), ticket="wanted") for number in range(101)]
    assert api(Seat.bulk_create, rows, on_error=told.append) == rows[100:]
    assert len(told) == 100


# The bound --------------------------------------------------------------------------------------

CHANGED_MEANWHILE = [2, [1, b"holds", b"Seat:a", b"row", b"\xa1a"]]


def rounds(plan: Any, reply: Any) -> tuple[int, Any]:
    """How often a plan asks when it is always told the same, and what it ends with."""
    asked = 0
    step = next(plan)
    try:
        while True:
            if isinstance(step, Request):
                asked += 1
                step = plan.send([reply] * len(step.commands))
            else:
                step = plan.send(None)
            assert asked < 1000
    except (ModelException, StopIteration) as error:
        return asked, error


def test_the_loop_ends_whatever_the_server_says() -> None:
    """Here: that a record was changed once more, for ever."""
    first, second = Seat.query.get(row="a"), Seat.query.get(row="b")
    first.ticket, second.ticket = "b", "a"
    plan = bulk.bulk_create(Seat, [first, second], 10, None, None, True)
    asked, error = rounds(plan, CHANGED_MEANWHILE)
    assert asked == carrying.MAX_ATTEMPTS
    assert isinstance(error, BulkError)
    assert all(isinstance(row.error, ConflictError) for row in error.errors)
    assert error.stored == []


def test_it_ends_where_errors_are_collected_too() -> None:
    told: list[RowError] = []
    rows = [Seat.query.get(row="a"), Seat.query.get(row="b")]
    for seat in rows:
        seat.ticket = "wanted"
    plan = bulk.bulk_create(Seat, rows, 10, None, told.append, True)
    asked, _ = rounds(plan, CHANGED_MEANWHILE)
    assert asked <= carrying.MAX_ATTEMPTS + len(rows)
    assert [row.position for row in told] == [0, 1]


def test_a_single_save_ends() -> None:
    seat = Seat.query.get(row="a")
    seat.ticket = "b"
    asked, error = rounds(single.save(seat, SaveRequest()), CHANGED_MEANWHILE)
    assert asked == carrying.MAX_ATTEMPTS
    assert isinstance(error, ConflictError)


# Models that save and delete themselves ---------------------------------------------------------


class Careful(Model):
    name = KeyField()
    kind = IndexedField(default="plain")

    def save(self, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "bad":
            raise ModelException("not this one")
        return super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "kept":
            raise ModelException("not this one")
        return super().delete(*args, **kwargs)


def test_saves_of_their_own_are_told_up_to_the_one_that_is_refused() -> None:
    rows = [Careful(name=name, kind="bad" if name == "c" else "plain") for name in "abcd"]
    with pytest.raises(BulkError, match="row 2: not this one; of its batch 2 rows were") as refused:
        Careful.bulk_create(rows)
    assert (refused.value.done, refused.value.stored) == (2, [0, 1])
    assert sorted(each.name for each in Careful.query.all()) == ["a", "b"]
    told: list[RowError] = []
    assert Careful.bulk_create(rows, on_error=told.append) == [rows[0], rows[1], rows[3]]
    assert [row.position for row in told] == [2]


def test_deletes_of_their_own_are_told_as_well() -> None:
    rows = [Careful(name=name, kind="kept" if name == "c" else "plain") for name in "abcd"]
    Careful.bulk_create(rows)
    with pytest.raises(BulkError, match="row 2: not this one; of its batch 2 rows were") as refused:
        Careful.bulk_delete(rows)
    assert refused.value.stored == [0, 1]
    assert sorted(each.name for each in Careful.query.all()) == ["c", "d"]


def test_the_refusal_is_one_of_uniqueness(api: Api) -> None:
    with pytest.raises(BulkError) as refused:
        api(Seat.bulk_create, [Seat(row="x", ticket="a")])
    assert isinstance(refused.value.errors[0].error, UniquenessError)
