"""The scripts that spread activation."""

from __future__ import annotations

from typing import Final

from popoto.engine.scripts import Script

__all__ = ["PROPAGATE", "PROPAGATE_APART"]

PROPAGATE: Final = Script.joined(
    "propagate",
    *("associations/spreading.lua", "associations/propagate.lua"),
    package="popoto.memory",
)
PROPAGATE_APART: Final = Script.joined(
    "propagate_apart",
    *("associations/spreading.lua", "associations/propagate_apart.lua"),
    package="popoto.memory",
)
