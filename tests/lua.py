"""Looks at the Lua scripts before anything runs them: `python -m tests.lua` (`make scripts`).

The embedded server itself compiles every part and every joined script, since a fresh machine has
no Lua. Names that are used before they are declared would be found by nobody until a server comes
across that line, so they are looked for in the text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import ClassVar

import redis
from redis.exceptions import ResponseError

from popoto import embedded
from popoto.cli.scripting import SCRIPTS
from popoto.engine.scripts import Script


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


#: What needs no declaration: words of the language, and what servers offer to scripts.
_LANGUAGE = _words("and break elseif end false if in local nil not or return true until while")
_OFFERED = _words(
    "error redis KEYS ARGV cmsgpack struct string table math ipairs pairs pcall next tonumber "
    "tostring type unpack"
)
_SKIPPED = re.compile(r"--[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
#: Names, numbers (which may hold letters), and marks. Two points, or equals, are one mark.
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|\.+|==|[^\s\w]")


class _Scopes:
    """The text of a script, word by word, with the names that are declared at each place."""

    def __init__(self, text: str) -> None:
        blank = _SKIPPED.sub(lambda found: " " * len(found.group()), text)
        found = list(_TOKEN.finditer(blank))
        self.words = [each.group() for each in found]
        self.places = [each.start() for each in found]
        self.at = 0
        #: names by block, the innermost last; None where a table is written
        self.blocks: list[set[str] | None] = [set(_OFFERED)]
        #: the variables of a loop that has not begun
        self.loop: set[str] = set()

    def undeclared(self) -> Iterator[tuple[str, int]]:
        """Names that are read or assigned to where they are not declared, and their places."""
        while self.at < len(self.words):
            word = self.words[self.at]
            step = self._steps.get(word)
            if step is not None:
                step(self)
            elif self._is_undeclared(word):
                yield word, self.places[self.at]
            self.at += 1

    def _is_undeclared(self, word: str) -> bool:
        if not word.isidentifier() or word in _LANGUAGE or self._word(-1) in (".", ":"):
            return False
        if self.blocks[-1] is None and self._word(1) == "=":
            # The key of a field of the table.
            return False
        return not any(word in names for names in self.blocks if names)

    def _word(self, distance: int) -> str:
        place = self.at + distance
        return self.words[place] if 0 <= place < len(self.words) else ""

    def _names(self) -> set[str]:
        """The names that follow, with commas between them."""
        names = {self._word(1)}
        self.at += 1
        while self._word(1) == ",":
            names.add(self._word(2))
            self.at += 2
        return names

    def _declare(self) -> None:
        names = {self._word(2)} if self._word(1) == "function" else self._names()
        block = self.blocks[-1]
        assert block is not None, "a table holds no statements"
        block.update(names)

    def _begin_function(self) -> None:
        opening = self.words.index("(", self.at)
        parameters = self.words[opening + 1 : self.words.index(")", opening)]
        self.blocks.append({*parameters, "self"})

    def _begin(self) -> None:
        self.blocks.append(self.loop)
        self.loop = set()

    def _begin_loop(self) -> None:
        self.loop = self._names()

    def _begin_table(self) -> None:
        self.blocks.append(None)

    def _end(self) -> None:
        self.blocks.pop()

    def _begin_other(self) -> None:
        self._end()
        self._begin()

    _steps: ClassVar[dict[str, Callable[[_Scopes], None]]] = {
        "local": _declare,
        "function": _begin_function,
        "for": _begin_loop,
        "do": _begin,
        "then": _begin,
        "repeat": _begin,
        "else": _begin_other,
        "elseif": _end,
        "end": _end,
        "until": _end,
        "{": _begin_table,
        "}": _end,
    }


def undeclared(script: Script) -> list[str]:
    """The names that are read or assigned to without a declaration, with their places."""
    return [
        f"{script.place_of(script.text.count(chr(10), 0, place) + 1)}: {name} is not declared"
        for name, place in _Scopes(script.text).undeclared()
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
