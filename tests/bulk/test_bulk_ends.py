"""What bulk operations are given and do at their ends: queries, own methods, texts of refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, ListField, Model, UniqueField
from popoto.exceptions import (
    BulkError,
    KeyMutationError,
    ModelException,
    QueryException,
    RowError,
    ValidationError,
)
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Sheet(Model):
    number = KeyField(type=int)
    kind = IndexedField(default="a")
    rank = IntField(default=0)
    code = UniqueField()
    notes = ListField(max_length=3)


class Other(Model):
    name = KeyField()


def fill(count: int) -> list[Sheet]:
    return Sheet.bulk_create(
        [Sheet(number=number, rank=number, code=f"c{number}") for number in range(count)]
    )


def kinds() -> dict[int, str]:
    return {sheet.number: sheet.kind for sheet in Sheet.query.all()}


# What a query gives ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Sheet.query.filter, [0, 1, 2, 3, 4]),
        (lambda: Sheet.query.filter().limit(0), []),
        (lambda: Sheet.query.filter().offset(2), [2, 3, 4]),
        (lambda: Sheet.query.filter(kind="a").offset(1).limit(3), [1, 2, 3]),
        (lambda: Sheet.query.filter(kind__ne="z").order_by("-rank").limit(2), [3, 4]),
        (lambda: Sheet.query.filter().order_by("-rank").offset(3), [0, 1]),
        (lambda: Sheet.query.filter().computed_sort(lambda it: -it.rank).limit(1), [4]),
        (lambda: Sheet.query.filter(kind="z"), []),
    ],
    ids=[*"01234567"],
)
@pytest.mark.parametrize("batch_size", [1, 2, 5, 1000])
def test_the_results_of_a_query_are_changed_and_no_others(
    api: Api, make: Callable[[], Any], expected: list[int], batch_size: int
) -> None:
    fill(5)
    told: list[int] = []
    changed = api(
        Sheet.bulk_update, make(), batch_size=batch_size, progress=told.append, kind="changed"
    )
    assert changed == len(expected)
    assert [number for number, kind in kinds().items() if kind == "changed"] == expected
    ends = [*range(batch_size, len(expected), batch_size), len(expected)] if expected else []
    assert told == ends
    told.clear()
    changed_ones = Sheet.query.filter(kind="changed")
    assert api(Sheet.bulk_delete, changed_ones, batch_size=batch_size, progress=told.append) == len(
        expected
    )
    assert told == ends
    assert Sheet.query.count() == 5 - len(expected)


@pytest.mark.slow
def test_a_query_is_read_page_by_page(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    rows = [Sheet(number=number, code=str(number)) for number in range(4001)]
    Sheet.bulk_create(rows, batch_size=5000)
    with round_trips() as seen:
        assert api(Sheet.bulk_delete, Sheet.query.filter(kind="a"), batch_size=3000) == 4001
    assert seen.sends == 3 + 2
    assert redis_client.keys("*Sheet*") == []


@pytest.mark.parametrize(
    ("query", "error", "text"),
    [
        (
            Other.query.filter,
            ModelException,
            "Sheet: the query is one for Other",
        ),
        (
            lambda: Sheet.query.values("number"),
            QueryException,
            "Sheet: a query for values() gives no records to change",
        ),
    ],
)
def test_queries_that_do_not_fit(
    api: Api, round_trips: Counter, query: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with round_trips() as seen:
        for refused in (
            lambda: api(Sheet.bulk_update, query(), kind="b"),
            lambda: api(Sheet.bulk_delete, query()),
        ):
            with pytest.raises(error, match=f"^{re.escape(text)}$"):
                refused()
    assert seen.sends == 0


def test_records_of_a_query_that_go_meanwhile_are_left_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(4)
    calls = iter([lambda: None, Sheet(number=2).delete])

    def other_writer() -> None:
        for work in calls:
            work()
            return

    Sheet.query.count(kind="a")
    with monkeypatch.context() as patch:
        before_each_commit(patch, other_writer)
        assert api(Sheet.bulk_update, Sheet.query.filter(kind="a"), kind="b") == 3
    assert kinds() == {0: "b", 1: "b", 3: "b"}


# What is refused -------------------------------------------------------------------------------


def test_a_stranger_is_told_by_its_place_in_all_batches(api: Api) -> None:
    rows = [*(Sheet(number=number, code=str(number)) for number in range(3)), Other(name="x")]
    with pytest.raises(ModelException) as caught:
        api(Sheet.bulk_create, rows, batch_size=2)
    assert str(caught.value) == (
        f"Sheet.bulk_create: row 3 is {rows[3]!r}, no instance of Sheet; nothing of its batch was "
        "written, 2 rows of earlier batches were"
    )
    assert sorted(kinds()) == [0, 1]


def test_a_refused_row_is_told_by_its_place_in_all_batches(api: Api) -> None:
    fill(1)
    rows = [Sheet(number=number, code=f"c{number % 4}") for number in range(1, 7)]
    told: list[RowError] = []
    assert api(Sheet.bulk_create, rows, batch_size=2, on_error=told.append) == rows[:3]
    assert [(error.position, error.instance) for error in told] == [
        *((3, rows[3]), (4, rows[4]), (5, rows[5]))
    ]
    with pytest.raises(BulkError) as caught:
        api(Sheet.bulk_create, [Sheet(number=9, code="c9"), *rows[4:]], batch_size=1)
    assert caught.value.done == 1
    assert str(caught.value).startswith("Sheet.bulk_create: row 1: Sheet.code must be unique: ")
    assert str(caught.value).endswith(
        "; nothing of its batch was written, 1 rows of earlier batches were"
    )
    assert caught.value.__cause__ is caught.value.errors[0].error


def test_two_rows_that_claim_one_value_name_each_other(api: Api) -> None:
    rows = [Sheet(number=number, code=code) for number, code in enumerate("xyx")]
    rows += [Sheet(number=3, code="x")]
    with pytest.raises(BulkError) as caught:
        api(Sheet.bulk_create, rows)
    assert [str(each.error) for each in caught.value.errors] == [
        f"Sheet.code must be unique: the value of row {place} of this batch already exists in "
        "row 0 of this batch; nothing was written"
        for place in (2, 3)
    ]
    assert "(and 1 more rows)" in str(caught.value)
    with pytest.raises(BulkError) as caught:
        api(Sheet.bulk_create, rows[:3])
    assert "more rows" not in str(caught.value)


@pytest.mark.parametrize("size", [True, 0, -1, 1.0, "2", None])
def test_a_batch_size_is_a_number_of_rows(api: Api, size: Any) -> None:
    text = f"^batch_size must be an int of 1 or more, got {re.escape(repr(size))}$"
    for call in (
        lambda: api(Sheet.bulk_create, [], size),
        lambda: api(Sheet.bulk_delete, [], size),
        lambda: api(Sheet.bulk_update, [], size, kind="b"),
        lambda: api(Sheet.raw_update, [], size, kind="b"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_new_values_are_checked_once_for_all(api: Api) -> None:
    given = fill(2)
    with pytest.raises(ValidationError) as caught:
        api(Sheet.bulk_update, given, rank="many")
    assert str(caught.value).startswith("Sheet.rank: invalid value 'many': ")
    assert str(caught.value).endswith("; nothing was written")
    error = caught.value
    assert (error.model_name, error.field_name, error.value) == ("Sheet", "rank", "many")
    assert [sheet.rank for sheet in given] == [0, 1]
    with pytest.raises(KeyMutationError, match=r"^Sheet\.number is part of the record key: bulk_"):
        api(Sheet.bulk_update, given, number=3)
    assert api(Sheet.bulk_update, given, rank="7") == 2
    assert [sheet.rank for sheet in given] == [7, 7]


# Raw updates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "values", "error", "text"),
    [
        (
            ["Sheet:0"],
            {"number": 1},
            KeyMutationError,
            (
                "Sheet.number is part of the record key and cannot be changed by raw_update; "
                "save(migrate_key=True) moves a record to a new key"
            ),
        ),
        (
            ["Sheet:0"],
            {"notes": ["x"]},
            ModelException,
            "Sheet.notes is kept in a list of its own: raw_update cannot set it",
        ),
        (
            ["Sheet:0"],
            {"color": 1},
            ModelException,
            "Sheet.raw_update: Unknown field 'color'; fields are number, kind, rank, code, notes",
        ),
        (
            ["Sheet:0", "0"],
            {"rank": 1},
            ModelException,
            "Sheet.raw_update: '0' is no record key; keys of Sheet start with 'Sheet:'",
        ),
    ],
    ids=["key", "list", "unknown", "no key"],
)
def test_what_raw_update_refuses_is_told_and_nothing_is_written(
    api: Api,
    redis_client: redis.Redis,
    keys: list[str],
    values: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    fill(1)
    before = redis_client.hgetall("Sheet:0")
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        api(Sheet.raw_update, keys, **values)
    assert redis_client.hgetall("Sheet:0") == before


def test_raw_update_says_what_does_not_fit(api: Api) -> None:
    with pytest.raises(ValidationError) as caught:
        api(Sheet.raw_update, ["Sheet:0"], rank="many")
    assert str(caught.value).startswith("Sheet.rank: invalid value 'many': ")
    error = caught.value
    assert (error.model_name, error.field_name, error.value) == ("Sheet", "rank", "many")


# Methods of the model's own ----------------------------------------------------------------------

CALLS: list[tuple[int, dict[str, Any]]] = []


class Own(Model):
    number = KeyField(type=int)
    kind = IndexedField(default="a")
    rank = IntField(default=0)

    def save(self, *args: Any, **kwargs: Any) -> Any:
        CALLS.append((self.number, kwargs))
        if self.number == 1 and self.kind == "refused":
            raise ModelException("not this one")
        return super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        CALLS.append((self.number, kwargs))
        return super().delete(*args, **kwargs)


@pytest.fixture
def own() -> list[Own]:
    found = Own.bulk_create([Own(number=number) for number in range(3)])
    CALLS.clear()
    return found


def test_a_save_of_ones_own_is_told_which_fields(api: Api, own: list[Own]) -> None:
    assert api(Own.bulk_update, own, kind="b") == 3
    assert [(number, {"update_fields": ["kind"]}) for number in range(3)] == CALLS
    assert {each.kind for each in Own.query.all()} == {"b"}
    CALLS.clear()
    assert api(Own.bulk_create, own) == own
    assert [(number, {}) for number in range(3)] == CALLS


def test_what_a_save_of_ones_own_refuses_is_a_refused_row(api: Api, own: list[Own]) -> None:
    told: list[RowError] = []
    assert api(Own.bulk_create, [Own(number=1, kind="refused"), own[2]], on_error=told.append) == [
        own[2]
    ]
    assert [(each.position, str(each.error)) for each in told] == [(0, "not this one")]


def test_a_delete_of_ones_own_is_called_for_each(api: Api, own: list[Own]) -> None:
    assert api(Own.bulk_delete, [*own, own[0]]) == 4
    assert [number for number, _ in CALLS] == [0, 1, 2, 0]
    assert Own.query.count() == 0


# The same record twice ---------------------------------------------------------------------------


def test_two_copies_of_one_record_are_both_unsaved_afterwards(api: Api) -> None:
    first = Sheet.create(number=1, code="c")
    second = Sheet.query.get(number=1)
    assert api(Sheet.bulk_delete, [first, second, Sheet(number=2)]) == 3
    for copy in (first, second):
        assert (copy._is_persisted, copy.code) == (False, "c")
        copy.number = 7
        assert api(copy.save)
        assert api(copy.delete) is True


def test_a_record_that_is_written_twice_has_the_later_values(api: Api) -> None:
    Sheet.create(number=1, code="c")
    first, second = Sheet.query.get(number=1), Sheet.query.get(number=1)
    first.kind, second.kind, second.rank = "b", "d", 4
    other = Sheet(number=2, code="d")
    assert api(Sheet.bulk_create, [first, other, second]) == [first, other, second]
    found = Sheet.query.get(number=1)
    assert (found.kind, found.rank) == ("d", 4)
    assert Sheet.query.filter(kind="b").count() == 0
