"""The scripts that rank by decay."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["CYCLIC_SCORE", "DECAY_SCORE", "TOP"]

_PACKAGE: Final = "popoto.memory"

DECAY_SCORE: Final = Script.joined(
    "decay_score", "decay/formula.lua", "decay/decay_score.lua", package=_PACKAGE
)
CYCLIC_SCORE: Final = Script.joined(
    "cyclic_score",
    "decay/formula.lua",
    "cycles/score.lua",
    "cycles/cyclic_score.lua",
    package=_PACKAGE,
)
TOP: Final = Script.joined(
    "top",
    "decay/formula.lua",
    "cycles/score.lua",
    "decay/scoring.lua",
    "decay/walking.lua",
    "cycles/walking.lua",
    "decay/top.lua",
    package=_PACKAGE,
)
