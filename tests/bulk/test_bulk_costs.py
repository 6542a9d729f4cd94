"""What many records ask of one key is asked once, and comes to the same as asking in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from popoto import IndexedField, KeyField, Model, SortedField, UniqueField
from popoto.engine.batch import Batch, KeyArgument
from tests.driver import Api, RoundTrips

Counter = Callable[[], AbstractContextManager[RoundTrips]]


class Tool(Model):
    name = KeyField()
    kind = IndexedField()
    serial = UniqueField()
    weight = SortedField(type=int)


def tools(count: int) -> list[Tool]:
    return [
        Tool(name=f"n{number}", kind=f"k{number % 3}", serial=f"s{number}", weight=number)
        for number in range(count)
    ]


@pytest.mark.single_server("on a cluster scripts also ask whether their slot is on its way")
def test_what_many_records_ask_of_one_key_is_asked_once(api: Api, round_trips: Counter) -> None:
    api(Tool.create, name="first", kind="k0", serial="first", weight=0)
    with round_trips() as created:
        api(Tool.bulk_create, tools(300))
    # One for the class set, and one each for the sets of the values.
    assert created.commands["sadd"] == 1 + 3 * 300
    # The keys, the weights, and the distinct texts of three fields.
    assert created.commands["zadd"] == 5
    assert created.commands["hincrby"] == 3
    assert created.commands["hset"] == 300
    assert created.commands["type"] == 0
    # Nobody's record, note, place or claim is in the way: that is asked of all at once. So is
    # whether the call is late.
    looks = ("exists", "hmget", "hget", "sismember", "smismember", "smembers")
    assert sum(created.commands[each] for each in looks) <= 11
    with round_trips() as changed:
        api(Tool.bulk_update, Tool.query.filter(weight__gte=0), kind="other")
    assert changed.commands["zadd"] == changed.commands["zrem"] == 1
    with round_trips() as deleted:
        api(Tool.bulk_delete, Tool.query.all())
    assert deleted.commands["del"] == 1
    assert deleted.commands["zrem"] <= 7
    assert deleted.commands["hset"] == 0


# ── The same as in turn ──────────────────────────────────────────────────────

MEMBERS = st.sampled_from(["a", "b", "c"])
SETS = st.sampled_from(["s1", "s2"])
ZSETS = st.sampled_from(["z1", "z2"])
RECORDS = st.sampled_from(["r1", "r2"])
TEXTS = st.sampled_from(["x", "y", "{&#58;}"])


UNION = ("KEYED", None, "SUNIONSTORE", "kkk", *map(KeyArgument, ("all", "s1", "s2")))


def entry(name: str, member: str, text: str) -> tuple[Any, ...]:
    lists = KeyArgument("texts"), KeyArgument("counts")
    return name, f"v:{text}", member, *lists, "f", text, 1


COMMANDS = st.one_of(
    st.tuples(st.sampled_from(["SADD", "SREM"]), SETS, MEMBERS),
    st.tuples(st.just("ZADD"), ZSETS, st.integers(0, 3), MEMBERS),
    st.tuples(st.just("ZADD"), ZSETS, st.just("NX"), st.integers(0, 3), MEMBERS),
    st.tuples(st.just("ZREM"), ZSETS, MEMBERS),
    st.builds(entry, st.sampled_from(["ENTER", "LEAVE"]), RECORDS, TEXTS),
    st.tuples(st.just("DEL"), st.one_of(SETS, ZSETS, RECORDS)),
    st.tuples(st.just("HSET"), RECORDS, st.just("f"), TEXTS.map(lambda text: f"\x80{text}")),
    st.builds(lambda key: ("RETIRE", key, KeyArgument("ends"), KeyArgument("notes"), key), RECORDS),
    st.just(UNION),
    st.just(("INCR", "number")),
)


def state(client: redis.Redis) -> dict[bytes, Any]:
    """Everything on the server."""
    reads: dict[bytes, Callable[[bytes], Any]] = {
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"hash": client.hgetall,
        b"string": client.get,
    }
    return {key: reads[client.type(key)](key) for key in sorted(client.keys())}


@pytest.mark.single_server("its names belong to no model and so to no shard")
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(commands=st.lists(COMMANDS, max_size=12))
# Another command looks at the key in between; an entry goes from a set and comes back.
@pytest.mark.slow(2)
@example(commands=[("SADD", "s1", "a"), UNION, ("SADD", "s1", "b")])
@example(
    commands=[
        entry("ENTER", "r1", "x"),
        *(entry("LEAVE", "r1", "y"), entry("LEAVE", "r2", "x"), entry("ENTER", "r2", "x")),
    ]
)
@example(
    commands=[
        *(entry("ENTER", "r1", "x"), entry("LEAVE", "r1", "x"), entry("LEAVE", "r1", "y")),
        entry("ENTER", "r1", "y"),
    ]
)
def test_commands_together_come_to_the_same_as_in_turn(
    redis_client: redis.Redis, commands: list[tuple[Any, ...]]
) -> None:
    states: list[dict[bytes, Any]] = []
    for together in (True, False):
        redis_client.flushall()
        for record in ("r1", "r2"):
            redis_client.zadd("ends", {record: 5})
            redis_client.hset("notes", record, "note")
        batch = Batch()
        for name, key, *rest in commands:
            batch.put(name, key, *rest)
        call = batch.call(every=True, replies=not together)
        reply = redis_client.execute_command(*call.command("", by_text=True))
        assert reply[0] == 1
        states.append(state(redis_client))
    assert states[0] == states[1]
