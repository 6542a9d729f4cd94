"""A stream of the protocol is cut into whole values, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.testing.faults.frames import Frames, words_of

LINES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":12\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
]
TEXTS = [b"$0\r\n\r\n", b"$4\r\na\r\nb\r\n", b"=7\r\ntxt:abc\r\n", b"!5\r\nERR a\r\n", b"(123\r\n"]


def listed(kind: bytes, values: list[bytes]) -> bytes:
    return b"%b%d\r\n%b" % (kind, len(values), b"".join(values))


def mapped(kind: bytes, values: list[bytes]) -> bytes:
    pairs = values[: len(values) // 2 * 2]
    return b"%b%d\r\n%b" % (kind, len(pairs) // 2, b"".join(pairs))


VALUES = st.recursive(
    st.sampled_from(LINES + TEXTS),
    lambda values: st.lists(values, max_size=4).flatmap(
        lambda some: st.sampled_from(
            [
                listed(b"*", some),
                listed(b"~", some),
                listed(b">", some),
                mapped(b"%", some),
                mapped(b"|", some) + b"+with attributes\r\n",
            ]
        )
    ),
    max_leaves=12,
)


@given(values=st.lists(VALUES, max_size=6), sizes=st.lists(st.integers(1, 9), min_size=1))
def test_values_are_given_out_whole(values: list[bytes], sizes: list[int]) -> None:
    frames = Frames()
    stream = b"".join(values)
    found: list[bytes] = []
    while stream:
        for size in sizes:
            found += frames.feed(stream[:size])
            stream = stream[size:]
    assert found == values
    assert frames.rest == b""


@pytest.mark.parametrize("value", [*LINES, *TEXTS, b"*2\r\n:1\r\n$1\r\na\r\n"])
def test_a_value_without_its_end_is_kept_back(value: bytes) -> None:
    frames = Frames()
    for end in range(len(value)):
        assert list(frames.feed(value[end : end + 1])) == ([value] if end == len(value) - 1 else [])
        assert frames.rest == (b"" if end == len(value) - 1 else value[: end + 1])


def test_words_of_a_command() -> None:
    assert words_of(b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n") == (b"SET", b"a\r\nb", b"")
    assert words_of(b"PING now\r\n") == (b"PING", b"now")
    assert words_of(b"\r\n") == ()
