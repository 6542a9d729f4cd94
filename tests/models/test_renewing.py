"""`renew_ttl` and `remaining_ttl`: the time that a record has, without writing its values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import redis

from popoto import IndexedField, IntField, KeyField, ListField, Model, redis_db, transaction
from popoto.exceptions import ModelException, NotStoredError, UnsavedError
from tests.driver import Api, RoundTrips
from tests.interference import before_each_commit
from tests.truth.oracle import violations

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Session(Model):
    token = KeyField()
    user = IndexedField()
    hits = IntField(default=0)
    trail = ListField(max_length=3)

    class Meta:
        ttl = 1000


class Lease(Model):
    name = KeyField()

    class Meta:
        ttl = 1000
        ttl_policy = "fixed"


class Plain(Model):
    name = KeyField()


def session(token: str = "a", **values: Any) -> Session:
    return Session.create(token=token, user="ann", trail=["/"], **values)


def test_how_long_a_record_has_left(api: Api, redis_client: redis.Redis) -> None:
    record = session()
    left = api(record.remaining_ttl)
    assert left is not None
    assert 990 < left <= 1000
    redis_client.pexpire("Session:a", 1500)
    assert 1 < cast("float", api(record.remaining_ttl)) <= 1.5
    assert api(Plain.create(name="a").remaining_ttl) is None


def test_the_time_begins_anew_and_nothing_else_changes(api: Api, redis_client: redis.Redis) -> None:
    record = session()
    stale = Session.query.get(token="a")
    assert stale is not None
    record.hits = 5
    record.save()
    for key in ("Session:a", "Session:a::trail"):
        redis_client.expire(key, 10)
    stale.hits = 1
    assert api(stale.renew_ttl) is None
    for key in ("Session:a", "Session:a::trail"):
        assert 990 < cast("int", redis_client.ttl(key)) <= 1000
    found = Session.query.get(token="a")
    assert found is not None
    # What waits to be saved waits on.
    assert (found.hits, stale.hits) == (5, 1)
    assert not violations(redis_client, Session)
    # The registry, by which an expired record is swept, knows the new end as well.
    (due,) = cast("list[Any]", redis_client.zrange("$Expiry:Session", 0, -1, withscores=True))
    assert due[1] >= cast("int", redis_client.pexpiretime("Session:a")) - 5


@pytest.mark.parametrize("model", [Session, Lease, Plain])
def test_another_time_is_kept_for_later_saves(
    api: Api, redis_client: redis.Redis, model: type[Model]
) -> None:
    record = model.create(**{model._meta.key_names[0]: "a"})
    key = record.pk
    for ttl in (60, timedelta(minutes=1)):
        redis_client.persist(key)
        api(record.renew_ttl, ttl)
        assert 50 < cast("float", api(record.remaining_ttl)) <= 60
    api(record.save)
    assert 50 < cast("float", api(record.remaining_ttl)) <= 60
    moment = datetime.now(UTC) + timedelta(hours=1)
    api(record.renew_ttl, expire_at=moment)
    assert redis_client.expiretime(key) == int(moment.timestamp())
    api(record.renew_ttl, ttl=None)
    assert api(record.remaining_ttl) is None
    api(record.save)
    assert api(record.remaining_ttl) is None


def test_a_time_that_is_fixed_for_saves_is_renewed_on_request(
    api: Api, redis_client: redis.Redis
) -> None:
    record = Lease.create(name="a")
    redis_client.expire("Lease:a", 10)
    api(record.save)
    assert redis_client.ttl("Lease:a") <= 10
    api(record.renew_ttl)
    assert redis_client.ttl("Lease:a") > 990
    # A save after that leaves what was asked for alone, as ever.
    api(record.renew_ttl, 500)
    redis_client.expire("Lease:a", 10)
    api(record.save)
    assert redis_client.ttl("Lease:a") <= 10


def test_a_record_that_is_gone_does_not_come_back(api: Api, redis_client: redis.Redis) -> None:
    record = session()
    redis_client.pexpire("Session:a", 0)
    for method in (record.renew_ttl, record.remaining_ttl):
        with pytest.raises(NotStoredError, match="not stored any more"):
            api(method)
    assert Session.query.count() == 0
    for method in (Session(token="b").renew_ttl, Session(token="b").remaining_ttl):
        with pytest.raises(UnsavedError, match="_ttl"):
            api(method)


def test_what_is_no_time_is_refused(api: Api, redis_client: redis.Redis) -> None:
    record = Plain.create(name="a")
    with pytest.raises(ModelException, match=r"neither Meta\.ttl nor this record"):
        api(record.renew_ttl)
    for wrong in ("60", 1.5, True):
        with pytest.raises(ModelException, match="_ttl"):
            api(record.renew_ttl, cast("Any", wrong))
    with pytest.raises(ModelException, match="both set"):
        api(record.renew_ttl, 60, expire_at=datetime.now(UTC) + timedelta(hours=1))
    assert redis_client.ttl("Plain:a") == -1


def test_in_a_pipeline_and_in_a_transaction(redis_client: redis.Redis) -> None:
    record, other = session(), session("b")
    redis_client.expire("Session:a", 10)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    record.renew_ttl(pipeline=pipeline)
    assert redis_client.ttl("Session:a") <= 10
    pipeline.execute()
    assert redis_client.ttl("Session:a") > 990
    redis_client.expire("Session:a", 10)
    with transaction() as t:
        other.hits = 5
        other.renew_ttl(pipeline=t)
        t.save(other)
        record.renew_ttl(pipeline=t)
        assert redis_client.ttl("Session:a") <= 10
    assert redis_client.ttl("Session:a") > 990
    redis_client.delete("Session:b")
    with pytest.raises(NotStoredError), transaction() as t:  # noqa: PT012
        record.renew_ttl(5, pipeline=t)
        other.renew_ttl(pipeline=t)
    assert redis_client.ttl("Session:a") > 990


def test_the_results_of_a_query(api: Api, redis_client: redis.Redis, round_trips: Counter) -> None:
    for number in range(30):
        session(f"{number:02}")
    Session.create(token="bob", user="bob")
    for key in redis_client.keys("Session:*"):
        redis_client.expire(key, 10)
    with round_trips() as seen:
        assert api(Session.query.filter(user="ann").renew_ttl) == 30
    assert seen.sends == 2
    assert {Session.query.get(token=f"{n:02}").remaining_ttl() > 990 for n in range(30)} == {True}  # type: ignore[union-attr]
    assert redis_client.ttl("Session:bob") <= 10
    assert api(Session.query.filter(user="nobody").renew_ttl, 5) == 0
    assert api(Session.query.filter(user="bob").renew_ttl, ttl=50, batch_size=7) == 1
    assert redis_client.ttl("Session:bob") > 40
    assert api(Session.query.renew_ttl, expire_at=datetime.now(UTC) + timedelta(hours=1)) == 31
    assert redis_client.ttl("Session:bob") > 3500
    Plain.create(name="a")
    with pytest.raises(ModelException, match="neither"):
        api(Plain.query.filter().renew_ttl)


def test_results_that_are_gone_by_then_are_left_out(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in "ab":
        session(token)
    turns = iter(range(2))
    before_each_commit(
        monkeypatch, lambda: next(turns, None) == 1 and redis_client.delete("Session:a")
    )
    assert api(Session.query.filter(user="ann").renew_ttl) == 1


def test_each_is_one_round_trip(api: Api, round_trips: Counter) -> None:
    record = session()
    record.renew_ttl()
    for method in (record.renew_ttl, record.remaining_ttl):
        with round_trips() as seen:
            api(method)
        assert seen.sends == 1
