"""Datetimes and times as popoto 1.8.2 and later store them are read, found, and left alone."""

from __future__ import annotations

import datetime
from typing import Any

import msgpack
import pytest
import redis

from popoto import DatetimeField, DictField, KeyField, Model, SortedField, StringField, TimeField
from popoto.exceptions import StoredDataError
from tests.driver import Api

UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


class Visit(Model):
    name = KeyField()
    at = DatetimeField()
    hour = TimeField()
    due = SortedField(type=datetime.datetime, default=datetime.datetime(2000, 1, 1))
    box = DictField()
    note = StringField()


def tagged(tag: str, text: str) -> bytes:
    return bytes(msgpack.packb({f"__{tag}__": True, "as_encodable": text}))


MOMENTS: list[datetime.datetime] = [
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2024, 1, 2, 3, 4, 5),
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=EAST),
    datetime.datetime(999, 1, 2),
]
HOURS = [
    datetime.time(3, 4, 5),
    datetime.time(3, 4, 5, 6),
    datetime.time(3, 4, tzinfo=UTC),
    datetime.time(3, 4, 5, 6, tzinfo=EAST),
]


def store(server: redis.Redis, name: str, field: str, value: Any) -> bytes:
    stored = tagged("time" if field == "hour" else "datetime", value.isoformat())
    server.hset(f"Visit:{name}", field, stored)
    return stored


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, moment) for field in ("at", "due") for moment in MOMENTS]
    + [("hour", hour) for hour in HOURS],
)
def test_they_are_read_and_found(
    api: Api, redis_client: redis.Redis, field: str, value: Any
) -> None:
    api(Visit.create, name="a", **{field: value})
    stored = store(redis_client, "a", field, value)
    found = api(Visit.query.get, name="a")
    assert getattr(found, field) == value
    assert getattr(found, field).tzinfo == value.tzinfo
    assert [each.name for each in api(Visit.query.filter(**{field: value}).all)] == ["a"]
    assert api(Visit.check_indexes)["total"] == 0
    found.note = "read by us"
    api(found.save)
    assert redis_client.hget("Visit:a", field) == stored
    assert api(Visit.rebuild_indexes) == 1
    assert api(Visit.check_indexes)["total"] == 0


def test_they_are_changed_to_ours(api: Api, redis_client: redis.Redis) -> None:
    api(Visit.create, name="a", at=MOMENTS[0])
    store(redis_client, "a", "at", MOMENTS[3])
    visit = api(Visit.query.get, name="a")
    visit.at = MOMENTS[2]
    api(visit.save)
    assert api(Visit.query.get, name="a").at == MOMENTS[2]
    assert b"20240102T03:04:05.000006" in redis_client.hget("Visit:a", "at")


def test_another_writers_change_is_not_undone_by_a_look(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Visit.create, name="a", at=MOMENTS[0])
    store(redis_client, "a", "at", MOMENTS[0])
    visit = api(Visit.query.get, name="a")
    assert visit.at == MOMENTS[0]
    store(redis_client, "a", "at", MOMENTS[1])
    visit.note = "changed"
    api(visit.save)
    assert api(Visit.query.get, name="a").at == MOMENTS[1]


def test_they_are_read_inside_containers(api: Api, redis_client: redis.Redis) -> None:
    api(Visit.create, name="a")
    inner = {"__datetime__": True, "as_encodable": MOMENTS[3].isoformat()}
    redis_client.hset("Visit:a", "box", msgpack.packb({"when": inner}))
    assert api(Visit.query.get, name="a").box == {"when": MOMENTS[3]}


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-02T03:04:05",
        "2024-01-02T03:04:05+99:00",
        "2024-01-02",
        "2024-01-02 03:04:05",
        "2024-01-02T03:04:05.5",
        "2024-W01-1T03:04:05",
    ],
)
def test_other_text_is_no_moment(api: Api, redis_client: redis.Redis, text: str) -> None:
    api(Visit.create, name="a")
    redis_client.hset("Visit:a", "at", tagged("datetime", text))
    visit = api(Visit.query.get, name="a")
    with pytest.raises(StoredDataError):
        _ = visit.at
