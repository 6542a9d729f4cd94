"""The Lua scripts, each joined once, at import, from parts that have one purpose.

A script is sent by its digest. A server that does not know it (restarted, or
its script cache emptied) answers NOSCRIPT without having done anything, and the
runner sends the text instead, which also teaches the server.

Servers count lines in the text that they were sent; `Script.located` says in which part
a line stands, and where in it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha1
from importlib import resources

#: How servers name a line of a script: "@user_script:17", "user_script:17:".
_LINE = re.compile(r"@?\s*user_script:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its text, and the digest by which servers know it."""

    name: str
    text: str = field(repr=False)
    digest: str
    #: the parts in order, and the line of the text where each begins
    parts: tuple[str, ...] = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    #: commands of an extended script whose arguments may name further keys
    keyed: frozenset[str] = field(default=frozenset(), repr=False)
    #: those among them that neither read nor write what other commands do
    apart: frozenset[str] = field(default=frozenset(), repr=False)
    #: the extension of which this one has some parts
    _whole: Script | None = field(default=None, repr=False, compare=False)

    @property
    def whole(self) -> Script:
        """The extension with all parts, for calls that need more of them than this one has."""
        return self._whole or self

    @classmethod
    def joined(cls, name: str, *parts: str, package: str = "popoto.engine") -> Script:
        """The script that these files of a package make, in this order.

        They stand in the package's folder ``lua`` if it has one, else beside its modules.
        """
        return cls._of(name, {part: _read(package, part) for part in parts})

    @classmethod
    def _of(
        cls,
        name: str,
        texts: Mapping[str, str],
        keyed: frozenset[str] = frozenset(),
        apart: frozenset[str] = frozenset(),
    ) -> Script:
        starts: list[int] = []
        line = 1
        for text in texts.values():
            starts.append(line)
            line += text.count("\n")
        whole = "".join(texts.values())
        digest = sha1(whole.encode("utf-8"), usedforsecurity=False).hexdigest()
        return cls(name, whole, digest, tuple(texts), tuple(starts), keyed, apart)

    def extended(
        self,
        name: str,
        *parts: str,
        package: str,
        keyed: frozenset[str] = frozenset(),
        apart: frozenset[str] = frozenset(),
    ) -> Script:
        """This script with further parts in front of its last one.

        So commit.lua has commands for what it is not asked to do by most models, and they
        pay nothing for that. `keyed` are those of the new commands that name further keys,
        `apart` those that neither read nor write what other commands do.
        """
        own = self.part_texts()
        last = self.parts[-1]
        ending = {last: own.pop(last)}
        texts = own | {part: _read(package, part) for part in parts} | ending
        return self._of(name, texts, self.keyed | keyed, self.apart | apart)

    def with_parts_of(self, whole: Script, name: str, *parts: str) -> Script:
        """This script with some of the parts that an extension of it has.

        What servers make anew for each call is then no more than calls of one kind need.
        """
        own, theirs = self.part_texts(), whole.part_texts()
        kept = {part: theirs[part] for part in theirs if part in own or part in parts}
        some = self._of(name, kept, whole.keyed, whole.apart)
        return replace(some, _whole=whole)

    def ended(self, name: str, *parts: str, package: str) -> Script:
        """This script with other parts in place of its last one.

        So a ranking finds its candidates as query.lua does, which learns no word for it.
        """
        own = self.part_texts()
        del own[self.parts[-1]]
        return self._of(name, own | {part: _read(package, part) for part in parts})

    def part_texts(self) -> dict[str, str]:
        """The text of each part, by its name, in order."""
        lines = self.text.splitlines(keepends=True)
        ends = [*(start - 1 for start in self.starts[1:]), len(lines)]
        return {
            part: "".join(lines[start - 1 : end])
            for part, start, end in zip(self.parts, self.starts, ends, strict=True)
        }

    def extends(self, other: Script) -> bool:
        """Whether it is the other one, or that one with further parts."""
        return self.parts[-1] == other.parts[-1]

    def place_of(self, line: int) -> str:
        """Where a line of the text stands: ``commit/records.lua:17``."""
        index = bisect_right(self.starts, line) - 1
        return f"{self.parts[index]}:{line - self.starts[index] + 1}"

    def located(self, message: str) -> str:
        """A server's message with the places of the lines that it names."""
        return _LINE.sub(lambda found: self.place_of(int(found.group(1))), message)


def _read(package: str, part: str) -> str:
    folder = resources.files(package)
    if folder.joinpath("lua").is_dir():
        folder = folder.joinpath("lua")
    return folder.joinpath(*part.split("/")).read_text("utf-8")


def _in(folder: str, names: str) -> Sequence[str]:
    return [f"{folder}/{name}.lua" for name in names.split()]


COMMIT = Script.joined(
    "commit",
    *_in("shared", "settled stored foreseeing"),
    *_in("commit", "arguments refusing records looking queued_looks"),
    *_in("commit", "texts claims sums expiring moving kinds pointing referring steps commit"),
)
QUERY = Script.joined(
    "query",
    *_in("shared", "settled opening stored escaping"),
    *_in("query", "arguments lists scores missing tree"),
    *_in("query", "sets ranges bytes texts near combined"),
    *_in("query", "counting walking choosing ordering parts query"),
)
RECLAIM = Script.joined("reclaim", "shared/foreseeing.lua", "reclaim.lua")
UPKEEP = Script.joined("upkeep", "shared/settled.lua", "upkeep.lua")
RECOUNT = Script.joined(
    "recount", *_in("shared", "settled stored foreseeing escaping"), "recount.lua"
)

_FINDING = (
    *_in("shared", "opening escaping"),
    "finding/arguments.lua",
    *_in("query", "lists scores missing tree sets ranges bytes texts near combined"),
    "finding/finding.lua",
)


@cache
def finding(script: Script) -> Script:
    """commit.lua, or an extension of it, with the guard that no record matches a lookup.

    It has the parts of query.lua that find records; commits without this guard pay nothing for
    them.
    """
    return script.extended(f"finding {script.name}", *_FINDING, package="popoto.engine")
