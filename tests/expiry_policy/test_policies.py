"""What a later save does to a running time to live, and what single fields do by themselves."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto import redis_db
from popoto.exceptions import ModelException, NotStoredError, UnsavedError, ValidationError
from tests.driver import Api


class Session(popoto.Model):
    name = popoto.KeyField()
    user = popoto.IndexedField()
    hits = popoto.IntField(default=0)
    token = popoto.StringField()
    trail = popoto.ListField(max_length=3)


class Reset(Session):
    class Meta:
        ttl = 1000


class Sliding(Session):
    class Meta:
        ttl = 1000
        ttl_policy = "sliding"


class Fixed(Session):
    class Meta:
        ttl = 1000
        ttl_policy = "fixed"


class FixedOnRequest(Session):
    class Meta:
        ttl_policy = "fixed"


class SlidingOnRequest(Session):
    class Meta:
        ttl_policy = "sliding"


def age(redis_client: redis.Redis, model: type[Session], seconds: int = 50) -> Session:
    """A stored record whose time is nearly up, as another process loads it."""
    key = f"{model.__name__}:s"
    redis_client.expire(key, seconds)
    redis_client.expire(f"{key}::trail", seconds)
    found = model.query.get(name="s")
    assert found is not None
    return found


def left(redis_client: redis.Redis, model: type[Session]) -> tuple[int, int]:
    """Seconds that the record and its list have left; -1 for ever, -2 not stored."""
    key = f"{model.__name__}:s"
    return int(redis_client.ttl(key)), int(redis_client.ttl(f"{key}::trail"))


PARTIAL: dict[str, Any] = {"update_fields": ["hits"]}


@pytest.mark.parametrize("model", [Reset, Sliding, Fixed])
@pytest.mark.parametrize("arguments", [{}, PARTIAL], ids=["full", "partial"])
def test_a_later_save(
    api: Api, redis_client: redis.Redis, model: type[Session], arguments: dict[str, Any]
) -> None:
    created = model.create(name="s", trail=["a"])
    assert left(redis_client, model) == (1000, 1000)
    for record in (created, None):
        loaded = age(redis_client, model)
        record = record or loaded  # noqa: PLW2901 - the one that created it, then one that loaded it
        record.hits += 1
        api(record.save, **arguments)
        expected = 50 if model is Fixed else 1000
        assert left(redis_client, model) == (expected, expected)


@pytest.mark.parametrize("model", [Session, FixedOnRequest, SlidingOnRequest])
@pytest.mark.parametrize("arguments", [{}, PARTIAL], ids=["full", "partial"])
def test_a_later_save_of_a_record_with_an_expiry_of_its_own(
    api: Api, redis_client: redis.Redis, model: type[Session], arguments: dict[str, Any]
) -> None:
    created = model.create(name="s", trail=["a"], _ttl=1000)
    loaded = age(redis_client, model)
    loaded.hits = 1
    api(loaded.save, **arguments)
    # The loaded instance asks for no expiry: "reset" takes that at its word.
    assert left(redis_client, model)[0] == (-1 if model is Session else 50)
    created.hits = 2
    api(created.save, **arguments)
    assert left(redis_client, model)[0] == (50 if model is FixedOnRequest else 1000)


@pytest.mark.parametrize("model", [Reset, Sliding, Fixed])
def test_an_expiry_that_is_set_on_the_instance_holds(
    api: Api, redis_client: redis.Redis, model: type[Session]
) -> None:
    model.create(name="s", trail=["a"])
    record = age(redis_client, model)
    record._ttl = 300
    api(record.save)
    assert left(redis_client, model) == (300, 300)
    record._ttl = datetime.timedelta(minutes=10)
    api(record.save)
    assert left(redis_client, model) == (600, 600)
    record._ttl = None
    record._expire_at = datetime.datetime.now() + datetime.timedelta(seconds=200)
    api(record.save)
    assert 198 <= left(redis_client, model)[0] <= 200
    record._expire_at = None
    api(record.save)
    assert left(redis_client, model) == (-1, -1)


@pytest.mark.parametrize("model", [Sliding, Fixed])
def test_a_new_record_in_the_place_of_another_has_its_own_expiry(
    api: Api, redis_client: redis.Redis, model: type[Session]
) -> None:
    model.create(name="s", trail=["a"])
    age(redis_client, model)
    api(model(name="s", trail=["b"]).save)
    assert left(redis_client, model) == (1000, 1000)


@pytest.mark.parametrize("model", [Sliding, Fixed])
def test_a_record_that_is_gone_is_written_with_its_expiry(
    api: Api, redis_client: redis.Redis, model: type[Session]
) -> None:
    record = model.create(name="s", user="u")
    redis_client.delete(f"{model.__name__}:s")
    record.hits = 1
    api(record.save, recreate=True)
    assert left(redis_client, model)[0] == 1000
    assert record.delete()
    api(record.save)
    assert left(redis_client, model)[0] == 1000


def test_a_fixed_expiry_survives_a_new_key(api: Api, redis_client: redis.Redis) -> None:
    Fixed.create(name="s", trail=["a"])
    record = age(redis_client, Fixed)
    record.name = "t"
    api(record.save, migrate_key=True)
    assert redis_client.ttl("Fixed:t") == 50
    assert redis_client.ttl("Fixed:t::trail") == 50


def test_a_list_that_a_save_begins_ends_with_its_record(
    api: Api, redis_client: redis.Redis
) -> None:
    Fixed.create(name="s")
    record = age(redis_client, Fixed)
    record.trail = ["a"]
    api(record.save)
    assert left(redis_client, Fixed) == (50, 50)


def test_entries_written_under_a_fixed_expiry_are_swept(
    api: Api, redis_client: redis.Redis
) -> None:
    record = Fixed.create(name="s", user="old")
    record.user = "new"
    api(record.save)
    redis_client.pexpire("Fixed:s", 1)
    redis_client.zadd("$Expiry:Fixed", {"Fixed:s": 1})
    while redis_client.exists("Fixed:s"):
        pass
    assert Fixed.query.filter(user="new").count() == 0
    assert not [key for key in redis_db.scan_keys("*") if b"IndexF:Fixed" in key]


@pytest.mark.parametrize("policy", ["never", None, 5])
def test_policies_are_checked(policy: Any) -> None:
    meta = type("Meta", (), {"ttl_policy": policy})
    with pytest.raises(ModelException, match="ttl_policy must be one of reset, sliding, fixed"):
        popoto.ModelBase("Wrong", (popoto.Model,), {"name": popoto.KeyField(), "Meta": meta})


# Single fields -----------------------------------------------------------------------------


@pytest.fixture
def has_field_expiry(redis_client: redis.Redis) -> None:
    try:
        redis_client.execute_command("HPTTL", "nothing", "FIELDS", 1, "nothing")
    except redis.ResponseError as error:
        pytest.skip(f"this server has no expiry of single fields: {error}")


@pytest.mark.usefixtures("has_field_expiry")
def test_one_field_expires_alone(api: Api, redis_client: redis.Redis) -> None:
    record = Session.create(name="s", token="secret", hits=3)
    assert api(record.field_ttl, "token") is None
    api(record.expire_field, "token", 100)
    (most,) = redis_client.hpttl("Session:s", "token")
    remaining = api(record.field_ttl, "token")
    (least,) = redis_client.hpttl("Session:s", "token")
    assert remaining is not None
    assert least / 1000 <= remaining <= most / 1000 <= 100
    assert redis_client.httl("Session:s", "token") == [100]
    api(record.expire_field, "token", None)
    assert api(record.field_ttl, "token") is None
    api(record.expire_field, "token", datetime.timedelta(milliseconds=1))
    while redis_client.hexists("Session:s", "token"):
        pass
    found = Session.query.get(name="s")
    assert (found.token, found.hits) == (None, 3)
    record.hits = 4
    api(record.save)
    assert not redis_client.hexists("Session:s", "token")
    with pytest.raises(NotStoredError, match="token"):
        api(record.expire_field, "token", 5)


@pytest.mark.usefixtures("has_field_expiry")
def test_a_save_that_changes_the_field_makes_it_stay(api: Api) -> None:
    record = Session.create(name="s", token="secret")
    api(record.expire_field, "token", 100)
    record.hits = 1
    api(record.save)
    assert api(record.field_ttl, "token") is not None
    record.token = "other"
    api(record.save)
    assert api(record.field_ttl, "token") is None


def test_what_cannot_expire_alone(api: Api) -> None:
    with pytest.raises(UnsavedError):
        api(Session(name="s").expire_field, "token", 5)
    record = Session.create(name="s", token="secret")
    with pytest.raises(AttributeError, match="has no field"):
        api(record.expire_field, "nothing", 5)
    for name, reason in (
        ("name", "part of the key or of an index"),
        ("user", "part of the key or of an index"),
        ("trail", "expires with its record only"),
    ):
        for method, arguments in ((record.expire_field, (name, 5)), (record.field_ttl, (name,))):
            with pytest.raises(ModelException, match=f"Session.{name} is .*{reason}"):
                api(method, *arguments)
    for ttl in (0, -1, True, 2.5, "5", Decimal(5)):
        with pytest.raises(ValidationError, match="time to live"):
            api(record.expire_field, "token", ttl)


@pytest.mark.single_server("puts words into the mouth of the connection to one server")
def test_a_server_without_it_is_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Session.create(name="s", token="secret")

    def call(self: object, args: Any, **kwargs: Any) -> Any:
        raise redis.ResponseError(f"unknown command '{args[0]}', with args beginning with: ")

    async def async_call(self: object, args: Any, **kwargs: Any) -> Any:
        call(self, args)

    monkeypatch.setattr(redis_db.SyncConnection, "call", call)
    monkeypatch.setattr(redis_db.AsyncConnection, "call", async_call)
    with pytest.raises(ModelException, match=r"Redis 7\.4 or Valkey 9"):
        api(record.expire_field, "token", 5)


@pytest.mark.usefixtures("has_field_expiry")
def test_a_key_of_another_program_is_named(api: Api, redis_client: redis.Redis) -> None:
    record = Session.create(name="s", token="secret")
    redis_client.set("Session:s", "another program's")
    for method, arguments in ((record.expire_field, ("token", 5)), (record.field_ttl, ("token",))):
        with pytest.raises(ModelException, match="'Session:s' holds a string where a hash belongs"):
            api(method, *arguments)


@pytest.mark.usefixtures("has_field_expiry")
def test_a_record_that_is_gone_has_no_fields(api: Api, redis_client: redis.Redis) -> None:
    record = Session.create(name="s", token="secret")
    redis_client.delete("Session:s")
    for method, arguments in ((record.expire_field, ("token", 5)), (record.field_ttl, ("token",))):
        with pytest.raises(NotStoredError):
            api(method, *arguments)
