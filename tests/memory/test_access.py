"""`AccessTrackerMixin`: staging reads, confirming them, and which queries stage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    DecayingSortedField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    StringField,
    clock,
    transaction,
)
from tests.driver import Api, RoundTrips

NOW = 1000.5


class Seen(AccessTrackerMixin, Model):
    name = KeyField()
    kind = StringField(default="k")
    relevance = DecayingSortedField()

    _max_access_log = 3


class Silent(AccessTrackerMixin, Model):
    name = KeyField()

    _track_reads = False
    _max_access_log = 0


class Pointing(Model):
    name = KeyField()
    to = Relationship(Seen)


@pytest.fixture
def seen() -> Seen:
    return Seen.create(name="x")


def staged(redis_client: redis.Redis, name: str = "x") -> int:
    return redis_client.llen(f"$AT:Seen:staged:Seen:{name}")


def read_at(record: Any, *moments: float) -> None:
    for moment in moments:
        with clock.using(moment):
            record.on_read()


def test_staged_reads_are_confirmed(api: Api, redis_client: redis.Redis, seen: Seen) -> None:
    read_at(seen, 1000.5, 1001.5, 1002.5, 1003.5, 1004.5)
    assert seen.access_count == 0
    assert seen.last_accessed is None
    assert api(seen.confirm_access) == 5
    assert (seen.access_count, seen.last_accessed) == (5, 1004.5)
    log = redis_client.lrange("$AT:Seen:access_log:Seen:x", 0, -1)
    assert log == [b"1002.5", b"1003.5", b"1004.5"]
    assert redis_client.hgetall("$AT:Seen:meta:Seen:x") == {
        b"access_count": b"5",
        b"last_accessed": b"1004.5",
    }
    assert api(seen.confirm_access) == 0
    assert staged(redis_client) == 0


def test_the_twins_of_properties(api: Api, seen: Seen) -> None:
    read_at(seen, NOW)
    api(seen.confirm_access)
    if api.is_async:

        class Both:
            def count(self) -> int:
                return seen.access_count

            async_count = seen.async_access_count

            def last(self) -> float | None:
                return seen.last_accessed

            async_last = seen.async_last_accessed

        assert (api(Both().count), api(Both().last)) == (1, NOW)


def test_what_others_have_staged_counts(redis_client: redis.Redis, seen: Seen) -> None:
    redis_client.rpush("$AT:Seen:staged:Seen:x", *(str(1000.0 + n) for n in range(2500)))
    assert seen.confirm_access() == 2500
    assert redis_client.llen("$AT:Seen:access_log:Seen:x") == 3


def test_staged_reads_are_discarded(api: Api, redis_client: redis.Redis, seen: Seen) -> None:
    read_at(seen, NOW)
    api(seen.discard_staged_access)
    assert staged(redis_client) == 0
    read_at(seen, NOW)
    pipeline = redis_client.pipeline()
    seen.discard_staged_access(pipeline=pipeline)
    pipeline.execute()
    assert staged(redis_client) == 0
    assert api(seen.confirm_access) == 0


def test_a_log_of_none_keeps_none(redis_client: redis.Redis) -> None:
    silent = Silent.create(name="x")
    Silent.query.get(name="x")
    assert redis_client.exists("$AT:Silent:staged:Silent:x") == 0
    read_at(silent, NOW, NOW + 1)
    assert silent.confirm_access() == 2
    assert redis_client.exists("$AT:Silent:access_log:Silent:x") == 0
    assert silent.access_count == 2


def test_staging_is_bounded(redis_client: redis.Redis, seen: Seen) -> None:
    Seen._max_staged = 4
    try:
        read_at(seen, *(1000.0 + number for number in range(9)))
    finally:
        del Seen._max_staged
    assert redis_client.lrange("$AT:Seen:staged:Seen:x", 0, -1)[0] == b"1005.0"
    assert 86_000 < redis_client.ttl("$AT:Seen:staged:Seen:x") <= 86_400


def test_a_record_that_is_gone_stages_nothing(redis_client: redis.Redis, seen: Seen) -> None:
    redis_client.delete("Seen:x")
    seen.on_read()
    pipeline = redis_client.pipeline()
    seen.on_read(pipeline=pipeline)
    pipeline.execute()
    assert staged(redis_client) == 0
    for record in (seen, Seen(name="new"), Seen()):
        with pytest.raises(TypeError, match="requires a saved model instance"):
            record.confirm_access()


def test_a_constructed_instance_stands_for_its_record(seen: Seen) -> None:
    read_at(seen, NOW)
    assert Seen(name="x").confirm_access() == 1


def test_keys(seen: Seen) -> None:
    assert seen._at_key("meta") == "$AT:Seen:meta:Seen:x"
    seen.name = "y"
    assert seen._at_key("staged") == "$AT:Seen:staged:Seen:x"
    assert Seen(name="y")._at_key("access_log") == "$AT:Seen:access_log:Seen:y"


@pytest.mark.parametrize(
    ("name", "value"), [("_max_access_log", -1), ("_max_access_log", 1.5), ("_max_staged", 0)]
)
def test_settings_that_cannot_work(name: str, value: Any) -> None:
    with pytest.raises(ModelException, match=name):
        type(
            "Broken",
            (AccessTrackerMixin, Model),
            {"__module__": __name__, "name": KeyField(), name: value},
        )


# Which queries stage ---------------------------------------------------------------------------

HANDED_OUT: dict[str, Callable[[], Any]] = {
    "get by key fields": lambda: Seen.query.get(name="x"),
    "get by key": lambda: Seen.query.get("Seen:x"),
    "get by redis_key": lambda: Seen.query.get(redis_key="Seen:x"),
    "get by another field": lambda: Seen.query.get(kind="only"),
    "load": lambda: Seen.load(name="x"),
    "get_or_create": lambda: Seen.get_or_create(name="x"),
    "get_many": lambda: Seen.query.get_many(["Seen:x"]),
    "all": Seen.query.all,
    "filter": lambda: Seen.query.filter(kind="only").all(),
    "iteration": lambda: list(Seen.query.filter(kind="only")),
    "first": lambda: Seen.query.filter(kind="only").first(),
    "its place": lambda: Seen.query.filter(kind="only")[0],
    "its place from behind": lambda: Seen.query.filter(kind="only")[-1],
    "its place in all": lambda: Seen.query[0],
    "top_by_decay": Seen.query.top_by_decay,
}
NOT_HANDED_OUT: dict[str, Callable[[], Any]] = {
    "values": lambda: Seen.query.filter(kind="only").values("name").all(),
    "count": lambda: Seen.query.filter(kind="only").count(),
    "keys": lambda: Seen.query.filter(kind="only").keys(),
    "no_track": lambda: Seen.query.filter(kind="only").no_track().all(),
    "no_track of all": lambda: Seen.query.no_track().all(),
    "no_track ranked": lambda: Seen.query.no_track().top_by_decay(),
    "rebuild_indexes": Seen.rebuild_indexes,
    "check_indexes": Seen.check_indexes,
    "bulk_update": lambda: Seen.bulk_update(Seen.query.filter(kind="only"), kind="only"),
    "a related record": lambda: Pointing.query.get(name="p").to.name,
}


@pytest.fixture
def only() -> None:
    record = Seen.create(name="x", kind="only")
    Pointing.create(name="p", to=record)


@pytest.mark.usefixtures("only")
@pytest.mark.parametrize("how", HANDED_OUT)
def test_a_record_that_is_handed_out_is_staged_once(how: str, redis_client: redis.Redis) -> None:
    HANDED_OUT[how]()
    assert staged(redis_client) == 1


@pytest.mark.parametrize("place", [0, 1, -1, slice(0, 2), slice(None, None, 2), slice(-2, None)])
def test_only_what_a_place_hands_out_is_staged(place: Any, redis_client: redis.Redis) -> None:
    for name in "abc":
        Seen.create(name=name)
    query = Seen.query.filter(kind="k").order_by("name")
    expected = "abc"[place]
    found = query[place]
    names = "".join(each.name for each in ([found] if isinstance(place, int) else found))
    assert names == expected
    assert [staged(redis_client, name) for name in "abc"] == [int(n in expected) for n in "abc"]


def test_the_shared_results_of_a_query_are_staged_once_each(redis_client: redis.Redis) -> None:
    for name in "abc":
        Seen.create(name=name)
    query = Seen.query.filter(kind="k").order_by("name")
    assert len(query) == 3
    assert query[1] is query[1]
    assert [staged(redis_client, name) for name in "abc"] == [0, 1, 0]
    assert [each.name for each in query] == ["a", "b", "c"]
    assert (query[2], len(list(query))) == (Seen(name="c"), 3)
    assert [staged(redis_client, name) for name in "abc"] == [1, 1, 1]


@pytest.mark.usefixtures("only")
@pytest.mark.parametrize("how", NOT_HANDED_OUT)
def test_what_hands_out_no_record_stages_nothing(how: str, redis_client: redis.Redis) -> None:
    NOT_HANDED_OUT[how]()
    assert staged(redis_client) == 0


def test_many_reads_are_staged_in_one_round_trip(
    redis_client: redis.Redis, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    Seen.bulk_create([Seen(name=f"n{number}") for number in range(50)])
    with round_trips() as counted:
        Seen.query.filter(kind="k").all()
    assert counted.sends == 2
    assert {staged(redis_client, f"n{number}") for number in range(50)} == {1}


# Where it goes ---------------------------------------------------------------------------------


def test_what_is_tracked_follows_the_record(
    api: Api, redis_client: redis.Redis, seen: Seen
) -> None:
    read_at(seen, NOW)
    api(seen.confirm_access)
    read_at(seen, NOW + 1)
    seen.name = "y"
    api(seen.save, migrate_key=True)
    assert (seen.access_count, staged(redis_client, "y")) == (1, 1)
    assert redis_client.keys("$AT:*Seen:x") == []
    api(seen.delete)
    assert redis_client.keys("$AT:*") == []


def test_what_is_tracked_expires_with_the_record(redis_client: redis.Redis, seen: Seen) -> None:
    seen._ttl = 1000
    seen.save()
    read_at(seen, NOW)
    seen.confirm_access()
    read_at(seen, NOW)
    for kind in ("staged", "access_log", "meta"):
        assert 0 < redis_client.ttl(f"$AT:Seen:{kind}:Seen:x") <= 1000


def test_upkeep_finds_what_is_left(redis_client: redis.Redis, seen: Seen) -> None:
    read_at(seen, NOW)
    seen.confirm_access()
    redis_client.delete("Seen:x")
    assert Seen.check_indexes()["companions"]["$AT:Seen:meta:*"] == 1
    Seen.clean_indexes()
    assert redis_client.keys("$AT:*") == []


def test_confirming_is_atomic_and_waits_where_it_should(
    redis_client: redis.Redis, seen: Seen
) -> None:
    read_at(seen, *(1000.0 + number for number in range(40)))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(seen.confirm_access())) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 40]
    read_at(seen, NOW)
    pipeline = redis_client.pipeline()
    assert seen.confirm_access(pipeline=pipeline) is pipeline
    assert seen.access_count == 40
    pipeline.execute()
    assert seen.access_count == 41
    read_at(seen, NOW)
    with transaction() as together:
        seen.confirm_access(pipeline=together)
    assert together.results == [1]
