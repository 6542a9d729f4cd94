"""SCAN may report a key twice, while the server makes room: nothing is counted twice."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import redis_db
from tests.driver import Api

from .zoo import Animal, animal


@pytest.fixture
def reported_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key is in the reply of SCAN twice."""
    sync_call, async_call = redis_db.SyncConnection.call, redis_db.AsyncConnection.call

    def doubled(args: Any, reply: Any) -> Any:
        return [reply[0], reply[1] * 2] if args[0] == "SCAN" else reply

    def call(self: Any, args: Any, **options: Any) -> Any:
        return doubled(args, sync_call(self, args, **options))

    async def async_twin(self: Any, args: Any, **options: Any) -> Any:
        return doubled(args, await async_call(self, args, **options))

    monkeypatch.setattr(redis_db.SyncConnection, "call", call)
    monkeypatch.setattr(redis_db.AsyncConnection, "call", async_twin)


@pytest.fixture
def damaged(redis_client: redis.Redis) -> None:
    """An orphan with companions, a wrong value, a missing entry, a record that cannot be read."""
    given = Animal.bulk_create([animal(number) for number in range(12)])
    redis_client.delete(given[0]._redis_key, given[4]._redis_key)
    redis_client.sadd("$IndexF:Animal:mood:wrong", given[1]._redis_key)
    redis_client.zrem("$SortF:Animal:price_usd", given[2]._redis_key)
    redis_client.srem("$Class:Animal", given[2]._redis_key)
    redis_client.hset(given[3]._redis_key, "legs", b"\xc1")


def test_the_counts_of_a_check(api: Api, damaged: None, request: pytest.FixtureRequest) -> None:
    once = api(Animal.check_indexes)
    assert once["capped_lists"] == {"meals": 2}
    assert once["wrong_values"] == {"mood": 1}
    assert once["missing_entries"] == {"class_set": 1, "price_usd": 1}
    assert once["unreadable_records"] == 1
    request.getfixturevalue("reported_twice")
    for batch_size in (1, 7, 1000):
        assert api(Animal.check_indexes, batch_size=batch_size) == once


def test_what_cleaning_and_rebuilding_say_they_did(
    api: Api, damaged: None, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    total = api(Animal.check_indexes)["total"]
    missing = sum(api(Animal.check_indexes)["missing_entries"].values())
    wrong = sum(api(Animal.check_indexes)["wrong_values"].values())
    request.getfixturevalue("reported_twice")
    assert api(Animal.clean_indexes) == total - missing - wrong
    rebuilt = api(Animal.rebuild_indexes)
    assert (rebuilt, rebuilt.problem_count) == (10, 1)
    assert api(Animal.check_indexes)["total"] == 0
