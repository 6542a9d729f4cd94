"""`popoto.testing`: moving to a test database by hand."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import redis

from popoto import KeyField, Model, redis_db
from popoto.testing import flush_test_db, use_test_db


class Thing(Model):
    name = KeyField()


def test_the_current_server_is_kept_and_its_database_changed(
    redis_client: redis.Redis, server_url: str
) -> None:
    Thing.create(name="production")
    before = sorted(redis_client.keys())
    use_test_db()
    options = redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs
    assert options["path"] == urlsplit(server_url).path
    assert options["db"] == 15
    Thing.create(name="test")
    assert Thing.query.count() == 1
    flush_test_db()
    assert redis_db.POPOTO_REDIS_DB.keys() == []
    assert sorted(redis_client.keys()) == before


def test_the_database_in_use_now_is_flushed(server_url: str) -> None:
    use_test_db(3)
    redis_db.POPOTO_REDIS_DB.set("a", 1)
    use_test_db(4)
    redis_db.POPOTO_REDIS_DB.set("b", 1)
    flush_test_db()
    assert redis_db.POPOTO_REDIS_DB.keys() == []
    use_test_db(3)
    assert redis_db.POPOTO_REDIS_DB.keys() == [b"a"]


@pytest.mark.single_server("a cluster has one database")
def test_database_0_is_never_flushed(redis_client: redis.Redis) -> None:
    redis_client.set("precious", 1)
    with pytest.raises(ValueError, match="Database 0"):
        flush_test_db()
    use_test_db(2)
    use_test_db(0)
    with pytest.raises(ValueError, match="Database 0"):
        flush_test_db()
    assert redis_client.get("precious") == b"1"


def test_the_database_of_the_url_is_never_flushed(
    monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    monkeypatch.setattr(redis_db, "REDIS_URL", f"{server_url}?db=5")
    use_test_db(5)
    redis_db.POPOTO_REDIS_DB.set("precious", 1)
    with pytest.raises(ValueError, match="REDIS_URL"):
        flush_test_db()
    assert redis_db.POPOTO_REDIS_DB.get("precious") == b"1"
    use_test_db(6)
    flush_test_db()


@pytest.mark.single_server("a cluster has one database")
def test_a_number_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        use_test_db(-1)
