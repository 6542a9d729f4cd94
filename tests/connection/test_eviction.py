"""A server that may evict any key is warned of, once, when popoto connects to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import redis

from popoto import KeyField, Model, redis_db
from tests.driver import Api, count_round_trips


class Ship(Model):
    name = KeyField()


Settings = Callable[..., None]


@pytest.fixture
def configure(redis_client: redis.Redis, server_url: str) -> Iterator[Settings]:
    """Set the server's memory and policy, and connect to it anew."""
    before = redis_client.config_get("maxmemory*")

    def configure(memory: str, policy: str, **connection: str) -> None:
        redis_client.config_set("maxmemory", memory)
        redis_client.config_set("maxmemory-policy", policy)
        redis_db.set_REDIS_DB_settings(unix_socket_path=urlsplit(server_url).path, **connection)

    yield configure
    for name in ("maxmemory", "maxmemory-policy"):
        value = before.get(name.encode(), before.get(name))
        redis_client.config_set(name, value)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "evict" in record.getMessage()]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_it_is_said_once(
    api: Api, configure: Settings, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    configure("500mb", policy)
    api(Ship.create, name="a")
    (warning,) = warnings(caplog)
    assert policy in warning
    assert "noeviction" in warning
    assert "rebuild_indexes()" in warning
    api(Ship.query.count)
    # Another connection, another loop, and the other kind of client.
    Api(is_async=True)(Ship.query.count)
    Api(is_async=True)(Ship.query.count)
    redis_db.get_REDIS_DB().ping()
    assert warnings(caplog) == [warning]


@pytest.mark.parametrize(
    ("memory", "policy"),
    [("0", "allkeys-lru"), ("500mb", "noeviction"), ("500mb", "volatile-lru"), ("0", "noeviction")],
)
def test_nothing_is_said_of_servers_that_keep_indexes(
    api: Api, configure: Settings, caplog: pytest.LogCaptureFixture, memory: str, policy: str
) -> None:
    configure(memory, policy)
    api(Ship.create, name="a")
    assert warnings(caplog) == []


def test_nothing_is_said_to_those_who_may_not_ask(
    api: Api, configure: Settings, caplog: pytest.LogCaptureFixture, redis_client: redis.Redis
) -> None:
    redis_client.execute_command("ACL", "SETUSER", "narrow", "on", ">word", "~*", "+@all", "-info")
    try:
        configure("500mb", "allkeys-lru", username="narrow", password="word")
        api(Ship.create, name="a")
        assert api(Ship.query.count) == 1
        assert warnings(caplog) == []
    finally:
        redis_client.execute_command("ACL", "DELUSER", "narrow")


def test_it_is_asked_once_for_all_connections(
    configure: Settings, redis_client: redis.Redis
) -> None:
    configure("0", "noeviction")
    Ship.query.count()
    before = redis_client.info("commandstats")["cmdstat_info"]["calls"]
    pool = redis_db.get_REDIS_DB().connection_pool
    taken = [pool.get_connection() for _ in range(5)]
    for connection in taken:
        pool.release(connection)
    with count_round_trips(redis_client) as seen:
        Ship.query.count()
    assert seen.sends == 1
    # Those that count_round_trips and this test send themselves.
    after = redis_client.info("commandstats")["cmdstat_info"]["calls"]
    assert after - before == 3
