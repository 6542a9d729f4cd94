"""Upkeep goes on where replies are lost: whatever it sends may be sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import KeyField, Model, StringField, redis_db
from popoto.exceptions import OutcomeUnknownError
from popoto.testing.faults import FaultProxy
from tests.driver import Api, expires_fields

from .zoo import Animal, animal, state

pytestmark = pytest.mark.single_server("a proxy stands before one server")


@pytest.fixture
def lossy(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """A connection on which the first reply to every request is lost."""

    def losing(send: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            proxy.lose_reply(b"*")
            return send(*arguments, **options)

        return watched

    redis_db.connection().call(("GET", "nothing"), repeatable=True)
    for kind in (redis_db.SyncConnection, redis_db.AsyncConnection):
        for name in ("call", "call_many"):
            monkeypatch.setattr(kind, name, losing(getattr(kind, name)))
    return proxy


@pytest.fixture
def damaged(redis_client: redis.Redis) -> dict[str, Any]:
    """A model with all kinds of damage; what the server holds when it is mended."""
    given = Animal.bulk_create([animal(number) for number in range(12)])
    Animal.bulk_delete(given[:3])
    mended = state(redis_client)
    given = Animal.bulk_create([animal(number) for number in range(3)]) + given[3:]
    redis_client.delete(*(each._redis_key for each in given[:3]))
    redis_client.sadd("$IndexF:Animal:mood:wrong", given[5]._redis_key)
    redis_client.zrem("$SortF:Animal:price_usd", given[6]._redis_key)
    redis_client.sadd("$IndexF:Animal:dropped:x", given[7]._redis_key)
    redis_client.zadd("$Values:Animal:mood", {"stale": 0})
    redis_client.rpush("Animal:gone:t:1::meals", "x")
    return mended


def test_checking(api: Api, damaged: dict[str, Any], request: pytest.FixtureRequest) -> None:
    expected = Animal.check_indexes()
    request.getfixturevalue("lossy")
    assert api(Animal.check_indexes) == expected


def test_cleaning(api: Api, damaged: dict[str, Any], request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("lossy")
    api(Animal.clean_indexes)
    assert api(Animal.check_indexes)["class_set"] == 0


def test_rebuilding(
    api: Api,
    redis_client: redis.Redis,
    damaged: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("lossy")
    redis_client.hset("Animal:x:y:1", "kind", "no identity")
    redis_client.sadd("$Class:Animal", "Animal:x:y:1")
    assert api(Animal.rebuild_indexes) == 9
    redis_client.delete("Animal:x:y:1")
    redis_client.srem("$Class:Animal", "Animal:x:y:1")
    assert state(redis_client) == damaged


class Shouted(StringField):
    """Keeps a set of what was said, in capitals."""

    @classmethod
    def on_save(cls, *args: Any, pipeline: Any, field_value: Any, **kwargs: Any) -> Any:
        return pipeline.sadd("shouted", field_value.upper())


class Saying(Model):
    name = KeyField()
    text = Shouted(default="")


def test_reading_records_for_hooks(
    api: Api, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    Saying.create(name="a", text="hey")
    redis_client.delete("shouted")
    # The hooks' own commands are sent once: nobody knows whether they may be repeated.
    proxy: FaultProxy = request.getfixturevalue("lossy")
    with pytest.raises(OutcomeUnknownError):
        api(Saying.rebuild_indexes)
    assert redis_client.smembers("shouted") == {b"HEY"}
    assert proxy.accepted > 2


def test_deleting_what_is_left(
    api: Api,
    redis_client: redis.Redis,
    damaged: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    redis_client.delete("$Class:Animal")
    request.getfixturevalue("lossy")
    assert api(Animal.delete_all) == 9
    assert redis_client.keys("*Animal*") == []


def expired(redis_client: redis.Redis, number: int) -> Animal:
    """A record that has just expired."""
    record = animal(number, _ttl=100)
    record.save()
    redis_client.zadd("$Expiry:Animal", {record.pk: 1})
    redis_client.delete(record.pk)
    return record


def test_sweeping_what_expired(
    api: Api, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    gone = expired(redis_client, 0)
    other = animal(1, _ttl=100)
    other.save()
    redis_client.zadd("$Expiry:Animal", {other.pk: 1})
    request.getfixturevalue("lossy")
    assert api(Animal.query.count) == 1
    assert not redis_client.sismember("$Class:Animal", gone.pk)
    # The one that lives is due at its own time again.
    assert redis_client.zscore("$Expiry:Animal", other.pk) > 1


def test_taking_missing_records_out(
    api: Api, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    class Kept(Model):
        name = KeyField()

        class Meta:
            self_repair = False

    Kept.create(name="a")
    redis_client.delete("Kept:a")
    request.getfixturevalue("lossy")
    assert api(Kept.query.keys, clean=True) == []
    assert redis_client.keys("*Kept*") == []


def test_finding_what_a_record_without_note_left(
    api: Api, redis_client: redis.Redis, proxy: FaultProxy
) -> None:
    first = animal(0)
    first.save()
    redis_client.delete(first.pk)
    again = animal(0, mood="sad", chip="other", legs=4, home=None, keeper=None)
    for look in (b"ZSCORE", b"HSCAN", b"\r\nSCAN", b"SISMEMBER"):
        proxy.lose_reply(look)
    before = proxy.accepted
    api(again.save)
    assert proxy.accepted >= before + 4
    assert api(Animal.check_indexes)["total"] == 0


def test_the_expiry_of_a_field(
    api: Api, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    if not expires_fields(redis_client):
        pytest.skip("the server has no expiry of single fields")
    saying = Saying.create(name="a", text="hey")
    request.getfixturevalue("lossy")
    api(saying.field_ttl, "text")
    with pytest.raises(OutcomeUnknownError):
        api(saying.expire_field, "text", 100)
    assert 98 < (api(saying.field_ttl, "text") or 0) <= 100
    with pytest.raises(OutcomeUnknownError):
        api(saying.expire_field, "text", None)
    assert api(saying.field_ttl, "text") is None
