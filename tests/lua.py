"""Looks at the Lua scripts before anything runs them: `python -m tests.lua` (`make scripts`).

The embedded server itself compiles every part and every joined script, since a fresh machine has
no Lua. Names that are used before they are declared would be found by nobody until a server comes
across that line, so they are looked for in the text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import redis
from redis.exceptions import ResponseError

from popoto import embedded
from popoto.engine import scripts as engine_scripts
from popoto.engine.scripts import Script
from popoto.memory import commands
from popoto.memory.associations import scripts as edge_scripts
from popoto.memory.bloom import scripts as bloom_scripts
from popoto.memory.bm25 import scripts as bm25_scripts
from popoto.memory.composite import signals
from popoto.memory.decay import scripts as decay_scripts
from popoto.memory.sketch import scripts as sketch_scripts

_MODULES = (
    *(engine_scripts, commands, decay_scripts, edge_scripts, signals),
    *(bloom_scripts, sketch_scripts, bm25_scripts),
)
SCRIPTS = list(
    dict.fromkeys(
        each for module in _MODULES for each in vars(module).values() if isinstance(each, Script)
    )
)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


#: What needs no declaration: words of the language, and what servers offer to scripts.
_KNOWN = _words(
    "and break do else elseif end false for function if in local nil not or repeat return then "
    "true until while error redis KEYS ARGV cmsgpack struct string table math ipairs pairs pcall "
    "next tonumber tostring type unpack"
)
_SKIPPED = re.compile(r"--[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_DECLARED = re.compile(
    r"local function (\w+)\s*\(([^)]*)\)|function[ \w.]*\(([^)]*)\)"
    r"|local ((?:\w+,\s*)*\w+)|for ((?:\w+,\s*)*\w+)"
)
#: A name that is read: neither a field of something nor assigned to.
_USED = re.compile(r"(?<![\w.:])(?<!\.\.)([A-Za-z_]\w*)(?!\w*\s*=[^=])")


def undeclared(script: Script) -> list[str]:
    """The names that are used before they are declared, with their places."""
    text = _SKIPPED.sub(lambda found: " " * len(found.group()), script.text)
    declared: dict[str, int] = {}
    for found in _DECLARED.finditer(text):
        for name in _words(" ".join(filter(None, found.groups()))):
            declared.setdefault(name, found.start())
    return [
        f"{script.place_of(text.count(chr(10), 0, found.start()) + 1)}: {name} is not declared"
        for found in _USED.finditer(text)
        if (name := found.group(1)) not in _KNOWN and declared.get(name, len(text)) > found.start()
    ]


def refused(script: Script, client: redis.Redis) -> list[str]:
    """What a server says of a script that it cannot compile, or of a part of it."""
    texts = {script.name: script.text}
    lines = script.text.splitlines(keepends=True)
    ends = [*script.starts[1:], len(lines) + 1]
    for part, start, end in zip(script.parts, script.starts, ends, strict=True):
        texts[part] = "".join(lines[start - 1 : end - 1])
    problems: list[str] = []
    for name, text in texts.items():
        try:
            client.script_load(text)
        except ResponseError as error:
            problems.append(f"{name}: {error}")
    return problems


def problems() -> Iterator[str]:
    """Everything that is wrong with any script."""
    server = embedded.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            for script in SCRIPTS:
                yield from refused(script, client) or undeclared(script)
    finally:
        server.close()


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or f"{len(SCRIPTS)} Lua scripts: nothing wrong")
    sys.exit(bool(found))
