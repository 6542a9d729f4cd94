"""A record that was deleted meanwhile, of which only fields that it never had are written."""

from __future__ import annotations

import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException
from popoto.exceptions import RecordGoneError
from tests.driver import Api


class Guest(Model):
    name = KeyField()
    table = IndexedField(type=str, null=True)


@pytest.fixture
def gone(redis_client: redis.Redis) -> Guest:
    """Loaded from a hash without `table`, as an older model leaves it, and deleted since."""
    Guest.create(name="a")
    redis_client.hdel("Guest:a", "table")
    loaded = Guest.query.get(name="a")
    assert loaded is not None
    assert Guest(name="a").delete() is True
    return loaded


def test_a_partial_save_does_not_bring_it_back_as_a_fragment(
    api: Api, gone: Guest, redis_client: redis.Redis
) -> None:
    gone.table = "window"
    with pytest.raises(ModelException, match="not stored"):
        api(gone.save, update_fields=["table"])
    assert redis_client.keys("*Guest:*") == []


def test_a_full_save_writes_it_whole_where_that_is_wanted(
    api: Api, gone: Guest, redis_client: redis.Redis
) -> None:
    gone.table = "window"
    with pytest.raises(RecordGoneError, match=r"'Guest:a' is not stored any more.*nothing was"):
        api(gone.save)
    assert redis_client.keys("*Guest*") == []
    api(gone.save, recreate=True)
    assert sorted(redis_client.hkeys("Guest:a")) == [b"name", b"table"]
    assert Guest.query.filter(table="window").count() == Guest.query.count() == 1
