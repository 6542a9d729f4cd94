"""No script stops half-way: what a later command may meet is found out before the first write.

Servers ask for memory, disks and replicas at the first write of a script alone, and time stands
still while one runs, so these cannot come between two commands. That leaves the types of keys and
the rights of users, which each script has to look at, and numbers (`test_what_stands_in_the_way`).
"""

from __future__ import annotations

import pytest
import redis

from popoto import StreamConsumer
from tests.driver import Api
from tests.truth.everything import IN_STEPS, OPERATIONS, Operation, Ship, fill, ship
from tests.truth.traced import (
    ERROR_AT,
    TRACE,
    Asked,
    calls,
    is_write,
    traced,
    unproven,
    walk_errors,
)

ALL = {**OPERATIONS, **IN_STEPS}


def told(asked: Asked) -> str:
    return f"{asked.how} {asked.name} {asked.key.decode('utf-8', 'replace')}"


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("operation", ALL.values(), ids=ALL)
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis, api: Api, operation: Operation
) -> None:
    ships = fill()
    ship("gone").save()
    redis_client.delete("Ship:gone")
    with traced():
        operation(api, ships)
    asked = calls(redis_client)
    assert any(is_write(each) for call in asked for each in call)
    assert [told(each) for call in asked for each in unproven(call)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_error_at_any_command_before_the_first_write_leaves_everything_as_it_was(
    redis_client: redis.Redis, operation: Operation
) -> None:
    api = Api(is_async=False)
    walk_errors(redis_client, fill, lambda ships: operation(api, ships))
    api.close()


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_claim_that_a_missing_record_left_is_looked_at_too(redis_client: redis.Redis) -> None:
    fill()
    redis_client.delete("Ship:a", "Ship:a::log")
    with traced():
        ship("c", call_sign="sign-a", note="of a").save()
    assert [told(each) for call in calls(redis_client) for each in unproven(call)] == []
    assert Ship.query.get(call_sign="sign-a").name == "c"


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_a_count_that_comes_to_nothing_is_looked_at_too(redis_client: redis.Redis) -> None:
    """With the last record that it counts, its field goes out of its hash."""
    only = ship("a")
    only.save()
    only.flag = "blue"
    with traced():
        only.save()
    (asked,) = calls(redis_client)
    assert "HDEL" in {each.name for each in asked if each.how == "call"}
    assert [told(each) for each in unproven(asked)] == []


@pytest.mark.single_server("notes what scripts do under a key of one server")
def test_entries_that_failed_are_looked_after_without_stopping_half_way(
    redis_client: redis.Redis,
) -> None:
    """One that is tried again, one that is given up, and one that the stream has lost."""
    redis_client.xgroup_create("work", "group", mkstream=True)
    ids = [redis_client.xadd("work", {"n": str(number)}) for number in range(3)]
    redis_client.xreadgroup("group", "dead", {"work": ">"})
    redis_client.xclaim("work", "group", "dead", 0, [ids[0]], retrycount=9)
    redis_client.xdel("work", ids[2])
    handled: list[object] = []
    consumer = StreamConsumer("work", "group", "me", handled.append, 10, 0, 3, 0)
    with traced():
        consumer.process_batch_sync()
    assert [told(each) for call in calls(redis_client) for each in unproven(call)] == []
    assert len(handled) == 1
    assert redis_client.xlen("dead:work") == 1
    assert redis_client.xpending("work", "group")["pending"] == 0


def test_the_proof_would_find_what_is_not_looked_at() -> None:
    """The two that it is made of: a right, and a type."""
    may, size = Asked("may", "SADD", [b"\0"], None), Asked("pcall", "SCARD", [b"k"], 0)
    first, write = Asked("call", "HSET", [b"h"], 1), Asked("call", "SADD", [b"k", b"m"], 1)
    ready = [Asked("may", "HSET", [b"h"], None), Asked("call", "HLEN", [b"h"], 1)]
    assert unproven([*ready, may, size, first, write]) == []
    assert unproven([*ready, size, first, write]) == [write]
    assert unproven([*ready, may, first, write]) == [write]
    assert TRACE != ERROR_AT
