"""The script that spreads activation."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["PROPAGATE"]

PROPAGATE: Final = Script.joined(
    "propagate",
    *("associations/spreading.lua", "associations/propagate.lua"),
    package="popoto.memory",
)
