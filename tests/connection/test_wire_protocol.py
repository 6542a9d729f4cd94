"""Replies are read whole however they arrive; commands say what was given, byte for byte."""

from __future__ import annotations

import enum
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from popoto import redis_db
from popoto._connection.resp import (
    Argument,
    Reply,
    check_nothing_left,
    pack,
    reply_reader,
    take,
)
from popoto._connection.targets import target_of
from popoto.exceptions import OutcomeUnknownError
from popoto.redis_db import POPOTO_REDIS_DB

# ── Replies ──────────────────────────────────────────────────────────────────

Encodable = bytes | int | list["Encodable"] | None

replies: st.SearchStrategy[Encodable] = st.recursive(
    st.binary(max_size=40) | st.integers(-(2**63), 2**63 - 1) | st.none(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=25,
)


def encode(reply: Encodable) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))


def read(data: bytes, sizes: list[int], count: int) -> list[Reply]:
    """What a reader makes of bytes that arrive in pieces of these sizes."""
    reader = reply_reader()
    taken: list[Reply] = []
    pieces = 0
    while data:
        size = sizes[pieces % len(sizes)] if sizes else len(data)
        reader.feed(data[:size])
        take(reader, taken, count)
        data = data[size:]
        pieces += 1
    check_nothing_left(reader)
    return taken


@given(st.lists(replies, max_size=6), st.lists(st.integers(1, 60), max_size=8))
def test_replies_come_out_as_they_went_in(sent: list[Encodable], sizes: list[int]) -> None:
    assert read(b"".join(map(encode, sent)), sizes, len(sent)) == sent


@given(replies, replies, st.data())
def test_what_follows_the_replies_is_noticed_however_little(
    asked: Encodable, more: Encodable, data: st.DataObject
) -> None:
    rest = encode(more)
    part = rest[: data.draw(st.integers(1, len(rest)))]
    with pytest.raises(redis.InvalidResponse, match="more replies"):
        read(encode(asked) + part, [], 1)


def test_a_status_is_bytes_and_an_empty_array_is_a_list() -> None:
    assert read(b"+OK\r\n*0\r\n*-1\r\n$0\r\n\r\n", [1], 4) == [b"OK", [], None, b""]


def test_arrays_may_be_nested_deeply() -> None:
    found = read(b"*1\r\n" * 200 + b":1\r\n", [7], 1)[0]
    for _ in range(200):
        assert isinstance(found, list)
        (found,) = found
    assert found == 1


def test_errors_are_replies_of_the_classes_of_redis_py() -> None:
    lines = "-ERR no", "-NOSCRIPT x", "*2", "+OK", "-WRONGTYPE y", "-MOVED 7 10.0.0.1:6379"
    data = "".join(f"{line}\r\n" for line in lines).encode()
    first, script, inner, moved = read(data, [3], 4)
    assert type(first) is redis.ResponseError
    assert str(first) == "no"
    assert isinstance(script, NoScriptError)
    assert isinstance(inner, list)
    assert inner[0] == b"OK"
    assert isinstance(inner[1], RedisError)
    assert isinstance(moved, MovedError)
    assert (moved.slot_id, moved.host, moved.port) == (7, "10.0.0.1", 6379)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"ASK 7 10.0.0.1:6379", AskError),
        (b"CLUSTERDOWN The cluster is down", ClusterDownError),
        (b"CROSSSLOT Keys do not hash", ClusterCrossSlotError),
        (b"LOADING the dataset", BusyLoadingError),
        (b"MASTERDOWN Link is down", MasterDownError),
        (b"MOVED 7 :6379", MovedError),
        (b"READONLY You can't write", ReadOnlyError),
        (b"TRYAGAIN Multiple keys", TryAgainError),
        (b"ERR max number of clients reached", redis.ConnectionError),
        (b"", redis.ResponseError),
    ],
)
def test_the_class_of_an_error_follows_from_its_first_word(
    line: bytes, expected: type[RedisError]
) -> None:
    assert type(read(b"-%b\r\n" % line, [], 1)[0]) is expected


def test_an_error_that_is_no_text_is_still_an_error() -> None:
    error = read(b"-ERR caf\xc3\xa9 \xff\r\n", [], 1)[0]
    assert isinstance(error, redis.ResponseError)
    assert str(error) == "café \N{REPLACEMENT CHARACTER}"


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(redis.InvalidResponse):
        read(b"HTTP/1.1 200 OK\r\n", [], 1)


# ── Commands ─────────────────────────────────────────────────────────────────


def arguments_of(data: bytes) -> list[list[bytes]]:
    """The commands that these bytes ask for, read as the protocol is defined."""
    commands: list[list[bytes]] = []
    while data:
        head, _, data = data.partition(b"\r\n")
        assert head[:1] == b"*"
        commands.append([])
        for _ in range(int(head[1:])):
            head, _, data = data.partition(b"\r\n")
            assert head[:1] == b"$"
            size = int(head[1:])
            assert data[size : size + 2] == b"\r\n"
            commands[-1].append(data[:size])
            data = data[size + 2 :]
    return commands


class Text(str):
    __slots__ = ()


class Color(enum.StrEnum):
    RED = "red"


class Precise(float):
    __slots__ = ()


