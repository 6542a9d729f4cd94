"""The whole table of deeds: importing this fills it."""

from __future__ import annotations

from . import (
    of_contexts,
    of_edges,
    of_many_notes,
    of_memories,
    of_notes,
    of_questions,
    of_rankings,
    of_recall,
    of_signals,
    of_time,
    of_upkeep,
)
from .deeds import DEEDS
from .of_upkeep import LAST_LOOK

__all__ = ["DEEDS", "FILES", "LAST_LOOK", "WRITING"]

FILES = (
    of_contexts,
    of_edges,
    of_many_notes,
    of_memories,
    of_notes,
    of_questions,
    of_rankings,
    of_recall,
    of_signals,
    of_time,
    of_upkeep,
)
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
