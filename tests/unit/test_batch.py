"""A batch: what hooks queue on it like on a pipeline, and what becomes of that."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, QueuedCommits, queue
from popoto.engine.keys import shard_prefix
from popoto.engine.request import Request, ScriptCall, tagged
from popoto.engine.run import run
from popoto.engine.scripts import COMMIT, finding
from popoto.memory import commands
from popoto.redis_db import POPOTO_REDIS_DB

#: Commands as redis-py gives them, with the keys k, l and m at odd places.
WITH_KEYS: list[tuple[Any, ...]] = [
    ("GET", "k"),
    ("SET", "k", "v"),
    ("DEL", "k", "l", "m"),
    ("UNLINK", "k", "l"),
    ("TOUCH", "k", "l"),
    ("COPY", "k", "l"),
    ("GEOSEARCHSTORE", "k", "l", "FROMLONLAT", 1, 2, "BYRADIUS", 3, "m"),
    ("LMOVE", "k", "l", "LEFT", "RIGHT"),
    ("RENAME", "k", "l"),
    ("RENAMENX", "k", "l"),
    ("RPOPLPUSH", "k", "l"),
    ("SMOVE", "k", "l", "member"),
    ("ZRANGESTORE", "k", "l", 0, -1),
    ("ZDIFFSTORE", "k", 2, "l", "m"),
    ("ZINTERSTORE", "k", 2, "l", "m", "WEIGHTS", 1, 2),
    ("ZUNIONSTORE", "k", 1, "l", "AGGREGATE", "MIN"),
    ("PFMERGE", "k", "l", "m"),
    ("SDIFFSTORE", "k", "l", "m"),
    ("SINTERSTORE", "k", "l", "m"),
    ("SUNIONSTORE", "k", "l"),
    ("MSET", "k", 1, "l", 2),
    ("MSETNX", "k", 1, "l", 2),
    ("BITOP", "AND", "k", "l", "m"),
    ("XGROUP CREATE", "k", "g", "$", "MKSTREAM"),
    ("XGROUP DESTROY", "k", "g"),
    ("XINFO STREAM", "k", "FULL"),
    ("OBJECT ENCODING", "k"),
    ("MEMORY USAGE", "k", "SAMPLES", 0),
]


def keys_of(batch: Batch) -> list[str]:
    return list(batch.call().keys)


@pytest.mark.parametrize("command", WITH_KEYS, ids=lambda command: command[0])
def test_every_key_is_declared_as_the_server_sees_it(
    redis_client: redis.Redis, command: tuple[Any, ...]
) -> None:
    """A cluster routes by the declared keys, and access control lists look at them."""
    batch = Batch()
    assert batch.execute_command(*command) is batch
    words = [*command[0].split(" "), *command[1:]]
    seen = redis_client.execute_command("COMMAND GETKEYS", *words)
    expected = [key if isinstance(key, str) else key.decode() for key in seen]
    assert sorted(keys_of(batch)) == sorted(expected)
    in_bytes = Batch()
    in_bytes.execute_command(
        command[0], *(word.encode() if isinstance(word, str) else word for word in command[1:])
    )
    assert sorted(keys_of(in_bytes)) == sorted(expected)


def carried_out(batch: Batch) -> list[Any]:
    (reply,) = run(Request.of(batch.call(), shard="Thing").plan())
    outcome = Batch.outcome(reply)
    assert not isinstance(outcome, GuardFailure)
    return outcome


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_they_are_carried_out_as_a_pipeline_would(redis_client: redis.Redis) -> None:
    redis_client.mset({"a": "1", "b": "2"})
    redis_client.sadd("s", "x", "y")
    redis_client.zadd("z", {"x": 1.0})
    batch = Batch()
    batch.copy("a", "c").rename("b", "d").mset({"e": "5", "f": "6"}).delete("a")
    batch.sunionstore("t", "s", "s").smove("s", "u", "x").zunionstore("w", ["z", "z"])
    batch.bitop("OR", "g", "c", "d").xgroup_create("stream", "group", mkstream=True)
    batch.execute_command("MEMORY USAGE", "s", "SAMPLES", 0).execute_command("ping")
    *_, size, pong = carried_out(batch)
    assert size > 0
    assert pong in (b"PONG", "PONG")
    assert not redis_client.exists("a", "b")
    assert redis_client.mget("c", "d", "e", "f", "g") == [b"1", b"2", b"5", b"6", b"3"]
    assert redis_client.smembers("t") == {b"x", b"y"}
    assert redis_client.smembers("u") == {b"x"}
    assert redis_client.zscore("w", "x") == 2.0
    assert redis_client.xinfo_groups("stream")[0]["name"] == b"group"


def test_a_message_has_no_key(redis_client: redis.Redis) -> None:
    listener = redis_client.pubsub()
    listener.subscribe("channel")
    assert listener.get_message(timeout=60)["type"] == "subscribe"
    batch = Batch()
    batch.publish("channel", "hello")
    assert keys_of(batch) == []
    assert carried_out(batch) == [1]
    assert listener.get_message(timeout=60)["data"] == b"hello"
    listener.close()


@pytest.mark.parametrize(
    "name", ["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "eval"]
)
def test_what_a_script_may_not_call_follows_it(name: str) -> None:
    batch = Batch()
    batch.execute_command(name, "text", 1, "k")
    assert batch.after == [(name, "text", 1, "k")]
    assert len(batch) == 0


def test_it_is_sent_by_whom_it_belongs_to() -> None:
    batch = Batch()
    with pytest.raises(TypeError, match="do not execute it"):
        batch.execute()
    batch.reset()
    assert bool(batch)
    assert len(batch) == 0
    batch.set("k", 1)
    assert len(batch) == 1
    assert batch.watching is batch.explicit_transaction is False
    assert batch.transaction is True
    assert (batch.connection, batch.connection_pool, batch.shard_hint) == (None, None, None)


# Very many arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RPUSH", "LPUSH", "SADD", "SREM", "ZREM", "HDEL", "PFADD"])
@pytest.mark.parametrize("count", [4999, 5000, 5001, 10_001])
def test_many_arguments_are_divided(name: str, count: int) -> None:
    batch = Batch()
    batch.put(name, "k", *range(count))
    sizes = [len(arguments) for _, _, arguments in batch.commands]
    assert max(sizes) <= 5000
    assert len(sizes) == -(-count // 5000)
    assert [each for _, _, arguments in batch.commands for each in arguments] == list(range(count))
    assert {step[:2] for step in batch.commands} == {(name, "k")}


@pytest.mark.parametrize("count", [5000, 5002, 15_000])
def test_fields_stay_beside_their_values(redis_client: redis.Redis, count: int) -> None:
    batch = Batch()
    batch.put("HSET", "k", *range(count))
    assert all(len(arguments) % 2 == 0 for _, _, arguments in batch.commands)
    carried_out(batch)
    assert redis_client.hlen("k") == count // 2
    assert redis_client.hget("k", count - 2) == str(count - 1).encode()


def test_what_cannot_be_divided_is_refused() -> None:
    batch = Batch()
    batch.put("EXISTS", "k", *range(5000))
    with pytest.raises(ValueError, match=r"EXISTS with 5001 arguments .* \(5000\)"):
        batch.put("EXISTS", "k", *range(5001))


# Guards ------------------------------------------------------------------------------------------


def test_guards_are_counted_from_nought_and_batches_joined() -> None:
    batch, other = Batch(), Batch()
    assert batch.guard("exists", "k") == 0
    assert batch.guard("holds", "k", "field", b"") == 1
    batch.set("k", 1)
    other.guard("exists", "l")
    other.set("l", 1)
    other.eval("text", 1, "k")
    batch.extend(other)
    assert [step[1] for step in batch.guards] == ["k", "k", "l"]
    assert [step[1] for step in batch.commands] == ["k", "l"]
    assert len(batch.after) == 1


def test_what_looks_for_records_takes_a_further_extension_also_when_joined() -> None:
    plain, finds = Batch(), Batch()
    finds.guard_unmatched("$Class:M", KeyArgument("$Expiry:M"), 0)
    assert plain.call().script is COMMIT
    assert finds.call().script is finding(COMMIT)
    plain.extend(finds)
    assert plain.call().script is finding(COMMIT)
    assert plain.call().keys == ["$Class:M", "$Expiry:M"]


def test_commands_of_one_kind_go_with_the_few_parts_that_they_need() -> None:
    links, evidence, others = Batch(), Batch(), Batch()
    commands.put(links, "LINK", "k")
    commands.put(links, "STRENGTHEN", "k")
    commands.put(evidence, "LEARN", "k")
    commands.put(others, "TELL", "k")
    assert links.call().script is commands.LINKS
    assert evidence.call().script is commands.CONFIDENCE
    assert others.call().script is commands.MEMORY
    for first, second in ((links, evidence), (links, others), (others, links)):
        both = Batch()
        both.extend(first)
        both.extend(Batch())
        assert both.script is first.script
        both.extend(second)
        assert both.call().script is commands.MEMORY
    links.guard_unmatched("$Class:M", KeyArgument("$Expiry:M"), 0)
    assert links.call().script is finding(commands.MEMORY)


def test_a_key_is_declared_once_wherever_it_is_named() -> None:
    batch = Batch()
    batch.guard("absent", "k", KeyArgument("l"), "k", b"")
    batch.set("k", 1)
    batch.put("RETIRE", "k", KeyArgument("l"), KeyArgument("m"), "k")
    call = batch.call()
    assert sorted(call.keys) == ["k", "l", "m"]
    assert call.arguments[0] == "data"
    assert batch.call(raises=True).arguments[0] == "error"
    assert batch.call(every=True).arguments[0] == "every"


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_what_failed_is_told_by_position_and_details(redis_client: redis.Redis) -> None:
    redis_client.hset("k", mapping={"a": "1", "b": "2"})
    batch = Batch()
    batch.guard("exists", "k")
    batch.guard("holds", "k", "a", b"other")
    batch.guard("exists", "missing")
    batch.set("written", 1)
    (reply,) = run(Request.of(batch.call(), shard="Thing").plan())
    failure = Batch.outcome(reply)
    assert isinstance(failure, GuardFailure)
    assert (failure.guard, failure.what) == (1, "holds")
    assert failure.details[0] == b"k"
    assert failure.stored(["a", "b", "c"]) == {"a": b"1", "b": b"2"}
    assert failure.stored(["b"]) == {"b": b"2"}
    assert [(each.guard, each.what) for each in Batch.failures(reply)] == [(1, "holds")]
    (reply,) = run(Request.of(batch.call(every=True), shard="Thing").plan())
    assert [(each.guard, each.what) for each in Batch.failures(reply)] == [
        (1, "holds"),
        (2, "exists"),
    ]
    assert Batch.failures(reply)[0].stored(["a"]) == {"a": b"1"}
    with pytest.raises(redis.ResponseError, match="holds guard failed, nothing was written"):
        run(Request.of(batch.call(raises=True), shard="Thing").plan())
    assert not redis_client.exists("written")


def test_nothing_failed() -> None:
    assert Batch.failures([1, b"OK"]) == []
    assert Batch.outcome([1, b"OK", 5]) == [b"OK", 5]


# Pipelines of the caller's own --------------------------------------------------------------------


def test_a_pipeline_carries_the_scripts_text_once_for_each_shard() -> None:
    pipeline = POPOTO_REDIS_DB.pipeline()
    for number in range(3):
        batch = Batch()
        batch.set(f"k{number}", number)
        batch.eval("return 1", 1, "k")
        queue(pipeline, batch, "Thing")
    names = [command[0][0] for command in pipeline.command_stack]
    assert names == ["EVAL", "EVAL", "EVALSHA", "EVAL", "EVALSHA", "EVAL"]
    assert pipeline.execute()[-1] == 1


def test_what_was_queued_is_known_until_the_pipeline_is_used_again() -> None:
    pipeline = POPOTO_REDIS_DB.pipeline()
    first = QueuedCommits.of(pipeline)
    first.records["k"] = None
    assert QueuedCommits.of(pipeline) is first
    pipeline.set("k", 1).execute()
    again = QueuedCommits.of(pipeline)
    assert again is not first
    assert again.records == {}


# Hash tags ----------------------------------------------------------------------------------------


def test_keys_get_the_tag_of_their_shard_on_a_cluster() -> None:
    prefix = shard_prefix("Thing", is_cluster=True)
    assert prefix == "{Thing}"
    assert shard_prefix("Thing", is_cluster=False) == ""
    assert tagged(("GET", "k"), prefix) == ["GET", "{Thing}k"]
    assert tagged(("GET", b"k", "l"), prefix) == ["GET", "{Thing}k", "l"]
    assert tagged(("PING",), prefix) == ["PING"]
    assert tagged(("GET", b"k"), "") == ["GET", b"k"]
    for name in ("EVAL", "evalsha", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"):
        words = tagged((name, "f", 2, "k", b"l", "argument"), prefix)
        assert words == [name, "f", 2, "{Thing}k", "{Thing}l", "argument"]


def test_a_script_is_told_the_tag() -> None:
    batch = Batch()
    batch.set("k", 1)
    call = batch.call()
    assert isinstance(call, ScriptCall)
    digest, text = call.script.digest, call.script.text
    rest = list(call.arguments)
    assert call.command("") == ["EVALSHA", digest, 1, "k", "", *rest]
    assert call.command("{T}") == ["EVALSHA", digest, 1, "{T}k", "{T}", *rest]
    assert call.command("", by_text=True) == ["EVAL", text, 1, "k", "", *rest]
    request = Request.of(call, ("GET", "l"), shard="T")
    assert not request.repeatable
    assert not Request((call,), "T").repeatable
    assert request.physical(is_cluster=False)[1] == ("GET", "l")
    assert request.physical(is_cluster=True) == [call.command("{T}"), ["GET", "{T}l"]]
