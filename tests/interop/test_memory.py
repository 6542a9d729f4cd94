"""Memory fields and mixins: the same operations give the same numbers, whoever does which.

Each story is told by the published package alone and then by this one alone, or by both in turn,
one operation each. Every reply has to be the same, and what is left on the server too.
"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
import redis

from .layout import dump
from .sides import Side
from .stories import DAY, NOW, STORIES, Step

pytestmark = pytest.mark.interop

#: What the record of this package shows of what stands beside it: the published one's is older.
SHOWN = {b"relevance", b"rhythm", b"calm", b"sure", b"apart"}


def play(story: list[Step], *sides: Side) -> list[Any]:
    """The replies to a story that the sides tell in turn."""
    return [
        sides[place % len(sides)].call("at", moment=NOW + day * DAY, what=what, arguments=arguments)
        for place, (day, what, arguments) in enumerate(story)
    ]


def left(server: redis.Redis) -> dict[bytes, Any]:
    """What is stored, in words that both packages have for it."""
    return {key: _readable(key, *each[:2]) for key, each in dump(server).items()}


def _readable(key: bytes, kind: str, content: Any) -> Any:
    if kind == "stream":
        return [fields for _, fields in content]
    if kind != "hash" or key.startswith(b"$AT:"):
        return content
    found = {name: msgpack.unpackb(stored) for name, stored in content.items()}
    if key.endswith(b":cycles"):
        return {record: [cycle[:3] for cycle in cycles] for record, cycles in found.items()}
    if not key.startswith(b"$"):
        return {name: value for name, value in found.items() if name not in SHOWN}
    return found


def same(one: Any, other: Any) -> bool:
    """Whether all is equal, and numbers are to the 14 digits that the published scripts give."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return bool(one == pytest.approx(other, rel=1e-13, abs=1e-13))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("who", ["ours", "published and ours", "ours and published"])
@pytest.mark.parametrize("about", STORIES)
def test_the_numbers_are_the_same(
    about: str, who: str, ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    story = STORIES[about]
    wanted = play(story, published), left(redis_client)
    redis_client.flushall()
    sides = {"ours": ours, "published": published}
    replies = play(story, *(sides[name] for name in who.split(" and ")))
    for step, reply, found in zip(story, wanted[0], replies, strict=True):
        assert same(reply, found), f"{step}: {reply} there, {found} here"
    stored = left(redis_client)
    assert stored.keys() == wanted[1].keys()
    for key, content in wanted[1].items():
        assert same(content, stored[key]), f"{key!r}: {content} there, {stored[key]} here"
