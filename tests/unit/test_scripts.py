"""The Lua scripts: joined from parts, known by one digest, with errors told by part and line."""

from __future__ import annotations

import re
from hashlib import sha1

import pytest
import redis
from redis.exceptions import ResponseError

from popoto.engine.scripts import COMMIT, QUERY, RECLAIM, RECOUNT, UPKEEP, Script

SCRIPTS = [COMMIT, QUERY, RECLAIM, UPKEEP, RECOUNT]
#: What the server itself offers to scripts, and what these use of it.
OFFERED = set("redis KEYS ARGV cmsgpack struct string table math".split()) | set(
    "ipairs pairs pcall tonumber tostring type unpack".split()
)
KEYWORDS = set(
    "and break do else elseif end false for function if in local nil not or repeat return then "
    "true until while".split()
)
_SKIPPED = re.compile(r"--[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_DECLARED = re.compile(
    r"local function (\w+)\s*\(([^)]*)\)|function[ \w.]*\(([^)]*)\)"
    r"|local ((?:\w+,\s*)*\w+)|for ((?:\w+,\s*)*\w+)"
)
_USED = re.compile(r"(?<![\w.:])(?<!\.\.)([A-Za-z_]\w*)(?!\w*\s*=[^=])")


def undeclared(script: Script) -> list[str]:
    """Names that are used before they are declared, with their places."""
    text = _SKIPPED.sub(lambda found: " " * len(found.group()), script.text)
    declared: dict[str, int] = {}
    for found in _DECLARED.finditer(text):
        for name in re.findall(r"\w+", " ".join(filter(None, found.groups()))):
            declared.setdefault(name, found.start())
    return [
        f"{script.place_of(text.count(chr(10), 0, found.start()) + 1)}: {name}"
        for found in _USED.finditer(text)
        if (name := found.group(1)) not in KEYWORDS | OFFERED
        and declared.get(name, len(text)) > found.start()
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_part_uses_a_name_before_it_is_declared(script: Script) -> None:
    assert undeclared(script) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_server_knows_a_script_by_its_digest(script: Script, redis_client: redis.Redis) -> None:
    assert redis_client.script_load(script.text) == script.digest
    assert script.digest == sha1(script.text.encode()).hexdigest()