#: What may be given, and what the server is to read.
arguments: st.SearchStrategy[tuple[Argument, bytes]] = st.one_of(
    st.binary().map(lambda value: (value, value)),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: (text, text.encode())),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: (Text(text), text.encode())),
    st.integers().map(lambda number: (number, b"%d" % number)),
    st.floats().map(lambda number: (number, repr(number).encode())),
    st.floats().map(lambda number: (Precise(number), repr(number).encode())),
    st.just((Color.RED, b"red")),
)
commands = st.lists(st.lists(arguments, min_size=1), min_size=1, max_size=5)


@given(commands)
def test_commands_say_what_was_given(given_commands: list[list[tuple[Argument, bytes]]]) -> None:
    packed = pack([[argument for argument, _ in command] for command in given_commands])
    assert arguments_of(packed) == [
        [expected for _, expected in command] for command in given_commands
    ]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (bytearray(b"a\r\nb"), b"a\r\nb"),
        (memoryview(b"a\0b"), b"a\0b"),
        (2**100, b"%d" % 2**100),
        (0.1 + 0.2, b"0.30000000000000004"),
        (float("-inf"), b"-inf"),
    ],
)
def test_arguments_of_other_kinds(argument: Argument, expected: bytes) -> None:
    assert arguments_of(pack([("SET", "a", argument), ("GET", 1.5)])) == [
        [b"SET", b"a", expected],
        [b"GET", b"1.5"],
    ]


@pytest.mark.parametrize("argument", [None, True, object(), [], {}, 1j])
def test_what_is_no_argument_is_refused_by_name(argument: object) -> None:
    with pytest.raises(redis.DataError, match=f"not {type(argument).__name__}"):
        pack([("SET", "a", argument)])  # type: ignore[list-item]


def test_text_that_cannot_be_encoded_is_refused_before_anything_is_sent() -> None:
    connection = redis_db.connection()
    with pytest.raises(UnicodeEncodeError):
        connection.call_many([("SET", "a", 1), ("SET", "b", "\ud800")], repeatable=False)
    assert connection.call(("DBSIZE",), repeatable=True) == 0


# ── On a connection ──────────────────────────────────────────────────────────


def test_large_values_come_back_whole(redis_client: redis.Redis) -> None:
    value = bytes(range(256)) * 12_000
    connection = redis_db.connection()
    assert connection.call(("SET", "a", value), repeatable=False) == b"OK"
    asked = [("GET", "a"), ("ECHO", "x"), ("GET", "a")]
    assert connection.call_many(asked, repeatable=True) == [value, b"x", value]


async def test_large_values_come_back_whole_to_a_task() -> None:
    value = bytes(range(256)) * 12_000
    connection = await redis_db.async_connection()
    assert await connection.call(("SET", "a", value), repeatable=False) == b"OK"
    asked = [("GET", "a"), ("ECHO", "x"), ("GET", "a")]
    assert await connection.call_many(asked, repeatable=True) == [value, b"x", value]


def test_our_commands_and_those_of_redis_py_take_turns_on_one_connection(
    server_url: str, redis_client: redis.Redis
) -> None:
    with redis_db.using(f"{server_url}?max_connections=1"):
        connection = redis_db.connection()
        connection.call(("PING",), repeatable=True)
        known = len(redis_client.client_list())
        for number in range(50):
            assert POPOTO_REDIS_DB.incr("n") == 2 * number + 1
            assert connection.call(("INCR", "n"), repeatable=False) == 2 * number + 2
            assert POPOTO_REDIS_DB.pipeline().get("n").ping().execute()[1] is True
            assert connection.call_many([("PING",)] * 3, repeatable=True) == [b"PONG"] * 3
        assert len(redis_client.client_list()) == known


async def test_they_take_turns_on_a_connection_of_an_event_loop(server_url: str) -> None:
    with redis_db.using(f"{server_url}?max_connections=1"):
        connection = await redis_db.async_connection()
        client = await redis_db.get_async_redis_db()
        for number in range(50):
            assert await client.incr("n") == 2 * number + 1
            assert await connection.call(("INCR", "n"), repeatable=False) == 2 * number + 2
            assert await connection.call_many([("PING",)] * 3, repeatable=True) == [b"PONG"] * 3


@contextmanager
def talkative_server() -> Iterator[str]:
    """Its URL. On its first connection it answers a PING twice."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for more in (b"+PONG\r\n", b""):
                client, _ = listener.accept()
                with client:
                    while data := client.recv(4096):
                        answers = b"+PONG\r\n" * data.count(b"*")
                        client.sendall(answers + more if b"PING" in data else answers)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        yield url
        target_of(url).client.connection_pool.disconnect()
        thread.join(120)


def test_a_connection_with_more_replies_than_commands_is_given_up() -> None:
    with talkative_server() as url, redis_db.using(url):
        connection = redis_db.connection()
        with pytest.raises(OutcomeUnknownError, match="more replies"):
            connection.call(("PING",), repeatable=False)
        assert connection.call(("PING",), repeatable=True) == b"PONG"


async def test_so_it_is_in_an_event_loop() -> None:
    with talkative_server() as url, redis_db.using(url):
        connection = await redis_db.async_connection()
        with pytest.raises(OutcomeUnknownError, match="more replies"):
            await connection.call(("PING",), repeatable=False)
        assert await connection.call(("PING",), repeatable=True) == b"PONG"
        await connection.close()
