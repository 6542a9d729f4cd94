"""The script that asks a sketch."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["ASK_SKETCH"]

ASK_SKETCH: Final = Script.joined(
    "ask_sketch",
    "hashing.lua",
    "asking.lua",
    "sketch/stored.lua",
    "sketch/asking.lua",
    package="popoto.memory",
)
