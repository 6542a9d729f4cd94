"""What a count costs, and what it trusts: of a large index its size and some of its records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, SortedField
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Crate(Model):
    name = KeyField(type=int)
    shelf = IndexedField()
    weight = SortedField(type=int)


#: What is counted by the size of one index.
COUNTS: list[Callable[[], Any]] = [
    Crate.query.filter,
    lambda: Crate.query.filter(shelf="top"),
    lambda: Crate.query.filter(weight__gte=0),
    lambda: Crate.query.filter(weight__gt=-1, weight__lt=9999),
]


def fill(count: int) -> list[str]:
    """So many records, all on one shelf; their keys."""
    Crate.bulk_create([Crate(name=name, shelf="top", weight=name) for name in range(count)])
    return [f"Crate:{name}" for name in range(count)]


@pytest.mark.single_server("on a cluster scripts also ask whether their slot is on its way")
@pytest.mark.parametrize("make", COUNTS, ids=lambda make: str(COUNTS.index(make)))
def test_many_records_are_counted_without_looking_for_each(
    api: Api, round_trips: Counter, make: Callable[[], Any]
) -> None:
    fill(1000)
    for _ in range(3):
        with round_trips() as seen:
            assert api(make().count) == 1000
        assert seen.sends == 1
        assert seen.commands["smembers"] == seen.commands["exists"] == 0
        # The one is that for what is due in the expiry registry.
        assert seen.commands["zrangebyscore"] == 1
        assert seen.commands["pttl"] <= 32


@pytest.mark.parametrize("make", COUNTS, ids=lambda make: str(COUNTS.index(make)))
def test_few_records_are_counted_exactly(
    api: Api, redis_client: redis.Redis, make: Callable[[], Any]
) -> None:
    keys = fill(128)
    redis_client.delete(keys[77])
    assert api(make().count) == 127


@pytest.mark.parametrize("make", COUNTS, ids=lambda make: str(COUNTS.index(make)))
def test_records_that_are_missing_in_numbers_are_not_counted(
    api: Api, redis_client: redis.Redis, make: Callable[[], Any]
) -> None:
    keys = fill(600)
    redis_client.delete(*keys[:500])
    assert api(make().count) == 100


@pytest.mark.parametrize("make", COUNTS, ids=lambda make: str(COUNTS.index(make)))
def test_records_that_may_expire_without_a_note_are_looked_for(
    api: Api, redis_client: redis.Redis, make: Callable[[], Any]
) -> None:
    # As popoto 1.6 does, and as EXPIRE by hand: nothing is noted of the end.
    keys = fill(300)
    for key in keys[1:]:
        redis_client.expire(key, 1000)
    redis_client.delete(keys[0])
    assert api(make().count) == 299


def test_records_whose_end_is_noted_are_trusted_until_one_is_due(
    api: Api, redis_client: redis.Redis, round_trips: Counter
) -> None:
    class Lent(Model):
        name = KeyField(type=int)

        class Meta:
            ttl = 1000

    Lent.bulk_create([Lent(name=name) for name in range(300)])
    with round_trips() as seen:
        assert api(Lent.query.count) == 300
    assert seen.commands["smembers"] == 0
    assert 16 <= seen.commands["zscore"] <= 32
    redis_client.delete("Lent:7")
    redis_client.zadd("$Expiry:Lent", {"Lent:7": 1})
    assert api(Lent.query.count) == 299


@pytest.mark.slow(1)
def test_the_records_of_a_range_stand_for_it_and_no_others(
    api: Api, redis_client: redis.Redis
) -> None:
    keys = fill(5000)
    redis_client.delete(*keys[4700:])
    assert api(Crate.query.filter(weight__gte=4700).count) == 0
    assert api(Crate.query.filter(weight__lt=4700).count) == 4700
