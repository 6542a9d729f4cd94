"""The fixtures that other tests believe: both ways of calling, and the counters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import redis

from popoto import redis_db
from tests.driver import Api, RoundTrips


class Note:
    """Has a method and its asyncio twin, as everything in popoto does."""

    @staticmethod
    def commands(text: str) -> list[list[str]]:
        return [["SET", "note", text], ["GET", "note"]]

    def keep(self, text: str) -> list[object]:
        return redis_db.connection().call_many(self.commands(text), repeatable=False)

    async def async_keep(self, text: str) -> list[object]:
        connection = await redis_db.async_connection()
        return await connection.call_many(self.commands(text), repeatable=False)

    @classmethod
    def stored(cls) -> object:
        return redis_db.connection().call(["GET", "note"], repeatable=True)

    @classmethod
    async def async_stored(cls) -> object:
        return await (await redis_db.async_connection()).call(["GET", "note"], repeatable=True)


def test_both_ways_reach_the_private_server_and_are_counted(
    api: Api,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
    redis_client: redis.Redis,
) -> None:
    assert redis_client.dbsize() == 0
    with round_trips() as seen:
        assert api(Note().keep, "hello") == [b"OK", b"hello"]
        assert api(Note.stored) == b"hello"
    assert seen.sends == 2
    assert seen.commands == {"set": 1, "get": 2}
    assert redis_client.get("note") == b"hello"
