"""Moments whose zone popoto 1.6 has dropped keep the place in the order that it gave them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest
import redis

from popoto import DatetimeField, KeyField, Model, ModelException, SortedField, SortedKeyField
from tests.driver import Api

UTC = datetime.UTC
NAIVE = datetime.datetime(2024, 7, 1, 12, 30, 15, 250)


class Event(Model):
    name = KeyField()
    kind = KeyField()
    at = SortedField(type=datetime.datetime)
    near = SortedField(type=datetime.datetime, partition_by="kind")


class Slot(Model):
    name = KeyField()
    begins = SortedKeyField(type=datetime.datetime)


@pytest.fixture(autouse=True, params=["America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose clock shows another time than UTC."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def written_by_1_6(api: Api, server: redis.Redis, name: str, moment: datetime.datetime) -> None:
    """An aware moment of UTC: the record has it without its zone, the order has the moment."""
    naive = moment.replace(tzinfo=None)
    api(Event.create, name=name, kind="x", at=naive, near=naive)
    score = moment.replace(tzinfo=UTC).timestamp()
    for key in ("$SortF:Event:at", "$SortF:Event:near:x"):
        server.zadd(key, {f"Event:x:{name}": score})


def test_a_rebuild_keeps_the_order_that_1_6_has_given(api: Api, redis_client: redis.Redis) -> None:
    written_by_1_6(api, redis_client, "old", NAIVE)
    assert api(Event.check_indexes)["total"] == 0
    assert api(Event.rebuild_indexes) == 1
    assert api(Event.check_indexes)["total"] == 0
    moment = NAIVE.replace(tzinfo=UTC)
    for condition in ({"at": moment}, {"near": moment, "kind": "x"}):
        (name, _), *others = condition.items()
        around = {
            f"{name}__gte": moment - datetime.timedelta(minutes=1),
            f"{name}__lte": moment + datetime.timedelta(minutes=1),
            **dict(others),
        }
        assert [each.name for each in api(Event.query.filter(**around).all)] == ["old"]
    assert redis_client.zscore("$SortF:Event:at", "Event:x:old") == moment.timestamp()


def test_other_scores_that_are_wrong_are_put_right(api: Api, redis_client: redis.Redis) -> None:
    written_by_1_6(api, redis_client, "old", NAIVE)
    api(Event.create, name="lost", kind="x", at=NAIVE, near=NAIVE)
    api(Event.create, name="wrong", kind="x", at=NAIVE, near=NAIVE)
    redis_client.zrem("$SortF:Event:at", "Event:x:lost")
    redis_client.zadd("$SortF:Event:at", {"Event:x:wrong": 5})
    assert api(Event.check_indexes)["total"] == 2
    assert api(Event.rebuild_indexes) == 3
    assert api(Event.check_indexes)["total"] == 0
    scores = dict(redis_client.zrange("$SortF:Event:at", 0, -1, withscores=True))
    assert scores == {
        b"Event:x:old": NAIVE.replace(tzinfo=UTC).timestamp(),
        b"Event:x:lost": NAIVE.timestamp(),
        b"Event:x:wrong": NAIVE.timestamp(),
    }


def test_an_aware_moment_has_one_place(api: Api, redis_client: redis.Redis) -> None:
    moment = NAIVE.replace(tzinfo=UTC)
    there = moment.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    api(Event.create, name="new", kind="x", at=there, near=there)
    redis_client.zadd("$SortF:Event:at", {"Event:x:new": moment.timestamp() + 9 * 3600})
    assert api(Event.check_indexes)["total"] == 1
    api(Event.rebuild_indexes)
    assert redis_client.zscore("$SortF:Event:at", "Event:x:new") == moment.timestamp()


def test_a_sorted_key_keeps_its_place_too(api: Api, redis_client: redis.Redis) -> None:
    slot = api(Slot.create, name="a", begins=NAIVE)
    score = NAIVE.replace(tzinfo=UTC).timestamp()
    redis_client.zadd("$SortedKeyF:Slot:begins", {slot.pk: score}, xx=True)
    (kept,) = redis_client.zrange("$SortedKeyF:Slot:begins", 0, -1, withscores=True)
    assert kept[1] == score
    assert api(Slot.rebuild_indexes) == 1
    assert redis_client.zrange("$SortedKeyF:Slot:begins", 0, -1, withscores=True) == [kept]
    assert api(Slot.check_indexes)["total"] == 0


def test_moments_that_saves_stamp_are_local_unless_a_zone_is_given(api: Api) -> None:
    class Stamped(Model):
        name = KeyField()
        local = DatetimeField(auto_now=True)
        utc = DatetimeField(auto_now=True, tz=UTC)
        local_order = SortedField(type=datetime.datetime, auto_now=True)
        utc_order = SortedField(type=datetime.datetime, auto_now_add=True, tz=UTC)
        day = SortedField(type=datetime.date, auto_now=True, tz=UTC)

    before = datetime.datetime.now(UTC)
    api(Stamped.create, name="a")
    found = api(Stamped.query.get, name="a")
    for naive in (found.local, found.local_order):
        assert naive.tzinfo is None
        assert before <= naive.astimezone(UTC) <= datetime.datetime.now(UTC)
    for aware in (found.utc, found.utc_order):
        assert aware.tzinfo is UTC
        assert before <= aware <= datetime.datetime.now(UTC)
    assert found.day in (before.date(), datetime.datetime.now(UTC).date())


def test_a_zone_needs_a_type_that_has_one() -> None:
    with pytest.raises(ModelException, match="tz="):
        SortedField(type=int, auto_now=True, tz=UTC)
