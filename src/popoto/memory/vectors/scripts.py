"""The script that tells what has changed among vectors."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["FOLLOW"]

FOLLOW: Final = Script.joined("follow", "vectors/following.lua", package="popoto.memory")
