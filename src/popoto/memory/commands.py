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
    "history/noting.lua",
    "associations/edges.lua",
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


def put(batch: Batch, name: str, key: str | None, *arguments: Argument) -> None:
    """Queue a command of a memory field; keys among its arguments are `KeyArgument`s."""
    batch.script = MEMORY
    batch.put(name, key, *arguments)


def told(name: str) -> str:
    """In an event (`TELL`): stands for what an earlier command of the same call computes."""
    return f"\0{name}"
