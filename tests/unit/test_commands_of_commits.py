"""Commands of commit.lua where the keys are not as one expects: gone, permanent, left by others."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
import redis

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import encoder_for
from popoto.engine.request import Request
from popoto.engine.run import run

pytestmark = pytest.mark.single_server("its names belong to no model and so to no shard")

REGISTRY, VALUES = "$Expiry:M", "$Expiry:M:values"


def carried_out(batch: Batch) -> list[Any]:
    (reply,) = run(_plan(batch))
    return Batch.replies_of(reply)


def _plan(batch: Batch) -> Any:
    return (yield Request.write(batch.call(), shard="M"))


# The end of a record -----------------------------------------------------------------------------


def as_is(key: str, companion: str) -> Batch:
    batch = Batch()
    batch.put(
        *("EXPIRE-AS-IS", key, 0, KeyArgument(REGISTRY), KeyArgument(VALUES), key, 1),
        *(KeyArgument(companion), "name"),
    )
    return batch


@pytest.mark.parametrize("is_there", [False, True], ids=["gone", "permanent"])
def test_where_a_record_has_no_end_nothing_is_noted(
    redis_client: redis.Redis, is_there: bool
) -> None:
    if is_there:
        redis_client.hset("M:a", "name", "a")
    redis_client.rpush("M:a::latest", "x")
    assert carried_out(as_is("M:a", "M:a::latest")) == [0]
    assert redis_client.exists(REGISTRY, VALUES) == 0
    assert redis_client.ttl("M:a::latest") == -1


def test_what_is_kept_beside_a_record_ends_with_it(redis_client: redis.Redis) -> None:
    redis_client.hset("M:a", "name", "a")
    redis_client.pexpire("M:a", 50_000)
    redis_client.rpush("M:a::latest", "x")
    carried_out(as_is("M:a", "M:a::latest"))
    assert 0 < redis_client.pttl("M:a::latest") <= 50_000
    noted = redis_client.hget(VALUES, "M:a")
    assert msgpack.unpackb(noted) == {"name": "a"}


@pytest.mark.parametrize(
    ("ends", "left"),
    [("later", {b"M:a"}), ("never", set()), ("gone", {b"M:a"})],
)
def test_the_registry_is_put_right_by_the_record(
    redis_client: redis.Redis, ends: str, left: set[bytes]
) -> None:
    """Of one that is gone it stays as it is: what it has left is to be found by it."""
    redis_client.zadd(REGISTRY, {"M:a": 1})
    redis_client.hset(VALUES, "M:a", "noted")
    if ends != "gone":
        redis_client.hset("M:a", "name", "a")
    if ends == "later":
        redis_client.pexpire("M:a", 50_000)
    batch = Batch()
    batch.put("RESCHEDULE", "M:a", KeyArgument(REGISTRY), KeyArgument(VALUES), "M:a")
    carried_out(batch)
    assert set(redis_client.zrange(REGISTRY, 0, -1)) == left
    assert set(redis_client.hkeys(VALUES)) == left
    moved = redis_client.zscore(REGISTRY, "M:a")
    assert (moved != 1) == (ends != "gone")


# What a record has in a key of many --------------------------------------------------------------


@pytest.mark.parametrize("layout", ["hash", "zset"])
@pytest.mark.parametrize("has_any", [True, False], ids=["something", "nothing"])
def test_what_an_earlier_record_has_left_is_not_kept(
    redis_client: redis.Redis, layout: str, has_any: bool
) -> None:
    def put(key: str, member: str, number: int) -> None:
        if layout == "hash":
            redis_client.hset(key, member, number)
        else:
            redis_client.zadd(key, {member: number})

    def held(key: str, member: str) -> int | None:
        read = redis_client.hget if layout == "hash" else redis_client.zscore
        found = read(key, member)
        return None if found is None else int(found)

    put("new", "b", 7)
    put("new", "other", 8)
    if has_any:
        put("old", "a", 1)
    batch = Batch()
    batch.put("CARRY", "old", layout, "a", KeyArgument("new"), "b")
    assert carried_out(batch) == [1]
    assert held("new", "b") == (1 if has_any else None)
    assert held("new", "other") == 8
    assert held("old", "a") is None


# Creations of several records --------------------------------------------------------------------


@pytest.mark.parametrize("left", [b"another", None], ids=["another", "none"])
def test_each_of_several_is_refused_where_other_notes_are_left(
    redis_client: redis.Redis, left: bytes | None
) -> None:
    """A note says what the indexes still hold of a record that has expired."""
    redis_client.hset(VALUES, "M:a", b"as known")
    if left is not None:
        redis_client.hset(VALUES, "M:b", left)
    batch = Batch()
    for key in ("M:a", "M:b"):
        batch.guard("absent", key, KeyArgument(VALUES), key, b"as known")
        batch.set(key, 1)
    call = batch.call(every=True, replies=False)
    (reply,) = run(Request.write(call, shard="M").plan())
    assert [(each.guard, each.what) for each in Batch.failures(reply)] == [(1, "note")]
    assert not redis_client.exists("M:a", "M:b")
    redis_client.hset(VALUES, "M:b", b"as known")
    (reply,) = run(Request.write(call, shard="M").plan())
    assert Batch.failures(reply) == []
    assert redis_client.exists("M:a", "M:b") == 2


# Slots of composite indexes ----------------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["x", "y"], ids=["the-same-values", "others"])
def test_a_slot_is_taken_beside_one_of_other_values(redis_client: redis.Redis, theirs: str) -> None:
    """The alternative one goes where it is not needed any more."""
    encoded = encoder_for(str)("x")
    redis_client.hset("M:other", "name", encoder_for(str)(theirs))
    redis_client.hset("slots", mapping={"digest": "M:other", "alternative": "M:a"})
    batch = Batch()
    batch.put("SLOT", "slots", "digest", "alternative", "M:a", "name", encoded)
    carried_out(batch)
    slots = redis_client.hgetall("slots")
    if theirs == "x":
        assert slots == {b"digest": b"M:a"}
    else:
        assert slots == {b"digest": b"M:other", b"alternative": b"M:a"}
