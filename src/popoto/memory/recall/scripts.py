"""The script that finds candidates for a recall."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import QUERY

__all__ = ["RECALL"]

RECALL: Final = QUERY.ended(
    "recall",
    *(f"bm25/{part}.lua" for part in ("asked", "best", "scoring", "postings")),
    *("decay/formula.lua", "cycles/score.lua", "confidence/reading.lua"),
    *("associations/spreading.lua", "composite/signals.lua", "recall/recall.lua"),
    package="popoto.memory",
)
