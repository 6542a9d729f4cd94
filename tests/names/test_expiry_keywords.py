"""`ttl` and `expire_at` are keywords wherever values are given, and of every save."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import redis

import popoto
from popoto import DatetimeField, IntField, KeyField, Model, ModelException
from popoto.exceptions import UnknownNameError
from tests.driver import Api


class Session(Model):
    token = KeyField()
    hits = IntField(default=0)


class Hourly(Session):
    class Meta:
        ttl = 3600


class Fixed(Session):
    class Meta:
        ttl = 3600
        ttl_policy = "fixed"


def in_a_minute() -> datetime.datetime:
    return datetime.datetime.now() + datetime.timedelta(seconds=60)


def saved(model: Any, api: Api, **expiry: Any) -> None:
    api(model(token="a").save, **expiry)


def saved_again(model: Any, api: Api, **expiry: Any) -> None:
    api(model.create, token="a")
    api(model.query.get(token="a").save, **expiry)


def saved_in_part(model: Any, api: Api, **expiry: Any) -> None:
    api(model.create, token="a")
    api(model.query.get(token="a").save, update_fields=["hits"], **expiry)


def in_a_transaction(model: Any, api: Api, **expiry: Any) -> None:
    with popoto.transaction() as together:
        together.save(model(token="a"), **expiry)


def updated(model: Any, api: Api, **expiry: Any) -> None:
    api(model.create, token="a")
    api(model.update_or_create, token="a", defaults=expiry)


WAYS: list[Callable[..., None]] = [
    lambda model, api, **expiry: api(model(token="a", **expiry).save),
    lambda model, api, **expiry: api(model.create, token="a", **expiry),
    lambda model, api, **expiry: api(model.get_or_create, token="a", defaults=expiry),
    lambda model, api, **expiry: api(model.bulk_create, [model(token="a", **expiry)]),
    updated,
    saved,
    saved_again,
    saved_in_part,
    in_a_transaction,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", [Session, Hourly, Fixed])
def test_they_end_the_record(
    way: Callable[..., None], model: Any, api: Api, redis_client: redis.Redis
) -> None:
    for expiry in (
        {"ttl": 60},
        {"ttl": datetime.timedelta(minutes=1)},
        {"expire_at": in_a_minute()},
    ):
        redis_client.flushall()
        way(model, api, **expiry)
        assert 55 < redis_client.ttl(f"{model.__name__}:a") <= 60


@pytest.mark.parametrize("way", WAYS)
def test_none_is_for_ever(way: Callable[..., None], api: Api, redis_client: redis.Redis) -> None:
    way(Hourly, api, ttl=None)
    assert redis_client.ttl("Hourly:a") == -1


def test_the_last_one_counts(api: Api, redis_client: redis.Redis) -> None:
    session = Session(token="a")
    api(session.save, ttl=5000)
    api(session.save, expire_at=in_a_minute())
    assert redis_client.ttl("Session:a") <= 60
    api(session.save, ttl=5000)
    assert redis_client.ttl("Session:a") > 4000
    api(session.save)
    assert redis_client.ttl("Session:a") > 4000


def test_the_same_time_again_begins_anew(api: Api, redis_client: redis.Redis) -> None:
    lease = Fixed(token="a")
    api(lease.save, ttl=5000)
    redis_client.expire("Fixed:a", 10)
    api(lease.save)
    assert redis_client.ttl("Fixed:a") <= 10
    api(lease.save, ttl=5000)
    assert redis_client.ttl("Fixed:a") > 4000


@pytest.mark.parametrize("expiry", [{"ttl": "60"}, {"ttl": 1.5}, {"expire_at": 60}])
def test_what_is_no_time_is_refused(expiry: dict[str, Any], api: Api) -> None:
    with pytest.raises(ModelException, match=r"ttl|expire_at"):
        api(Session.create, token="a", **expiry)
    with pytest.raises(ModelException, match=r"ttl|expire_at"):
        api(Session(token="a").save, **expiry)
    assert Session.query.count() == 0


def test_both_at_once_are_refused(api: Api) -> None:
    with pytest.raises(ModelException, match="both"):
        api(Session.create, token="a", ttl=60, expire_at=in_a_minute())
    with pytest.raises(ModelException, match="both"):
        api(Session(token="a").save, ttl=60, expire_at=in_a_minute())


class Ticket(Model):
    token = KeyField()
    ttl = IntField()
    expire_at = DatetimeField()


def test_a_field_of_the_name_wins(api: Api, redis_client: redis.Redis) -> None:
    moment = in_a_minute()
    api(Ticket.create, token="a", ttl=60, expire_at=moment)
    found = api(Ticket.query.get, token="a")
    assert (found.ttl, found.expire_at) == (60, moment)
    assert redis_client.ttl("Ticket:a") == -1
    for keyword in ("ttl", "expire_at"):
        with pytest.raises(UnknownNameError, match=f"{keyword}.*is a field"):
            api(found.save, **{keyword: None})


def test_an_attribute_of_the_name_wins() -> None:
    class Timed(Session):
        @property
        def ttl(self) -> int:
            return self.hits

        @ttl.setter
        def ttl(self, value: int) -> None:
            self.hits = value

    timed = Timed(token="a", ttl=7)
    assert (timed.hits, timed._ttl) == (7, None)


def test_a_hook_of_the_name_wins(api: Api, redis_client: redis.Redis) -> None:
    class Hooked(Session):
        def pre_save(self, *, ttl: int = 0, **kwargs: Any) -> Any:
            self.hits = ttl
            return super().pre_save(**kwargs)

    api(Hooked(token="a").save, ttl=7)
    assert Hooked.query.get(token="a").hits == 7
    assert redis_client.ttl("Hooked:a") == -1


def test_a_save_of_the_models_own_hands_them_on(api: Api, redis_client: redis.Redis) -> None:
    class Own(Session):
        def save(self, *arguments: Any, **keywords: Any) -> Any:
            self.hits += 1
            return super().save(*arguments, **keywords)

    api(Own(token="a").save, ttl=60)
    assert 55 < redis_client.ttl("Own:a") <= 60
    api(Own(token="b").save)
    assert redis_client.ttl("Own:b") == -1
