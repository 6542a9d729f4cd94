"""The scripts that tell what has changed among vectors, and which are the nearest."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["FOLLOW", "NEAREST"]

FOLLOW: Final = Script.joined("follow", "vectors/following.lua", package="popoto.memory")
NEAREST: Final = Script.joined("nearest", "vectors/nearest.lua", package="popoto.memory")
