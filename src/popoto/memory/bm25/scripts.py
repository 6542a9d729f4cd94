"""The scripts that ask an index of words."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import QUERY, UPKEEP, Script

__all__ = ["FOLLOW_WORDS", "PURGE", "RECOMPUTE", "SEARCH"]

_PACKAGE: Final = "popoto.memory"

SEARCH: Final = QUERY.ended(
    "search",
    *(
        f"bm25/{part}.lua"
        for part in ("asked", "best", "scoring", "postings", "foretold", "search")
    ),
    package=_PACKAGE,
)
FOLLOW_WORDS: Final = Script.joined("follow_words", "bm25/following.lua", package=_PACKAGE)
RECOMPUTE: Final = UPKEEP.ended("recompute", "bm25/recomputing.lua", package=_PACKAGE)
PURGE: Final = UPKEEP.ended("purge", "bm25/purging.lua", package=_PACKAGE)
