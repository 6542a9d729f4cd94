"""Replies are read whole however they arrive; commands are packed as redis-py packs them."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ClusterDownError, MovedError, NoScriptError, RedisError

from popoto._connection.resp import INCOMPLETE, Reply, ReplyReader, pack

Encodable = bytes | int | None | list["Encodable"]

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


def read(data: bytes, sizes: list[int]) -> list[Reply]:
    reader = ReplyReader()
    taken: list[Reply] = []
    position = 0
    while True:
        reply = reader.take()
        if reply is not INCOMPLETE:
            taken.append(reply)  # type: ignore[arg-type]
        elif position == len(data):
            assert reader.clean
            return taken
        else:
            size = sizes[len(taken) % len(sizes)] if sizes else len(data)
            reader.feed(data[position : position + size])
            position = min(position + size, len(data))


@given(st.lists(replies, max_size=6), st.lists(st.integers(1, 60), max_size=8))
def test_replies_come_out_as_they_went_in(sent: list[Encodable], sizes: list[int]) -> None:
    assert read(b"".join(map(encode, sent)), sizes) == sent


@given(
    st.lists(
        st.binary()
        | st.text(st.characters(exclude_categories=["Cs"]))
        | st.integers()
        | st.floats(),
        min_size=1,
    )
)
def test_commands_are_packed_as_by_redis_py(arguments: list[bytes | str | int | float]) -> None:
    command = ["NAME", *arguments]
    assert pack([command]) == b"".join(
        bytes(chunk) for chunk in redis.Connection().pack_command(*command)
    )


@pytest.mark.parametrize("argument", [None, True, object(), [], {}])
def test_other_arguments_are_refused(argument: object) -> None:
    with pytest.raises(redis.DataError):
        pack([("SET", "a", argument)])  # type: ignore[list-item]


def test_errors_are_replies_of_the_classes_of_redis_py() -> None:
    lines = "-ERR no", "-NOSCRIPT x", "*2", "+OK", "-WRONGTYPE y", "-MOVED 7 10.0.0.1:6379"
    data = "".join(f"{line}\r\n" for line in (*lines, "-CLUSTERDOWN z")).encode()
    first, script, inner, moved, down = read(data, [3])
    assert isinstance(first, redis.ResponseError)
    assert str(first) == "no"
    assert isinstance(script, NoScriptError)
    assert isinstance(inner, list)
    assert inner[0] == b"OK"
    assert isinstance(inner[1], RedisError)
    assert isinstance(moved, MovedError)
    assert (moved.slot_id, moved.host, moved.port) == (7, "10.0.0.1", 6379)
    assert isinstance(down, ClusterDownError)


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(redis.InvalidResponse):
        read(b"HTTP/1.1 200 OK\r\n", [100])
