"""commit.lua with the commands of memory fields. Each stands in Lua beside its formula."""

from __future__ import annotations

from typing import Final

from popoto.engine.batch import Batch
from popoto.engine.request import Argument
from popoto.engine.scripts import COMMIT, Script

__all__ = ["MEMORY", "put", "told"]

MEMORY: Final[Script] = COMMIT.extended(
    "memory",
    "packing.lua",
    "confidence/learning.lua",
    "cycles/score.lua",
    "cycles/learning.lua",
    "access/access.lua",
    "associations/edges.lua",
    "history/noting.lua",
    "prediction/resolving.lua",
    "surfacing.lua",
    "telling.lua",
    "hashing.lua",
    "renewing.lua",
    "bloom/stored.lua",
    "bloom/adding.lua",
    "sketch/stored.lua",
    "sketch/counting.lua",
    "bm25/indexing.lua",
    "vectors/embedding.lua",
    "policy/rewarding.lua",
    package="popoto.memory",
    keyed=frozenset(
        {
            *("BLOOM", "CONFIRM", "COUNT", "EMBED", "INDEX", "LEARN", "MISNOTED", "NOTE"),
            *("NOTED", "POSTINGS", "REFORM", "REHOUSE", "RELEASE", "RENEW", "RENOTE"),
            *("RESOLVE", "REWARD", "SETTLE", "STAGE", "TRANSFER", "UNEMBED", "VALUE", "WHEN"),
        }
    ),
    apart=frozenset({"BLOOM", "COUNT", "EMBED", "INDEX", "POSTINGS", "REHOUSE", "UNEMBED"}),
)

LINKS: Final[Script] = COMMIT.with_parts_of(MEMORY, "links", "associations/edges.lua")
CONFIDENCE: Final[Script] = COMMIT.with_parts_of(
    MEMORY, "confidence", "packing.lua", "confidence/learning.lua"
)
ACCESS: Final[Script] = COMMIT.with_parts_of(MEMORY, "access", "access/access.lua")
CYCLES: Final[Script] = COMMIT.with_parts_of(
    MEMORY,
    "cycles",
    "packing.lua",
    "confidence/learning.lua",
    "cycles/score.lua",
    "cycles/learning.lua",
)
WORDS: Final[Script] = COMMIT.with_parts_of(MEMORY, "words", "packing.lua", "bm25/indexing.lua")

#: The script of a command that most calls have without commands of another kind beside it.
_ALONE: Final[dict[str, Script]] = {
    **dict.fromkeys(("LINK", "STRENGTHEN", "UNLINK", "WEAKEN"), LINKS),
    "LEARN": CONFIDENCE,
    **dict.fromkeys(("STAGE", "CONFIRM"), ACCESS),
    **dict.fromkeys(("DECLARE", "AMPLIFY", "PRESS", "RELEASE"), CYCLES),
    "INDEX": WORDS,
}


def put(batch: Batch, name: str, key: str | None, *arguments: Argument) -> None:
    """Queue a command of a memory field; keys among its arguments are `KeyArgument`s."""
    batch.take_script(_ALONE.get(name, MEMORY))
    batch.put(name, key, *arguments)


def told(name: str) -> str:
    """In an event (`TELL`): stands for what an earlier command of the same call computes."""
    return f"\0{name}"
