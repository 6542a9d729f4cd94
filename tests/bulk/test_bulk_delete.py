"""`bulk_delete` and `delete_all`: records with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException
from tests.driver import Api, RoundTrips
from tests.upkeep.zoo import Animal, Keeper, Visit, animal, state


def fill(count: int = 12) -> list[Animal]:
    return Animal.bulk_create([animal(number) for number in range(count)])


def test_instances(api: Api, redis_client: redis.Redis) -> None:
    given = fill()
    rest = {each.tag for each in given[5:]}
    assert api(Animal.bulk_delete, iter(given[:5]), batch_size=2) == 5
    assert {each.tag for each in Animal.query.all()} == rest
    assert Animal.check_indexes()["total"] == 0
    assert given[0]._is_persisted is False
    assert api(given[0].save) > 0
    assert api(Animal.bulk_delete, Animal.query.all()) == 8
    assert redis_client.keys() == []


def test_a_query(api: Api, redis_client: redis.Redis) -> None:
    fill()
    assert api(Animal.bulk_delete, Animal.query.filter(mood="happy")) == 3
    assert Animal.query.filter(mood="happy").count() == 0
    assert Animal.check_indexes()["total"] == 0
    assert api(Animal.bulk_delete, Animal.query.filter()) == 9
    assert redis_client.keys() == []


def test_what_counts_is_what_was_given(api: Api) -> None:
    given = fill(3)
    given[0].delete()
    assert api(Animal.bulk_delete, [given[0], given[1], given[1], animal(77)]) == 4
    assert {each.tag for each in Animal.query.all()} == {"t2"}
    assert api(Animal.bulk_delete, []) == 0
    assert api(Animal.bulk_delete, None) == 0
    assert api(Animal.bulk_delete, given[2]) == 1


def test_the_stored_values_decide_which_entries_go(api: Api, redis_client: redis.Redis) -> None:
    given = fill(3)
    other = Animal.query.get(redis_key=given[0]._redis_key)
    other.mood = "changed meanwhile"
    other.save()
    given[1].mood = "never saved"
    assert api(Animal.bulk_delete, [*given[:2], animal(2, mood="constructed", chip="z")]) == 3
    assert redis_client.keys() == []


def test_wrong_arguments(api: Api) -> None:
    fill(2)
    with pytest.raises(ModelException, match="Animal"):
        api(Animal.bulk_delete, [Keeper(name="k")])
    with pytest.raises(ValueError, match="batch_size"):
        api(Animal.bulk_delete, [], batch_size=0)
    with pytest.raises(ValueError, match="batch_size"):
        api(Animal.delete_all, batch_size=0)
    assert Animal.query.count() == 2


def test_hooks_run_for_every_record(api: Api, redis_client: redis.Redis) -> None:
    class Noted(IndexedField):
        @classmethod
        def on_delete(cls, field_value: Any, pipeline: Any = None, **kw: Any) -> Any:
            pipeline.rpush("$Log", f"{kw['saved_redis_key']} {field_value}")
            return super().on_delete(field_value=field_value, pipeline=pipeline, **kw)

    class Logged(Model):
        name = KeyField()
        word = Noted()

    Logged.bulk_create([Logged(name=name, word=name * 2) for name in "abc"])
    api(Logged.bulk_delete, Logged.query.filter(name="a"))
    api(Logged.delete_all)
    assert sorted(redis_client.lrange("$Log", 0, -1)) == [
        b"Logged:a aa", b"Logged:b bb", b"Logged:c cc",
    ]  # fmt: skip


def test_delete_all_leaves_no_key(api: Api, redis_client: redis.Redis) -> None:
    keeper = Keeper(name="Animal")
    keeper.save()
    Visit().save()
    others = state(redis_client)
    fill(30)
    expiring = animal(40)
    expiring._ttl = 1000
    expiring.save()
    redis_client.delete(animal(3)._redis_key, expiring._redis_key)
    redis_client.hset(animal(50)._redis_key, "tag", b"\xa1x")
    told: list[int] = []
    assert api(Animal.delete_all, batch_size=10, progress=told.append) == 30
    assert state(redis_client) == others
    assert told[-1] == 29
    assert api(Animal.delete_all) == 0


def test_unique_values_are_free_afterwards(api: Api) -> None:
    api(Animal.bulk_create, [animal(1, mood="m", chip="c")])
    assert api(Animal.delete_all) == 1
    api(Animal.bulk_create, [animal(2, mood="m", chip="c")])
    assert Animal.query.count() == 1


def test_a_delete_of_the_models_own_is_called(api: Api) -> None:
    seen: list[str] = []

    class Own(Model):
        name = KeyField()

        def delete(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(self.name)
            return super().delete(*args, **kwargs)

        async def async_delete(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(self.name)
            return await super().async_delete(*args, **kwargs)

    Own.bulk_create([Own(name=name) for name in "abc"])
    assert api(Own.bulk_delete, Own.query.filter(name="b")) == 1
    assert api(Own.delete_all) == 2
    assert sorted(seen) == ["a", "b", "c"]


@pytest.mark.single_server("counts what one server is asked")
def test_round_trips(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    fill(500)
    with round_trips() as seen:
        assert api(Animal.bulk_delete, Animal.query.filter(born__lt=250)) == 250
    assert seen.sends <= 3
    with round_trips() as seen:
        assert api(Animal.delete_all) == 250
    assert seen.sends <= 3
