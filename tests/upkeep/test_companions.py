"""Keys of their own that records have under other names, as mixins may keep them."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import KeyField, Model, SortedField, redis_db
from tests.driver import Api

from .zoo import state


class Noted:
    """Keeps a note beside each record."""

    @classmethod
    def _companion_keys(cls, key: str) -> list[str]:
        return [f"$Note:{key}"]


class Coin(Noted, Model):
    name = KeyField()
    worth = SortedField(type=int, default=0)


@pytest.fixture
def notes(redis_client: redis.Redis) -> int:
    """Notes of two living records and of many that are gone; returns how many these are."""
    for name in ("a", "b", "gone0"):
        Coin.create(name=name)
        redis_client.set(f"$Note:Coin:{name}", "shiny")
    redis_client.delete("Coin:gone0")
    for number in range(1, 300):
        redis_client.set(f"$Note:Coin:gone{number}", "lost")
    redis_client.set("$Note:Coinage:a", "of another model")
    return 300


@pytest.fixture(params=["first", "last"])
def met(
    request: pytest.FixtureRequest, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a walk over all keys meets the notes: on a first page of its own, or on a last one."""
    sync_call, async_call = redis_db.SyncConnection.call, redis_db.AsyncConnection.call

    def page(args: Any) -> list[Any]:
        _, cursor, _, pattern, *_ = args
        found = list(redis_client.scan_iter(pattern, count=10_000))
        wants_notes = (cursor == b"0") == (request.param == "first")
        keys = [key for key in found if key.startswith(b"$Note") == wants_notes]
        return [b"1" if cursor == b"0" else b"0", keys]

    def call(self: Any, args: Any, **options: Any) -> Any:
        return page(args) if args[0] == "SCAN" else sync_call(self, args, **options)

    async def async_twin(self: Any, args: Any, **options: Any) -> Any:
        return page(args) if args[0] == "SCAN" else await async_call(self, args, **options)

    monkeypatch.setattr(redis_db.SyncConnection, "call", call)
    monkeypatch.setattr(redis_db.AsyncConnection, "call", async_twin)


BATCHES = pytest.mark.parametrize("batch_size", [7, 1000])


def left(client: redis.Redis) -> dict[str, Any]:
    return {key: value for key, value in state(client).items() if key.startswith("$Note")}


LIVING = {
    "$Note:Coin:a": b"shiny",
    "$Note:Coin:b": b"shiny",
    "$Note:Coinage:a": b"of another model",
}


@pytest.mark.single_server("stages how one server's walk over its keys goes")
@pytest.mark.usefixtures("met")
@BATCHES
def test_they_are_counted(api: Api, redis_client: redis.Redis, notes: int, batch_size: int) -> None:
    before = state(redis_client)
    checked = api(Coin.check_indexes, batch_size=batch_size)
    assert checked["companions"] == {"$Note:*": notes}
    # The one record that was deleted by hand has left its entries as well.
    assert checked["total"] == notes + 3
    assert state(redis_client) == before


@pytest.mark.single_server("stages how one server's walk over its keys goes")
@pytest.mark.usefixtures("met")
@BATCHES
def test_they_are_cleaned_away(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.clean_indexes, batch_size=batch_size) == notes + 3
    assert left(redis_client) == LIVING
    assert api(Coin.check_indexes)["total"] == 0


@pytest.mark.single_server("stages how one server's walk over its keys goes")
@pytest.mark.usefixtures("met")
@BATCHES
def test_a_rebuild_takes_them_away(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.rebuild_indexes, batch_size=batch_size) == 2
    assert left(redis_client) == LIVING
    assert api(Coin.check_indexes)["total"] == 0


@pytest.mark.single_server("stages how one server's walk over its keys goes")
@pytest.mark.usefixtures("met")
@BATCHES
def test_they_go_with_all_records(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.delete_all, batch_size=batch_size) == 2
    assert list(state(redis_client)) == ["$Note:Coinage:a"]
