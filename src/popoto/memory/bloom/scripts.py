"""The scripts that ask a filter."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["ASK_FILTER", "FILL"]

_PACKAGE: Final = "popoto.memory"

ASK_FILTER: Final = Script.joined(
    "ask_filter",
    "hashing.lua",
    "asking.lua",
    "bloom/stored.lua",
    "bloom/asking.lua",
    package=_PACKAGE,
)
FILL: Final = Script.joined(
    "fill", "hashing.lua", "asking.lua", "bloom/stored.lua", "bloom/filling.lua", package=_PACKAGE
)
