"""Unique fields and unique composite indexes: one winner, decided by the server."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from popoto import (
    Field,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from popoto.exceptions import UniquenessError
from tests.driver import Api
from tests.truth.oracle import violations


class User(Model):
    name = KeyField()
    email = UniqueField(default=None)
    code = IntField(unique=True)
    alias = StringField(unique=True)
    team = StringField()
    seat = IntField()

    class Meta:
        indexes = ((("team", "seat"), True), (("team",), False))


def user(name: str, **values: Any) -> Any:
    return User(**{"name": name, "email": name + "@x", **values})


@pytest.mark.parametrize("values", [{"email": "e"}, {"code": 5}, {"alias": "al"}])
def test_a_taken_value_is_refused(
    api: Api, redis_client: redis.Redis, values: dict[str, Any]
) -> None:
    api(user("a", **values).save)
    before = redis_client.keys("*")
    with pytest.raises(ModelException, match=r"(?i)unique.*already exists"):
        api(user("b", **values).save)
    assert api(user("b", **values).save, ignore_errors=True) is False
    assert sorted(redis_client.keys("*")) == sorted(before)


def test_a_taken_tuple_is_refused(api: Api, redis_client: redis.Redis) -> None:
    api(user("a", team="t", seat=1).save)
    with pytest.raises(UniquenessError, match=r"Unique index violation.*already exists"):
        api(user("b", team="t", seat=1).save)
    api(user("c", team="t", seat=2).save)
    assert violations(redis_client, User) == []


def test_null_is_not_constrained(api: Api) -> None:
    api(user("a", team="t").save)
    api(user("b", team="t").save)
    assert api(User.query.count) == 2


def test_the_owner_may_save_again(api: Api, redis_client: redis.Redis) -> None:
    record = user("a", code=1, team="t", seat=1)
    api(record.save)
    api(record.save)
    api(user("a", code=1, team="t", seat=1, alias="z").save)
    found = api(User.query.all)[0]
    found.alias = "y"
    api(found.save)
    assert violations(redis_client, User) == []


@pytest.mark.parametrize("lazy", [False, True])
def test_a_changed_value_is_free_again(api: Api, redis_client: redis.Redis, lazy: bool) -> None:
    record = user("a", code=1, team="t", seat=1, email="e")
    api(record.save)
    if lazy:
        (record,) = api(User.query.all)
    record.code, record.seat, record.email = 2, 2, "f"
    api(record.save)
    api(user("b", code=1, team="t", seat=1, email="e").save)
    assert violations(redis_client, User) == []


def test_a_deleted_record_frees_its_values(api: Api, redis_client: redis.Redis) -> None:
    api(user("a", code=1, team="t", seat=1).save)
    api(api(User.query.all)[0].delete)
    assert redis_client.keys("*") == []
    api(user("b", code=1, team="t", seat=1, email="a@x").save)


def test_a_holder_that_is_gone_does_not_block(api: Api, redis_client: redis.Redis) -> None:
    api(user("a", code=1, team="t", seat=1, email="e").save)
    redis_client.delete("User:a")
    api(user("b", code=1, team="t", seat=1, email="e").save)
    assert api(User.query.get, code=1).name == "b"
    assert redis_client.smembers("$UniquF:User:email:e") == {b"User:b"}


def test_composite_values_that_share_a_digest_do_not_conflict(
    api: Api, redis_client: redis.Redis
) -> None:
    class Pair(Model):
        name = KeyField()
        left = StringField()
        right = StringField()

        class Meta:
            indexes = ((("left", "right"), True),)

    api(Pair.create, name="1", left="x:y", right="z")
    api(Pair.create, name="2", left="x", right="y:z")
    with pytest.raises(UniquenessError):
        api(Pair.create, name="3", left="x:y", right="z")
    with pytest.raises(UniquenessError):
        api(Pair.create, name="4", left="x", right="y:z")
    for name in ("1", "2"):
        api(api(Pair.query.get, name=name).delete)
    assert redis_client.keys("*") == []


def test_null_and_its_text_are_different_values(api: Api) -> None:
    class Tagged(Model):
        name = KeyField()
        tag = IndexedField(unique=True)

    api(Tagged.create, name="a", tag="None")
    api(Tagged.create, name="b", tag=None)
    api(Tagged.create, name="c", tag=None)
    with pytest.raises(UniquenessError):
        api(Tagged.create, name="d", tag="None")


@pytest.mark.parametrize(
    "field",
    [Field(type=int, unique=True), IntField(unique=True), SortedField(type=int, unique=True)],
)
def test_unique_is_enforced_for_every_kind_of_field(api: Api, field: Any) -> None:
    record = type(Model)("Numbered", (Model,), {"name": KeyField(), "number": field})
    api(record.create, name="a", number=1)
    with pytest.raises(UniquenessError):
        api(record.create, name="b", number=1)
    assert api(record.query.get, number=1).name == "a"


@pytest.mark.parametrize("kind", [GeoField, Relationship])
def test_unique_is_refused_where_it_could_not_be_enforced(kind: Any) -> None:
    with pytest.raises(ModelException, match=r"unique.*Meta\.indexes"):
        kind(unique=True, **({"model": User} if kind is Relationship else {}))


def test_a_unique_sorted_field_by_a_composite_index(api: Api) -> None:
    class Ranked(Model):
        name = KeyField()
        place = SortedField(type=int)

        class Meta:
            indexes = ((("place",), True),)

    api(Ranked.create, name="a", place=1)
    with pytest.raises(UniquenessError):
        api(Ranked.create, name="b", place=1)
    api(Ranked.create, name="c", place=2)


def test_a_unique_key_field_beside_another_key(api: Api) -> None:
    class Badge(Model):
        tag = UniqueKeyField()
        owner = KeyField()

    api(Badge.create, tag="t", owner="o")
    with pytest.raises(UniquenessError):
        api(Badge.create, tag="t", owner="p")


# Races ------------------------------------------------------------------------------------------


def outcome_of(call: Any) -> str:
    try:
        call()
    except ModelException:
        return "refused"
    return "stored"


def test_of_many_threads_one_wins(redis_client: redis.Redis) -> None:
    records = [user(str(number), email="same", team="t", seat=1) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda record: outcome_of(record.save), records))
    assert outcomes.count("stored") == 1
    assert User.query.count() == 1
    assert violations(redis_client, User) == []


def test_of_many_tasks_one_wins(api: Api, redis_client: redis.Redis) -> None:
    records = [user(str(number), code=7) for number in range(16)]

    async def save(record: Any) -> str:
        try:
            await record.async_save()
        except ModelException:
            return "refused"
        return "stored"

    async def race() -> list[str]:
        return await asyncio.gather(*map(save, records))

    assert api.run(race()).count("stored") == 1
    assert violations(redis_client, User) == []


def test_a_stale_writer_takes_nothing_from_another(api: Api, redis_client: redis.Redis) -> None:
    api(user("a", team="t", seat=1).save)
    stale = api(User.query.all)[0]
    fresh = api(User.query.get, name="a")
    fresh.seat = 2
    api(fresh.save)
    api(user("b", team="t", seat=1).save)
    stale.alias = "changed"
    api(stale.save)
    with pytest.raises(UniquenessError):
        api(user("c", team="t", seat=1).save)
    with pytest.raises(UniquenessError):
        api(stale.save, update_fields=["seat"])
    assert violations(redis_client, User) == []
