"""A batch that is too large for one call: what its later calls meet is told as well."""

from __future__ import annotations

import pytest
import redis

from popoto import KeyField, ListField, Model, UniqueField
from popoto.exceptions import BulkError, RowError, UniquenessError
from popoto.models.writing import joining
from tests.driver import Api

pytestmark = pytest.mark.slow(0.5)


class Roll(Model):
    name = KeyField()
    number = UniqueField()
    entries = ListField(max_length=5000)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Roll]:
    """Forty that fill a call, and one that meets a stored record first, then a taken number."""
    monkeypatch.setattr(joining, "MOST_ARGUMENTS", 200_000)
    Roll.create(name="holder", number="taken")
    Roll.create(name="last", number="own")
    full = [Roll(name=str(each), number=str(each), entries=[1] * 5000) for each in range(40)]
    return [*full, Roll(name="last", number="taken")]


def test_a_row_of_a_later_call_is_refused(api: Api, rows: list[Roll]) -> None:
    with pytest.raises(BulkError, match="row 40") as refused:
        api(Roll.bulk_create, rows)
    assert isinstance(refused.value.errors[0].error, UniquenessError)


def test_on_error_is_told_of_it(api: Api, rows: list[Roll]) -> None:
    told: list[RowError] = []
    assert api(Roll.bulk_create, rows, on_error=told.append) == rows[:-1]
    assert [error.position for error in told] == [40]


@pytest.mark.parametrize(("count", "calls"), [(38, 1), (41, 4)])
def test_so_many_arguments_are_one_call_and_more_are_several(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, count: int, calls: int
) -> None:
    """Of several, each is checked before any of them is written."""
    monkeypatch.setattr(joining, "MOST_ARGUMENTS", 200_000)
    rows = [Roll(name=str(each), number=str(each), entries=[1] * 5000) for each in range(count)]
    Roll.create(name="known script", number="first")
    before = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    api(Roll.bulk_create, rows)
    after = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == calls
    assert Roll.query.count() == count + 1
