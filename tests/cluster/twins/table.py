"""The whole table of deeds: importing this fills it."""

from __future__ import annotations

import importlib

from .deeds import DEEDS
from .of_upkeep import LAST_LOOK

__all__ = ["DEEDS", "LAST_LOOK", "WRITING"]

for _name in (
    "contexts",
    "edges",
    "many_notes",
    "memories",
    "notes",
    "questions",
    "rankings",
    "recall",
    "signals",
    "time",
    "upkeep",
):
    importlib.import_module(f"{__package__}.of_{_name}")

#: What fills a model.
WRITING = (
    "create_person",
    "bulk_create",
    "bulk_create",
    "remember_several",
    "say",
    "create_fleeting",
    "make",
    "link_several",
)
