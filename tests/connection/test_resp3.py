"""Who asks for RESP3 gets it from redis-py, also over a Unix socket, with every redis-py."""

from __future__ import annotations

import redis

from popoto import redis_db
from popoto.redis_db import POPOTO_REDIS_DB


async def test_over_a_unix_socket(server_url: str, redis_client: redis.Redis) -> None:
    redis_client.set("a", 1)
    with redis_db.using(f"{server_url}?protocol=3"):
        client = await redis_db.get_async_redis_db()
        connection = await redis_db.async_connection()
        assert POPOTO_REDIS_DB.get("a") == await client.get("a") == b"1"
        assert POPOTO_REDIS_DB.pipeline().get("a").execute() == [b"1"]
        assert POPOTO_REDIS_DB.execute_command("HELLO")[b"proto"] == 3
        assert redis_db.connection().call(("GET", "a"), repeatable=True) == b"1"
        assert await connection.call(("GET", "a"), repeatable=True) == b"1"
        with POPOTO_REDIS_DB.pubsub() as subscriber:
            subscriber.subscribe("news")
            assert subscriber.get_message(timeout=60)["type"] == "subscribe"


def test_nobody_is_told_that_a_unix_socket_moves(server_url: str) -> None:
    """redis-py 7.0 to 7.4 fail when they are to ask for that, which needs a host."""
    with redis_db.using(f"{server_url}?protocol=3"):
        pool = redis_db.get_REDIS_DB().connection_pool
    is_told = getattr(pool, "maint_notifications_enabled", lambda: False)
    assert not is_told()
