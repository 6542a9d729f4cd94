"""Keys of their own that records have under other names, as mixins may keep them."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import KeyField, Model, SortedField
from popoto.models.upkeep import walk
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


@pytest.fixture(params=[1, 7, 1000])
def batch_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Small batches, with as small pages of keys."""
    size: int = request.param
    monkeypatch.setattr(walk, "SCAN_COUNT", size)
    return size


def left(client: redis.Redis) -> dict[str, Any]:
    return {key: value for key, value in state(client).items() if key.startswith("$Note")}


LIVING = {
    "$Note:Coin:a": b"shiny",
    "$Note:Coin:b": b"shiny",
    "$Note:Coinage:a": b"of another model",
}


def test_they_are_counted(api: Api, redis_client: redis.Redis, notes: int, batch_size: int) -> None:
    before = state(redis_client)
    checked = api(Coin.check_indexes, batch_size=batch_size)
    assert checked["companions"] == {"$Note:*": notes}
    # The one record that was deleted by hand has left its entries as well.
    assert checked["total"] == notes + 3
    assert state(redis_client) == before


def test_they_are_cleaned_away(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.clean_indexes, batch_size=batch_size) == notes + 3
    assert left(redis_client) == LIVING
    assert api(Coin.check_indexes)["total"] == 0


def test_a_rebuild_takes_them_away(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.rebuild_indexes, batch_size=batch_size) == 2
    assert left(redis_client) == LIVING
    assert api(Coin.check_indexes)["total"] == 0


def test_they_go_with_all_records(
    api: Api, redis_client: redis.Redis, notes: int, batch_size: int
) -> None:
    assert api(Coin.delete_all, batch_size=batch_size) == 2
    assert list(state(redis_client)) == ["$Note:Coinage:a"]
