"""What is told of the rows of a batch that cannot be written."""

from __future__ import annotations

import pytest
import redis

from popoto import KeyField, Model, UniqueField
from popoto.exceptions import BulkError, RowError
from tests.driver import Api


class Badge(Model):
    name = KeyField()
    number = UniqueField()


@pytest.fixture
def rows(redis_client: redis.Redis) -> list[Badge]:
    """A taken number, and after it a key that another program uses."""
    Badge.create(name="holder", number="1")
    redis_client.set("Badge:b", "foreign")
    return [Badge(name="a", number="1"), Badge(name="b", number="2"), Badge(name="c", number="3")]


def test_refused_rows_are_told_in_order(api: Api, rows: list[Badge]) -> None:
    with pytest.raises(BulkError, match=r"row 0: Badge\.number must be unique") as refused:
        api(Badge.bulk_create, rows)
    assert [error.position for error in refused.value.errors] == [0, 1]


def test_on_error_is_called_in_order(api: Api, rows: list[Badge]) -> None:
    told: list[RowError] = []
    api(Badge.bulk_create, rows, on_error=told.append)
    assert [error.position for error in told] == [0, 1]
    assert {each.name for each in Badge.query.all()} == {"holder", "c"}
