"""What a query clears away, what that costs, and what it must not touch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, Q, SortedField
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Note(Model):
    name = KeyField()
    about = IndexedField()
    weight = SortedField(type=float, default=1.0)


QUERIES: list[Callable[[], Any]] = [
    lambda: Note.query.count,
    lambda: Note.query.all,
    lambda: Note.query.filter(about="x").all,
    lambda: Note.query.filter(about__startswith="x").count,
    lambda: Note.query.filter(weight__gte=0).all,
    lambda: Note.query.filter(about="x").keys,
]


@pytest.mark.parametrize("make", QUERIES, ids=range(len(QUERIES)))
def test_an_expired_record_costs_a_query_one_round_trip(
    api: Api, redis_client: redis.Redis, round_trips: Counter, make: Callable[[], Any]
) -> None:
    """It is swept, and not repaired once more; the query after that finds nothing to do."""
    api(Note.create, name="warm", about="x", _ttl=0)
    api(Note.query.count)
    api(Note.create, name="a", about="x", _ttl=0)
    with round_trips() as seen:
        assert not api(make())
    assert seen.sends == 2
    assert redis_client.keys("*Note*") == []
    with round_trips() as after:
        assert not api(make())
    assert after.sends == 1


@pytest.mark.parametrize("make", QUERIES, ids=range(len(QUERIES)))
def test_a_record_deleted_by_hand_costs_one_round_trip_too(
    api: Api, redis_client: redis.Redis, round_trips: Counter, make: Callable[[], Any]
) -> None:
    for name in "ab":
        api(Note.create, name=name, about="x")
    api(make())
    redis_client.delete("Note:a")
    with round_trips() as seen:
        api(make())
    assert seen.sends == 2
    with round_trips() as after:
        api(make())
    assert after.sends == 1


def test_both_kinds_are_cleared_away_by_one_query(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    api(Note.create, name="expired", about="x", _ttl=0)
    api(Note.create, name="deleted", about="x")
    redis_client.delete("Note:deleted")
    assert api(Note.query.filter(about="x").all) == []
    assert not redis_client.exists("$IndexF:Note:about:x", "$Class:Note")
    with round_trips() as after:
        assert api(Note.query.filter(about="x").all) == []
    assert after.sends == 1


def test_a_text_that_reads_like_the_key_of_a_missing_record_is_still_found(
    api: Api, redis_client: redis.Redis
) -> None:
    api(Note.create, name="a", about="x")
    api(Note.create, name="b", about="Note:a")
    redis_client.delete("Note:a")
    either = Q(about="x") | Q(about__startswith="Note:")
    assert [each.name for each in api(Note.query.filter(either).all)] == ["b"]
    found = api(Note.query.filter(about__startswith="Note:").all)
    assert [each.name for each in found] == ["b"]
