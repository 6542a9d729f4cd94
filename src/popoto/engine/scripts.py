"""The Lua scripts, loaded once from their files.

A script is sent by its digest. A server that does not know it (restarted, or
its script cache emptied) answers NOSCRIPT without having done anything, and the
runner sends the text instead, which also teaches the server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua file: its text and the digest by which servers know it."""

    name: str
    text: str = field(repr=False)
    digest: str

    @classmethod
    def from_file(cls, name: str) -> Script:
        text = resources.files("popoto.engine").joinpath("lua", f"{name}.lua").read_text("utf-8")
        digest = sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest()
        return cls(name, text, digest)


COMMIT = Script.from_file("commit")
QUERY = Script.from_file("query")
RECLAIM = Script.from_file("reclaim")
UPKEEP = Script.from_file("upkeep")
RECOUNT = Script.from_file("recount")
