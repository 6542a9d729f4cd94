"""Scripts that tell what they ask the server for, and into which an error can be put.

`traced()` puts a few lines in front of every script: each command that it asks for is noted in a
list on the server, with how it was asked, and the one whose number stands at `ERROR_AT` fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha1
from typing import Any, NamedTuple, TypeVar

import msgpack
import pytest
import redis
from redis.exceptions import RedisError

from popoto import ModelException
from popoto.engine import batch
from popoto.engine.scripts import Script
from popoto.memory import commands
from popoto.models.upkeep import rebuilding
from popoto.streams import consumer
from tests.truth.everything import state

T = TypeVar("T")

TRACE, ERROR_AT = "test:trace", "test:error-at"

_PRELUDE = """
local server, asked = redis, 0
local error_at = tonumber(server.call('GET', 'test:error-at') or '0')
local function note(how, words, found)
  local told = {how}
  for index = 1, math.min(#words, 8) do told[index + 1] = tostring(words[index]) end
  if type(found) == 'number' then told[#told + 1] = '=' .. found end
  server.call('RPUSH', 'test:trace', cmsgpack.pack(told))
end
note('begin', {})
local function is_to_fail()
  asked = asked + 1
  return asked == error_at
end
local redis = {
  error_reply = server.error_reply,
  acl_check_cmd = server.acl_check_cmd and function(...)
    note('may', {...})
    return server.acl_check_cmd(...)
  end,
  call = function(...)
    if is_to_fail() then error({err = 'ERR put in'}) end
    local found = server.call(...)
    note('call', {...}, found)
    return found
  end,
  pcall = function(...)
    if is_to_fail() then return server.error_reply('ERR put in') end
    local found = server.pcall(...)
    note('pcall', {...}, found)
    return found
  end,
}
"""


class Asked(NamedTuple):
    """A command that a script asked for, or asked whether it may (`how` is "may")."""

    how: str
    name: str
    words: list[bytes]
    found: int | None

    @property
    def key(self) -> bytes:
        return self.words[0] if self.words else b""


def _wrapped(script: Script) -> Script:
    text = _PRELUDE + script.text
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
    # Its parts are told apart by their lines, where it is extended further.
    lines = _PRELUDE.count("\n")
    starts = (1, *(start + lines for start in script.starts))
    return replace(
        script, text=text, digest=digest, parts=("prelude", *script.parts), starts=starts
    )


@contextmanager
def traced() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        places: list[tuple[Any, str]] = [
            (batch, "COMMIT"),
            (commands, "MEMORY"),
            (rebuilding, "RECOUNT"),
            (consumer, "RECLAIM"),
        ]
        for module, name in places:
            patch.setattr(module, name, _wrapped(getattr(module, name)))
        some = {id(script): _part_of_memory(script) for script in commands._ALONE.values()}
        alone = {name: some[id(script)] for name, script in commands._ALONE.items()}
        patch.setattr(commands, "_ALONE", alone)
        yield


def _part_of_memory(script: Script) -> Script:
    return replace(_wrapped(script), _whole=commands.MEMORY)


def calls(client: redis.Redis) -> list[list[Asked]]:
    """What each call of a script asked for, in order."""
    found: list[list[Asked]] = []
    for packed in client.lrange(TRACE, 0, -1):
        how, *words = msgpack.unpackb(packed, raw=True)
        if how == b"begin":
            found.append([])
            continue
        number = None
        if words and words[-1].startswith(b"="):
            number = int(words.pop()[1:])
        found[-1].append(Asked(how.decode(), words[0].decode(), words[1:], number))
    return found


# What stops a script half-way -------------------------------------------------------------------

#: Commands that write, by the type of their key; None where any type is right.
WRITES: dict[str, str | None] = {
    **dict.fromkeys(("SADD", "SREM"), "set"),
    **dict.fromkeys(("ZADD", "ZINCRBY", "ZREM", "ZREMRANGEBYRANK", "GEOADD"), "zset"),
    **dict.fromkeys(("HSET", "HSETNX", "HDEL", "HINCRBY"), "hash"),
    **dict.fromkeys(("RPUSH", "LPUSH", "LTRIM"), "list"),
    **dict.fromkeys(("XADD", "XACK", "XCLAIM", "XDEL"), "stream"),
    **dict.fromkeys(("BITFIELD", "SETRANGE"), "string"),
    **dict.fromkeys(("DEL", "RENAME", "PERSIST", "EXPIRE", "PEXPIRE", "PEXPIREAT", "SET"), None),
}
#: Commands that read, by the type that they find out, or would stumble over.
READS: dict[str, str | None] = {
    **dict.fromkeys(("SCARD", "SISMEMBER", "SMISMEMBER", "SMEMBERS"), "set"),
    **dict.fromkeys(("ZCARD", "ZMSCORE", "ZRANGE", "ZSCORE"), "zset"),
    **dict.fromkeys(("HLEN", "HGET", "HMGET", "HGETALL"), "hash"),
    **dict.fromkeys(("LLEN", "LRANGE"), "list"),
    **dict.fromkeys(("STRLEN", "GETRANGE"), "string"),
    **dict.fromkeys(("XLEN", "XRANGE", "XPENDING"), "stream"),
    **dict.fromkeys(("EXISTS", "TYPE", "TTL", "PTTL", "TIME", "GET"), None),
}


def unproven(asked: list[Asked]) -> list[Asked]:
    """What is asked for after the first write although it might still be refused.

    Of each later command it must be known before the first write that the user may use it on its
    key, and that this is of its type, or missing. Reads that may fail (by `pcall`) are excused.
    """
    first = next((at for at, each in enumerate(asked) if is_write(each)), len(asked))
    before = asked[:first]
    allowed = {(each.name, each.key) for each in before}
    kinds = {(READS.get(each.name), each.key) for each in before if each.how != "may"}
    free: set[bytes] = set()
    for each in before:
        if each.name == "EXISTS" and each.found == 0:
            free.update(each.words)
    problems: list[Asked] = []
    for each in asked[first:]:
        if each.how == "may" or (each.how == "pcall" and each.name in READS):
            continue
        kind = WRITES[each.name] if each.name in WRITES else READS[each.name]
        may = (each.name, each.key) in allowed or (each.name, b"\0") in allowed
        is_of_type = kind is None or (kind, each.key) in kinds or each.key in free
        if not (may and is_of_type):
            problems.append(each)
        if each.name in ("DEL", "RENAME"):
            free.update(each.words)
    return problems


def is_write(asked: Asked) -> bool:
    return asked.how != "may" and asked.name in WRITES


def walk_errors(
    client: redis.Redis, fill: Callable[[], T], operation: Callable[[T], object]
) -> None:
    """With an error at any command before its first write, an operation does nothing, or all."""

    def run(error_at: int) -> tuple[dict[bytes, object], dict[bytes, object]]:
        client.flushall()
        filled = fill()
        client.set(ERROR_AT, error_at)
        before = state(client)
        with traced(), contextlib.suppress(RedisError, ModelException):
            operation(filled)
        return before, state(client)

    _, done = run(0)
    # Of a pipeline the check comes first, which writes nothing.
    call = next(each for each in calls(client) if any(map(is_write, each)))
    asked = [each for each in call if each.how != "may"]
    first = next(at for at, each in enumerate(asked) if is_write(each))
    for number in range(1, first + 2):
        before, after = run(number)
        # What a script may do without is not missed: then all is done.
        assert after in (before, done), str(asked[number - 1])
