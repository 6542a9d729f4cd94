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
from collections.abc import Sequence
from dataclasses import dataclass, field
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

    @classmethod
    def joined(cls, name: str, *parts: str) -> Script:
        """The script that these files of the package's ``lua`` folder make, in this order."""
        folder = resources.files("popoto.engine").joinpath("lua")
        texts = [folder.joinpath(*part.split("/")).read_text("utf-8") for part in parts]
        starts: list[int] = []
        line = 1
        for text in texts:
            starts.append(line)
            line += text.count("\n")
        whole = "".join(texts)
        digest = sha1(whole.encode("utf-8"), usedforsecurity=False).hexdigest()
        return cls(name, whole, digest, parts, tuple(starts))

    def place_of(self, line: int) -> str:
        """Where a line of the text stands: ``commit/records.lua:17``."""
        index = bisect_right(self.starts, line) - 1
        return f"{self.parts[index]}:{line - self.starts[index] + 1}"

    def located(self, message: str) -> str:
        """A server's message with the places of the lines that it names."""
        return _LINE.sub(lambda found: self.place_of(int(found.group(1))), message)


def _in(folder: str, names: str) -> Sequence[str]:
    return [f"{folder}/{name}.lua" for name in names.split()]


COMMIT = Script.joined(
    "commit",
    *_in("shared", "settled stored"),
    *_in("commit", "arguments reading refusing records texts claims sums expiring moving"),
    *_in("commit", "types commit"),
)
QUERY = Script.joined(
    "query",
    *_in("shared", "settled opening stored escaping"),
    *_in("query", "arguments lists scores missing tree"),
    *_in("query", "sets ranges bytes texts near combined"),
    *_in("query", "counting walking choosing ordering query"),
)
RECLAIM = Script.joined("reclaim", "reclaim.lua")
UPKEEP = Script.joined("upkeep", "shared/settled.lua", "upkeep.lua")
RECOUNT = Script.joined("recount", *_in("shared", "settled stored escaping"), "recount.lua")
