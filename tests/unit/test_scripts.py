"""The Lua scripts: joined from parts, known by one digest, with errors told by part and line."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha1

import pytest
import redis

from popoto import IntField, KeyField, Model
from popoto.engine.scripts import COMMIT, QUERY, Script
from popoto.exceptions import QueryException
from tests.driver import Api
from tests.lua import SCRIPTS, refused, undeclared


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_part_uses_or_assigns_to_a_name_that_is_not_declared(script: Script) -> None:
    assert undeclared(script) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("local a = 1\nreturn a + b\n", "part.lua:2: b is not declared"),
        (
            "local function f()\n  return g()\nend\nlocal function g() end\nreturn f()\n",
            "part.lua:2: g",
        ),
        ("local a = 1\nb = a\n", "part.lua:2: b is not declared"),
        ("local a\na, b = 1, 2\n", "part.lua:2: b is not declared"),
        ("if KEYS then\n  b = 1\nend\n", "part.lua:2: b is not declared"),
        ("function b()\n  return 1\nend\n", "part.lua:1: b is not declared"),
        ("local a = {f = function()\n  b = 1\nend}\n", "part.lua:2: b is not declared"),
        # Declared in another block, where it ends.
        ("local function f()\n  local b = 1\nend\nb = f()\n", "part.lua:4: b is not declared"),
        ("if KEYS then local b else\n  b = 1\nend\n", "part.lua:2: b is not declared"),
        ("for b = 1, 2 do\n  redis.call(b)\nend\nb = 3\n", "part.lua:4: b is not declared"),
        ("local function f(b) return b end\nb = f(1)\n", "part.lua:2: b is not declared"),
        ("repeat local b = 1 until true\nb = 2\n", "part.lua:2: b is not declared"),
        ("local a = {[1] = 2, b = {c = 1}, d = 'e = 1'}\na.b = 3\na.b.c, a[1] = 1, 2\n", None),
        ("local a = {}\nfunction a.f(b) return b end\nfunction a:g() return self end\n", None),
        ("while 0x1F == 1e5 do break end\nlocal a = 'b' .. type(1)\nreturn a ~= 2\n", None),
        ("local a = {b = 1}\nreturn a.b\n", None),
        ("for _, each in ipairs(KEYS) do redis.call('DEL', each) end -- gone\n", None),
    ],
)
def test_names_that_nobody_declared_are_found(text: str, problem: str | None) -> None:
    found = undeclared(Script("part", text, "", ("part.lua",), (1,)))
    assert found == [] if problem is None else found[0].startswith(problem)


def test_what_a_server_cannot_compile_is_found(redis_client: redis.Redis) -> None:
    broken = Script("whole", "local a = 1\nretrun a\n", "", ("a.lua", "b.lua"), (1, 2))
    whole, part = refused(broken, redis_client)
    assert whole.startswith("whole: ")
    assert part.startswith("b.lua: ")
    assert refused(COMMIT, redis_client) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_server_knows_a_script_by_its_digest(script: Script, redis_client: redis.Redis) -> None:
    assert redis_client.script_load(script.text) == script.digest
    assert script.digest == sha1(script.text.encode()).hexdigest()


# ── Choosing ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("wanted", "most"), [(1, 5_100), (10, 6_000), (4_999, 80_000)])
def test_the_first_few_of_many_are_found_without_sorting_all(
    redis_client: redis.Redis, wanted: int, most: int
) -> None:
    after = QUERY.starts[QUERY.parts.index("query/choosing.lua") + 1]
    parts = "\n".join(QUERY.text.splitlines()[: after - 1])
    ask = f"""
    local list, compared = {{}}, 0
    for number = 1, 5000 do list[number] = number * 2971 % 5000 end
    local found = make_choosing().smallest(list, {wanted}, function(left, right)
      compared = compared + 1
      return left < right
    end)
    return {{compared, found[1], found[{wanted}]}}
    """
    # The arguments of a query for all keys.
    arguments = ["", "keys", 0, -1, 1, 1, "any", 0, 0, 0, 0, 0, "all"]
    compared, first, last = redis_client.eval(parts + ask, 0, *arguments)
    assert (first, last) == (0, wanted - 1)
    assert compared <= most


# ── Errors ───────────────────────────────────────────────────────────────────


class Parcel(Model):
    name = KeyField()
    weight = IntField(default=0)


def named_line(script: Script, message: str) -> str:
    """The text of the line that a message names by its part."""
    found = re.search(r"on (\w+/\w+\.lua):(\d+)", message)
    assert found, message
    start = script.starts[script.parts.index(found[1])]
    return script.text.splitlines()[start + int(found[2]) - 2].strip()


def test_a_line_of_a_script_is_told_by_its_part() -> None:
    for part, start in zip(COMMIT.parts, COMMIT.starts, strict=True):
        assert COMMIT.place_of(start) == f"{part}:1"
        assert COMMIT.text.splitlines()[start - 1].startswith(f"-- {part}: ")
    last = len(COMMIT.text.splitlines())
    assert COMMIT.place_of(last) == f"commit/commit.lua:{last - COMMIT.starts[-1] + 1}"
    assert COMMIT.text.splitlines()[last - 1] == "return replies"


@pytest.mark.parametrize(
    "message",
    [
        "ERR user_script:{0}: some error script: {1}, on @user_script:{0}.",
        "ERR Error running script (call to f_{1}): @user_script:{0}: @user_script: {0}: some error",
        "OOM command not allowed script: on @user_script:{0}.",
    ],
    ids=["redis 7", "redis 6", "valkey 9"],
)
def test_every_way_in_which_servers_name_a_line_is_understood(message: str) -> None:
    line = QUERY.starts[3] + 4
    told = QUERY.located(message.format(line, QUERY.digest))
    assert f"{QUERY.parts[3]}:5" in told
    assert "user_script" not in told


def test_a_message_without_a_line_stays_as_it_is() -> None:
    for message in ("ERR user_script: out of memory", "ERR user_script", "ERR 17"):
        assert QUERY.located(message) == message


def test_a_script_is_shown_by_its_name_and_digest() -> None:
    names = ["commit", "query", "reclaim", "upkeep", "recount"]
    names += ["memory", "decay_score", "cyclic_score", "top", "propagate", "composite"]
    names += ["ask_filter", "fill", "ask_sketch", "search", "follow_words", "recompute", "purge"]
    names += ["recall", "follow", "nearest", "finding commit", "finding memory"]
    names += ["links", "confidence", "access", "cycles", "words", "propagate_apart"]
    shown = [f"Script(name={each.name!r}, digest={each.digest!r})" for each in SCRIPTS]
    assert sorted(each.name for each in SCRIPTS) == sorted(names)
    assert [repr(each) for each in SCRIPTS] == shown


def test_an_error_inside_a_script_names_the_part_and_the_line(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("$Expiry:Parcel", "another program's")
    with pytest.raises(QueryException) as asking:
        api(Parcel.query.count)
    assert "ZRANGEBYSCORE" in named_line(QUERY, str(asking.value.__cause__))


def test_errors_of_requests_that_were_sent_together_name_their_lines_too(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("$Expiry:Parcel", "another program's")

    async def ask_twice() -> list[int | BaseException]:
        return await asyncio.gather(
            *(Parcel.query.async_count() for _ in "ab"), return_exceptions=True
        )

    for error in api.run(ask_twice()):
        assert isinstance(error, QueryException)
        assert "ZRANGEBYSCORE" in named_line(QUERY, str(error.__cause__))
