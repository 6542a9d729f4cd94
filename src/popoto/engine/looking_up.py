"""Single keys that are read as they are: their replies, or which of them is another program's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from popoto.engine.outcome import wrong_kind
from popoto.engine.request import Argument, Plan, Request

#: Reading commands by the type of key that they need.
_NEEDED: Final = {
    "GET": "string",
    "HEXISTS": "hash",
    "HGET": "hash",
    "HKEYS": "hash",
    "HMGET": "hash",
    "HSCAN": "hash",
    "HVALS": "hash",
    "LRANGE": "list",
    "SCARD": "set",
    "SISMEMBER": "set",
    "SMEMBERS": "set",
    "SSCAN": "set",
    "XRANGE": "stream",
    "XREVRANGE": "stream",
    "ZCARD": "zset",
    "ZMSCORE": "zset",
    "ZRANGE": "zset",
    "ZRANGEBYSCORE": "zset",
    "ZRANK": "zset",
    "ZREVRANGE": "zset",
    "ZREVRANGEBYSCORE": "zset",
    "ZSCORE": "zset",
}


def looked_up(
    commands: Sequence[tuple[Argument, ...]],
    shard: str,
    *,
    before_writing: bool = False,
    shards: Sequence[str] | None = None,
) -> Plan[list[Any]]:
    """The replies to reading commands; ModelException for a key that another program uses.

    `before_writing`: what is written next depends on them, so that nothing is. `shards`: that of
    each command, where they are for several.
    """
    request = Request(commands, shard, repeatable=True, shards=shards)
    read = needed((name, key) for name, key, *_ in commands)
    if shards is None:
        return asked(request, read, writes=before_writing)
    pairs = zip(commands, shards, strict=True)
    places = (each for command, each in pairs if str(command[0]) in _NEEDED)
    return asked(request, read, writes=before_writing, shards=places)


def needed(commands: Iterable[tuple[Argument, Argument]]) -> Iterator[tuple[str, str]]:
    """The keys, and the types that they need, of reading commands. Gone through only on errors."""
    return ((_text(key), _NEEDED[str(name)]) for name, key in commands if str(name) in _NEEDED)


def lacking_in(key: str, names: Sequence[str], shard: str) -> Plan[list[str]]:
    """Those of these names that a hash does not have. One round trip; none for no names."""
    looks = [("HEXISTS", key, name) for name in names]
    replies = (yield from looked_up(looks, shard)) if looks else []
    return [name for name, exists in zip(names, replies, strict=True) if not exists]


def members_of(key: str, shard: str) -> Plan[list[str]]:
    """The members of a set, each once, as long as they are there all the time.

    ModelException for another kind of key. One round trip for every 1,000 of them.
    """
    found: dict[str, None] = {}
    cursor: Argument = 0
    while True:
        ((cursor, page),) = yield from looked_up([("SSCAN", key, cursor, "COUNT", 1000)], shard)
        found.update((_text(member), None) for member in page)
        if int(cursor) == 0:
            return list(found)


def asked(
    request: Request,
    kinds: Iterable[tuple[str, str]],
    *,
    writes: bool = False,
    shards: Iterable[str] | None = None,
) -> Plan[list[Any]]:
    """The replies to a request that needs keys of these types; ModelException for another one.

    `shards`: that of each key, where the request is for several.
    """
    try:
        replies: list[Any] = yield request
    except ResponseError as error:
        yield from name_stranger(error, kinds, request.shard, writes=writes, shards=shards)
        raise
    return replies


def name_stranger(
    error: ResponseError,
    kinds: Iterable[tuple[str, str]],
    shard: str,
    *,
    writes: bool = False,
    shards: Iterable[str] | None = None,
) -> Plan[None]:
    """Raise ModelException if an error is that of a key, among these, which has another type."""
    if "WRONGTYPE" not in str(error):
        return
    wanted = list(kinds)
    found: list[bytes] = yield Request(
        [("TYPE", key) for key, _ in wanted],
        shard,
        repeatable=True,
        shards=None if shards is None else list(shards),
    )
    for (key, expected), kind in zip(wanted, found, strict=True):
        is_one = kind.decode("ascii", "replace")
        if is_one not in (expected, "none"):
            raise wrong_kind(key, is_one, expected, writes=writes) from error


def _text(key: Argument) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
