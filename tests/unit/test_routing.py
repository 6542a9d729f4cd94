"""Where the first key of a command stands; the server knows best."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from popoto._connection.routing import Topology, slot_of
from popoto.exceptions import NothingWrittenError

#: Commands whose first key is not simply their second word, and some where it is.
COMMANDS: list[tuple[Any, ...]] = [
    ("GET", "k"),
    ("MSET", "k", 1, "l", 2),
    ("BITOP", "AND", "k", "l"),
    ("MEMORY", "USAGE", "k"),
    ("OBJECT", "ENCODING", "k"),
    ("XGROUP", "CREATE", "k", "g", "$"),
    ("XINFO", "STREAM", "k"),
    ("BLMPOP", 1, 2, "k", "l", "LEFT"),
    ("BZMPOP", 1, 2, "k", "l", "MIN"),
    ("EVAL", "return 1", 2, "k", "l", "x"),
    ("EVAL_RO", "return 1", 1, "k"),
    ("EVALSHA", "0" * 40, 1, "k"),
    ("EVALSHA_RO", "0" * 40, 1, "k"),
    ("FCALL", "f", 1, "k"),
    ("FCALL_RO", "f", 1, "k"),
    ("LMPOP", 2, "k", "l", "LEFT"),
    ("SINTERCARD", 2, "k", "l"),
    ("ZDIFF", 2, "k", "l"),
    ("ZINTER", 2, "k", "l"),
    ("ZINTERCARD", 2, "k", "l"),
    ("ZMPOP", 2, "k", "l", "MIN"),
    ("ZUNION", 2, "k", "l"),
    ("ZUNIONSTORE", "k", 1, "l"),
    ("XREAD", "COUNT", 1, "STREAMS", "k", "0"),
    ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "k", ">"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_first_key_is_where_the_server_sees_it(
    redis_client: redis.Redis, command: tuple[Any, ...]
) -> None:
    (first, *_) = redis_client.execute_command("COMMAND GETKEYS", *command)
    assert first in ("k", b"k")
    in_bytes = tuple(str(word).encode() for word in command)
    for spelling in (command, in_bytes, (command[0].lower(), *command[1:])):
        assert slot_of(spelling) == key_slot(b"k")


WITHOUT_KEYS = [
    "ACL",
    "ASKING",
    "AUTH",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "DEBUG",
    "DISCARD",
    "ECHO",
    "EXEC",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION",
    "HELLO",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LATENCY",
    "MODULE",
    "MONITOR",
    "MULTI",
    "PING",
    "PUBLISH",
    "PUBSUB",
    "QUIT",
    "RANDOMKEY",
    "READONLY",
    "READWRITE",
    "RESET",
    "ROLE",
    "SAVE",
    "SCAN",
    "SCRIPT",
    "SELECT",
    "SLOWLOG",
    "SWAPDB",
    "TIME",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
]


@pytest.mark.parametrize("name", WITHOUT_KEYS)
def test_commands_without_keys_may_go_to_any_node(redis_client: redis.Redis, name: str) -> None:
    assert slot_of((name, "k", "l", "m")) is None
    with pytest.raises(redis.ResponseError):
        redis_client.execute_command("COMMAND GETKEYS", name, "k")


@pytest.mark.parametrize(
    "command",
    [
        ("EVAL", "return 1", 0),
        ("EVAL", "return 1", 0, "argument"),
        ("EVAL", "return 1"),
        ("ZUNION", 1),
        ("XREAD", "COUNT", 1),
        ("XREAD", "STREAMS"),
        ("OBJECT", "HELP"),
        ("GET",),
    ],
)
def test_a_command_that_names_no_key_may_go_to_any_node(command: tuple[Any, ...]) -> None:
    assert slot_of(command) is None


# Who serves what ---------------------------------------------------------------------------------

ASKED = ("asked", 7000)


def span(first: int, last: int, host: bytes, port: int) -> list[Any]:
    return [first, last, [host, port, b"identity"], [b"replica", 1]]


@pytest.fixture
def topology() -> Topology:
    topology = Topology([("seed", 1), ("b", 2)])
    topology.learn([span(0, 99, b"a", 1), span(100, 199, b"b", 2), span(200, 200, b"a", 1)], ASKED)
    return topology


def test_nobody_is_known_at_first() -> None:
    topology = Topology([("seed", 1)])
    assert topology.stale
    assert topology.primaries == ()
    assert topology.candidates() == [("seed", 1)]
    for slot in (None, 5):
        with pytest.raises(NothingWrittenError, match=f"slot {slot}"):
            topology.node(slot)


def test_spans_are_learned_up_to_their_ends(topology: Topology) -> None:
    assert not topology.stale
    assert [topology.node(slot) for slot in (0, 99, 200)] == [("a", 1)] * 3
    assert [topology.node(slot) for slot in (100, 199)] == [("b", 2)] * 2
    assert topology.primaries == (("a", 1), ("b", 2))
    assert topology.node(None) in topology.primaries


def test_a_slot_that_nobody_serves_makes_it_stale(topology: Topology) -> None:
    with pytest.raises(NothingWrittenError, match="slot 201"):
        topology.node(201)
    assert topology.stale


def test_known_primaries_are_asked_before_the_seeds(topology: Topology) -> None:
    candidates = topology.candidates()
    assert sorted(candidates[:2]) == [("a", 1), ("b", 2)]
    assert candidates[2:] == [("seed", 1)]
    orders = {tuple(topology.candidates()[:2]) for _ in range(64)}
    assert len(orders) == 2  # so that not always the same one is asked


def test_what_is_learned_replaces_what_was_known(topology: Topology) -> None:
    topology.learn([span(0, 16383, b"c", 3)], ASKED)
    assert topology.primaries == (("c", 3),)
    assert topology.node(None) == ("c", 3)
    assert topology.node(150) == ("c", 3)


@pytest.mark.parametrize(
    "reply",
    [
        redis.ResponseError("cluster support disabled"),
        b"OK",
        None,
        [1],
        [[0, 1, 2]],
        [[b"0", 1, [b"a", 1]]],
        [[0, b"1", [b"a", 1]]],
        [[0, 1, [b"a", b"1"]]],
    ],
)
def test_an_answer_that_is_none_changes_nothing(topology: Topology, reply: Any) -> None:
    with pytest.raises(redis.RedisError) as caught:
        topology.learn(reply, ASKED)
    if isinstance(reply, redis.RedisError):
        assert caught.value is reply
    else:
        assert "CLUSTER SLOTS from asked:7000" in str(caught.value)
    assert topology.node(150) == ("b", 2)


def test_a_moved_slot_is_remembered_and_the_rest_doubted(topology: Topology) -> None:
    assert topology.redirected(MovedError("150 c:3"), ("b", 2)) == ("c", 3)
    assert topology.node(150) == ("c", 3)
    assert topology.node(151) == ("b", 2)
    assert topology.stale


def test_a_slot_that_is_asked_for_elsewhere_stays_where_it_is(topology: Topology) -> None:
    assert topology.redirected(AskError("150 c:3"), ("b", 2)) == ("c", 3)
    assert topology.node(150) == ("b", 2)
    assert not topology.stale


def test_a_redirection_without_host_means_the_same_host(topology: Topology) -> None:
    assert topology.redirected(MovedError("150 :3"), ("b", 2)) == ("b", 3)


def test_a_transaction_has_moved_if_one_of_its_commands_has(topology: Topology) -> None:
    moved, other = MovedError("150 c:3"), redis.ResponseError("wrong")
    assert topology.moved_transaction([b"OK", moved, other], ("b", 2)) == ("c", 3)
    assert topology.node(150) == ("c", 3)
    assert topology.moved_transaction([b"OK", other, other], ("b", 2)) is None
    # The slot has moved between the last command and EXEC, which has carried none of them out.
    assert topology.moved_transaction([b"OK", b"QUEUED", moved], ("b", 2)) == ("c", 3)
