"""Moments in key and indexed fields as popoto 1.9 and later name them in keys: in UTC, with a Z.

A moment without a zone has the same name there as that moment in UTC. Records are found under
both names, leave both, and are healthy under either.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    IndexedField,
    KeyField,
    Model,
    SortedKeyField,
    StringField,
    UniqueField,
)
from popoto.exceptions import UniquenessError
from tests.driver import Api

UTC = datetime.UTC
NAIVE = datetime.datetime(2024, 1, 2, 3, 4, 5)
AWARE = NAIVE.replace(tzinfo=UTC)
EAST = datetime.datetime(2024, 1, 2, 5, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
LATER = datetime.datetime(2024, 1, 2, 3, 4, 5, 12)
NAME = "2024/-01/-02T03{&#58;}04{&#58;}05.000000Z"


class Visit(Model):
    name = KeyField()
    at = KeyField(type=datetime.datetime)
    seen = IndexedField(type=datetime.datetime, null=True)
    note = StringField()


class Slot(Model):
    room = KeyField()
    at = SortedKeyField(type=datetime.datetime)


class Ticket(Model):
    name = KeyField()
    at = UniqueField(type=datetime.datetime)


def stored(value: datetime.datetime) -> bytes:
    return bytes(msgpack.packb({"__datetime__": True, "as_encodable": value.isoformat()}))


def named(value: datetime.datetime) -> str:
    naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    text = naive.isoformat(timespec="microseconds") + "Z"
    return text.replace("-", "/-").replace(":", "{&#58;}")


def write(server: redis.Redis, name: str, value: datetime.datetime) -> str:
    """A visit, as 1.9 and later write it."""
    key = f"Visit:{named(value)}:{name}"
    text = bytes(msgpack.packb(name))
    server.hset(key, mapping={"seen": stored(value), "name": text, "at": stored(value)})
    server.sadd("$Class:Visit", key)
    server.sadd(f"$KeyF:Visit:name:{name}", key)
    server.sadd(f"$KeyF:Visit:at:{named(value)}", key)
    server.sadd(f"$IndexF:Visit:seen:{named(value)}", key)
    server.set(f"$IdxPtr:{key}:seen", f"$IndexF:Visit:seen:{named(value)}")
    return key


MOMENTS = {"naive": NAIVE, "aware": AWARE, "east": EAST, "later": LATER}


@pytest.fixture
def visits(redis_client: redis.Redis) -> dict[str, str]:
    return {name: write(redis_client, name, value) for name, value in MOMENTS.items()}


@pytest.mark.parametrize("field", ["at", "seen"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NAIVE, ["naive"]),
        (AWARE, ["aware", "east"]),
        (EAST, ["aware", "east"]),
        (LATER, ["later"]),
        (LATER.replace(tzinfo=UTC), []),
    ],
)
@pytest.mark.usefixtures("visits")
def test_they_are_found(
    api: Api, field: str, value: datetime.datetime, expected: list[str]
) -> None:
    for lookup in ({field: value}, {f"{field}__in": [value]}):
        found = api(Visit.query.filter(**lookup).all)
        assert sorted(each.name for each in found) == expected
        assert api(Visit.query.filter(**lookup).count) == len(expected)
    others = api(Visit.query.filter(**{f"{field}__ne": value}).all)
    assert sorted(each.name for each in others) == sorted(MOMENTS.keys() - set(expected))


def test_those_of_both_names_are_found_together(api: Api, visits: dict[str, str]) -> None:
    mine = api(Visit.create, name="mine", at=NAIVE, seen=NAIVE)
    assert mine.pk == "Visit:2024/-01/-02 03{&#58;}04{&#58;}05:mine"
    found = api(Visit.query.filter(seen=NAIVE).all)
    assert {each.pk for each in found} == {mine.pk, visits["naive"]}
    assert api(Visit.check_indexes)["total"] == 0


def test_they_are_got_by_their_key_fields(api: Api, visits: dict[str, str]) -> None:
    for name, value in MOMENTS.items():
        assert api(Visit.query.get, name=name, at=value).pk == visits[name]
    assert api(Visit.query.get, name="naive", at=AWARE) is None
    found, created = api(Visit.get_or_create, name="naive", at=NAIVE)
    assert (found.pk, created) == (visits["naive"], False)


def test_they_are_healthy_and_stay_so(
    api: Api, redis_client: redis.Redis, visits: dict[str, str]
) -> None:
    found = api(Visit.check_indexes)
    assert (found["total"], found["unreadable_records"]) == (0, 0)
    assert api(Visit.clean_indexes) == 0
    rebuilt = api(Visit.rebuild_indexes)
    assert (rebuilt, rebuilt.problem_count) == (len(visits), 0)
    # Whoever looks under the other name still finds them.
    assert redis_client.sismember(f"$IndexF:Visit:seen:{NAME}", visits["naive"])
    assert api(Visit.check_indexes)["total"] == 0


def test_a_missing_entry_is_told(
    api: Api, redis_client: redis.Redis, visits: dict[str, str]
) -> None:
    redis_client.srem(f"$IndexF:Visit:seen:{NAME}", visits["naive"])
    redis_client.sadd(f"$IndexF:Visit:seen:{named(LATER)}", visits["naive"])
    found = api(Visit.check_indexes)
    assert found["missing_entries"] == found["wrong_values"] == {"seen": 1}
    api(Visit.rebuild_indexes)
    assert api(Visit.check_indexes)["total"] == 0


@pytest.mark.usefixtures("visits")
def test_a_change_takes_them_out_of_both(api: Api, redis_client: redis.Redis) -> None:
    api(Visit.rebuild_indexes)
    for name, value in MOMENTS.items():
        visit = api(Visit.query.get, name=name, at=value)
        visit.seen = datetime.datetime(2025, 5, 5)
        api(visit.save)
        pointer = redis_client.get(f"$IdxPtr:{visit.pk}:seen")
        assert pointer == b"$IndexF:Visit:seen:2025/-05/-05 00{&#58;}00{&#58;}00"
    sets = redis_client.keys("$IndexF:Visit:seen:*")
    assert sets == [b"$IndexF:Visit:seen:2025/-05/-05 00{&#58;}00{&#58;}00"]
    assert api(Visit.check_indexes)["total"] == 0


@pytest.mark.parametrize("is_rebuilt", [False, True])
@pytest.mark.usefixtures("visits")
def test_deleting_leaves_nothing(api: Api, redis_client: redis.Redis, is_rebuilt: bool) -> None:
    if is_rebuilt:
        api(Visit.rebuild_indexes)
    for visit in api(Visit.query.all):
        assert api(visit.delete)
    assert redis_client.keys("*") == []


def test_a_query_that_meets_a_moment_leaves_the_other_entry(
    api: Api, redis_client: redis.Redis, visits: dict[str, str]
) -> None:
    """The set of a name has records of two values; that one does not match is no mistake."""
    assert [each.name for each in api(Visit.query.filter(seen=NAIVE).all)] == ["naive"]
    assert redis_client.sismember(f"$IndexF:Visit:seen:{NAME}", visits["aware"])


def test_records_by_sorted_keys_are_found(api: Api, redis_client: redis.Redis) -> None:
    key = f"Slot:{NAME}:blue"
    redis_client.hset(key, mapping={"room": b"\xa4blue", "at": stored(NAIVE)})
    redis_client.sadd("$Class:Slot", key)
    redis_client.sadd("$KeyF:Slot:room:blue", key)
    redis_client.zadd("$SortedKeyF:Slot:at", {key: NAIVE.replace(tzinfo=UTC).timestamp()})
    assert [each.pk for each in api(Slot.query.filter(room="blue", at=NAIVE).all)] == [key]
    assert api(Slot.query.get, room="blue", at=NAIVE).pk == key


def test_unique_ones_are_refused(api: Api, redis_client: redis.Redis) -> None:
    redis_client.hset("Ticket:a", mapping={"name": b"\xa1a", "at": stored(NAIVE)})
    redis_client.sadd("$Class:Ticket", "Ticket:a")
    redis_client.sadd(f"$UniquF:Ticket:at:{NAME}", "Ticket:a")
    with pytest.raises(UniquenessError, match="Ticket:a"):
        api(Ticket.create, name="b", at=NAIVE)
    ticket = api(Ticket.query.get, at=NAIVE)
    ticket.at = LATER
    api(ticket.save)
    other: Any = api(Ticket.create, name="b", at=NAIVE)
    assert other.pk == "Ticket:b"


def test_a_moment_that_cannot_be_told_in_utc_has_one_name_alone(api: Api) -> None:
    west = datetime.timezone(-datetime.timedelta(hours=1))
    last = datetime.datetime.max.replace(tzinfo=west)
    visit = api(Visit.create, name="last", at=NAIVE, seen=last)
    assert [each.pk for each in api(Visit.query.filter(seen=last).all)] == [visit.pk]
    assert api(Visit.check_indexes)["total"] == 0
    assert api(visit.delete)
