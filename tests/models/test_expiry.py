"""Records that end: setting the time, and that an expired record is nowhere to be seen."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import RecordGoneError
from tests.driver import Api

from .shop import FULL, Shop, healthy, keys_of

PAST = datetime(2001, 1, 1, tzinfo=UTC)
SOON = 0.03


class Lease(Model):
    name = KeyField()
    kind = IndexedField()

    class Meta:
        ttl = 50


# Setting the time --------------------------------------------------------------------------


def test_ttl_of_meta_of_the_instance_and_as_timedelta(api: Api, redis_client: redis.Redis) -> None:
    api(Lease.create, name="meta")
    api(Lease.create, name="own", _ttl=20)
    api(Lease.create, name="delta", _ttl=timedelta(minutes=2))
    api(Lease.create, name="never", _ttl=None)
    assert 45 < redis_client.ttl("Lease:meta") <= 50
    assert 15 < redis_client.ttl("Lease:own") <= 20
    assert 115 < redis_client.ttl("Lease:delta") <= 120
    assert redis_client.ttl("Lease:never") == -1


@pytest.mark.parametrize("zone", [UTC, None])
def test_expire_at(api: Api, redis_client: redis.Redis, zone: Any) -> None:
    moment = datetime.now(zone) + timedelta(seconds=100)
    api(Lease.create, name="a", _ttl=None, _expire_at=moment)
    assert redis_client.expiretime("Lease:a") == int(moment.timestamp())


def test_every_save_sets_the_time_again(api: Api, redis_client: redis.Redis) -> None:
    record = api(Lease.create, name="a", kind="x")
    for names in (None, ["kind"]):
        redis_client.expire("Lease:a", 5)
        api(record.save, update_fields=names)
        assert redis_client.ttl("Lease:a") > 45


def test_no_ttl_makes_a_record_permanent(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL, _ttl=100)
    assert redis_client.ttl("Shop:a::log") > 0
    record._ttl = None
    api(record.save)
    assert (redis_client.ttl("Shop:a"), redis_client.ttl("Shop:a::log")) == (-1, -1)
    assert healthy(redis_client)


def test_capped_lists_expire_with_the_record(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, name="a", code="c", _ttl=100)
    record.log.append("x")
    api(record.save)
    assert abs(redis_client.pttl("Shop:a") - redis_client.pttl("Shop:a::log")) < 50
    redis_client.delete("Shop:a::log")
    api.run(record.log.async_push("y")) if api.is_async else record.log.push("y")
    assert abs(redis_client.pttl("Shop:a") - redis_client.pttl("Shop:a::log")) < 50


# Expired records ------------------------------------------------------------------------------


def expire(api: Api, how: str, values: dict[str, Any]) -> None:
    """Store a record that has expired when this returns."""
    if how == "zero":
        api(Shop.create, **values, _ttl=0)
    elif how == "negative":
        api(Shop.create, **values, _ttl=-5)
    elif how == "past":
        api(Shop.create, **values, _expire_at=PAST)
    elif how == "saved":
        record = api(Shop.create, **values)
        record._expire_at = PAST
        api(record.save)
    elif how == "partial":
        record = api(Shop.create, **values)
        record._ttl = 0
        api(record.save, update_fields=["note"])
    elif how == "waited":
        api(Shop.create, **values, _ttl=timedelta(seconds=SOON))
        time.sleep(SOON + 0.01)


WAYS = ["zero", "negative", "past", "saved", "partial", "waited"]


@pytest.mark.parametrize("how", WAYS)
def test_an_expired_record_is_invisible(api: Api, how: str) -> None:
    expire(api, how, FULL)
    assert api(Shop.query.get, name="a") is None
    assert api(Shop.query.get, kind="books") is None
    assert api(Shop.load, "Shop:a") is None
    assert api(Shop.query.all) == []
    assert api(Shop.query.count) == 0
    assert api(Shop.query.keys) == []
    for conditions in (
        {"kind": "books"},
        {"kind__in": ["books"]},
        {"kind__startswith": "bo"},
        {"name__isnull": False},
        {"rank__gte": 0},
        {"town": "Town:berlin"},
        {"spot": (52.5, 13.4), "spot_radius": 5},
        {"note": "n"},
    ):
        assert api(Shop.query.filter(**conditions).all) == [], conditions
        assert api(Shop.query.count, **conditions) == 0, conditions


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("look", ["all", "count", "filter", "other"])
def test_a_query_sweeps_what_expired_records_left(
    api: Api, redis_client: redis.Redis, how: str, look: str
) -> None:
    expire(api, how, FULL)
    if look == "all":
        api(Shop.query.all)
    elif look == "count":
        api(Shop.query.count)
    elif look == "filter":
        api(Shop.query.filter(kind="books").all)
    else:
        api(Shop.query.count, kind="nothing")
    assert keys_of(redis_client) == []


def test_many_expired_records_are_swept_by_one_query(api: Api, redis_client: redis.Redis) -> None:
    for number in range(100):
        api(Lease.create, name=str(number), kind="x", _ttl=0)
    assert api(Lease.query.count) == 0
    assert keys_of(redis_client, "Lease") == []


def test_living_records_stay_when_others_are_swept(api: Api, redis_client: redis.Redis) -> None:
    api(Shop.create, name="b", code="c2", kind="books", rank=1)
    expire(api, "waited", FULL)
    assert [each.name for each in api(Shop.query.filter(kind="books").all)] == ["b"]
    assert [each.name for each in api(Shop.query.filter(rank__gte=0, limit=1).all)] == ["b"]
    assert api(Shop.query.count) == 1
    assert healthy(redis_client)
    assert not [key for key in keys_of(redis_client) if b"Expiry" in key]


@pytest.mark.parametrize("how", WAYS)
def test_an_expired_record_blocks_no_unique_value(
    api: Api, redis_client: redis.Redis, how: str
) -> None:
    expire(api, how, FULL)
    api(Shop.create, **{**FULL, "name": "b"})
    assert [each.name for each in api(Shop.query.all)] == ["b"]
    assert healthy(redis_client)


@pytest.mark.parametrize("how", WAYS)
def test_a_new_record_under_the_key_of_an_expired_one(
    api: Api, redis_client: redis.Redis, how: str
) -> None:
    expire(api, how, FULL)
    api(Shop.create, name="a", kind="wine", code="c9", rank=1)
    assert api(Shop.query.count, kind="books") == 0
    assert api(Shop.query.filter(rank__gte=5).all) == []
    assert api(Shop.query.get, kind="wine").log == []
    assert healthy(redis_client)


def test_a_record_whose_time_was_changed_is_not_swept(api: Api, redis_client: redis.Redis) -> None:
    # In one step, lest it expires before its time is changed.
    pipeline = redis_client.pipeline()
    record = Shop(**FULL, _ttl=timedelta(seconds=SOON))
    record.save(pipeline)
    pipeline.persist("Shop:a")
    pipeline.persist("Shop:a::log")
    pipeline.execute()
    time.sleep(SOON + 0.01)
    assert api(Shop.query.count) == 1
    assert api(Shop.query.all) == [record]
    assert healthy(redis_client)


def test_an_expiry_set_outside_hides_the_record_everywhere(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Shop.create, **FULL)
    api(Shop.create, name="b", code="c2", kind="books")
    redis_client.pexpire("Shop:a", 1)
    time.sleep(0.01)
    assert api(Shop.query.get, name="a") is None
    assert api(Shop.query.count) == 1
    assert api(Shop.query.count, kind="books") == 1
    assert [each.name for each in api(Shop.query.filter(kind="books").all)] == ["b"]
    assert [each.name for each in api(Shop.query.all)] == ["b"]
    assert api(Shop.query.keys) == [b"Shop:b"]
    api(Shop.create, name="c", code="c1")


def test_an_expired_unique_key_is_free(api: Api) -> None:
    class Badge(Model):
        tag = UniqueKeyField()
        owner = KeyField()

    api(Badge.create, tag="t", owner="o", _ttl=0)
    api(Badge.create, tag="t", owner="p")
    assert [each.owner for each in api(Badge.query.all)] == ["p"]


def test_saving_an_expired_record_writes_it_again(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL, _ttl=0)
    record._ttl = None
    record.kind = "tea"
    with pytest.raises(RecordGoneError):
        api(record.save)
    api(record.save, recreate=True)
    assert api(Shop.query.count, kind="tea") == 1
    assert api(Shop.query.count, kind="books") == 0
    assert healthy(redis_client)


def test_deleting_an_expired_record_says_that_there_was_none(
    api: Api, redis_client: redis.Redis
) -> None:
    record = api(Shop.create, **FULL, _ttl=0)
    assert api(record.delete) is False
    api(Shop.query.count)
    assert keys_of(redis_client) == []


def test_deleting_a_record_with_ttl_leaves_nothing(api: Api, redis_client: redis.Redis) -> None:
    record = api(Shop.create, **FULL, _ttl=100)
    assert api(record.delete) is True
    assert keys_of(redis_client) == []


def test_changed_values_of_an_expiring_record_are_swept(
    api: Api, redis_client: redis.Redis
) -> None:
    class Timed(Model):
        name = KeyField()
        kind = IndexedField()
        rank = SortedField(type=int)
        code = UniqueField()

    record = api(Timed.create, name="a", kind="x", rank=1, code="c", _ttl=100)
    record.kind, record.rank, record.code = "y", 2, "d"
    record._ttl = timedelta(seconds=SOON)
    api(record.save)
    time.sleep(SOON + 0.01)
    assert api(Timed.query.count) == 0
    assert keys_of(redis_client, "Timed") == []


@pytest.mark.parametrize(
    "expiry",
    [
        {"_ttl": 10**30},
        {"_ttl": -(10**30)},
        {"_ttl": timedelta.max},
        {"_expire_at": datetime.min},
        {"_expire_at": datetime.max.replace(tzinfo=UTC)},
    ],
)
def test_times_beyond_all_calendars_never_leave_half_a_record(
    api: Api, redis_client: redis.Redis, expiry: dict[str, Any]
) -> None:
    record = Shop(**FULL)
    for name, value in expiry.items():
        setattr(record, name, value)
    try:
        api(record.save)
    except ModelException:
        assert keys_of(redis_client) == []
    else:
        assert healthy(redis_client)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_time_to_live(api: Api, redis_client: redis.Redis, sign: int) -> None:
    longest = 10**12
    for too_long in (sign * (longest + 1), timedelta.max if sign > 0 else timedelta.min):
        with pytest.raises(ModelException, match=r"Lease\._ttl: .*at most 1000000000000 seconds"):
            api(Lease(name="a", _ttl=too_long).save)
    assert redis_client.keys("*") == []
    api(Lease(name="a", _ttl=sign * longest).save)
    assert redis_client.exists("Lease:a") == (sign > 0)


def orphan(client: redis.Redis, how: str) -> None:
    if how == "deleted":
        client.delete("Shop:a")
    else:
        client.pexpire("Shop:a", 1)
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["deleted", "expired"])
@pytest.mark.parametrize("then", ["create", "save", "moved", "upsert"])
def test_a_record_that_went_without_the_library_does_not_come_back_in_indexes(
    api: Api, redis_client: redis.Redis, how: str, then: str
) -> None:
    stale = api(Shop.create, **FULL)
    orphan(redis_client, how)
    if then == "create":
        api(Shop.create, name="a", code="c9", kind="wine", rank=1)
    elif then == "upsert":
        api(Shop.get_or_create, name="a", defaults={"code": "c9", "kind": "wine", "rank": 1})
    elif then == "save":
        stale.kind, stale.rank, stale.town, stale.spot = "wine", 1, None, None
        api(stale.save, recreate=True)
    else:
        other = api(Shop.create, name="b", code="c9", kind="wine", rank=1)
        other.name = "a"
        api(other.save, migrate_key=True)
    assert api(Shop.query.count, kind="books") == 0
    assert api(Shop.query.count, rank=5) == 0
    assert api(Shop.query.filter(town="Town:berlin").all) == []
    assert [each.pk for each in api(Shop.query.filter(kind="wine").all)] == ["Shop:a"]
    assert healthy(redis_client)
