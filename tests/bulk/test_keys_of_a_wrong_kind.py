"""Rows that meet a key which another program uses: those rows are told, and no others."""

from __future__ import annotations

import pytest
import redis

from popoto import IndexedField, KeyField, Model, Relationship
from popoto.exceptions import BulkError, RowError
from tests.driver import Api


class Post(Model):
    name = KeyField()
    kind = IndexedField()


class Folder(Model):
    name = KeyField()


Folder._meta.add_field("parent", Relationship(Folder))


def test_all_rows_that_need_the_key_are_told(api: Api, redis_client: redis.Redis) -> None:
    redis_client.set("$IndexF:Post:kind:k", "foreign")
    told: list[RowError] = []
    rows = [Post(name=str(number), kind="k" if number % 2 else "free") for number in range(200)]
    stored = api(Post.bulk_create, rows, on_error=told.append)
    assert [error.position for error in told] == list(range(1, 200, 2))
    assert stored == rows[::2]
    assert Post.query.count() == 100


def test_a_row_whose_key_only_ends_alike_is_not_told(api: Api, redis_client: redis.Redis) -> None:
    """The key of an index on a reference ends in the key of the record that it refers to."""
    redis_client.set("$RelationshipF:Folder:parent:Folder:top", "foreign")
    rows = [Folder(name="top"), Folder(name="below", parent="Folder:top")]
    with pytest.raises(BulkError, match=r"row 1: the key .*:Folder:top") as refused:
        api(Folder.bulk_create, rows)
    assert [error.position for error in refused.value.errors] == [1]
    told: list[RowError] = []
    assert api(Folder.bulk_create, rows, on_error=told.append) == rows[:1]
    assert [error.position for error in told] == [1]
