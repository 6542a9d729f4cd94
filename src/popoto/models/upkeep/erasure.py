"""`Erasure`: the report of an erasure, what was looked at and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from popoto.fields.keeping.forgetting import Trace

__all__ = ["BEYOND_REACH", "Erasure"]

#: What no client of the server can take back.
BEYOND_REACH = (
    "append-only files, snapshots and backups of the server, until they are rewritten or expire",
    "replicas that are cut off, until they have caught up",
    "messages and events that somebody has received or read",
    "log files, and the server's own slow log",
    "the memory of processes that hold instances, or search without asking the server again",
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What `erase` has found of a subject in one model, and removed.

    `model`          the name of the model
    `subject`        the fields and values that say whose records were meant
    `traces`         by kind, a `Trace` (`looked_at`, `removed`, `remaining`): records, index
                     entries, keys, and what fields and mixins keep: words, vectors, contents,
                     events, dead letters, histories, filters; references by records of others
    `beyond_reach`   what cannot be removed from here, in words
    """

    model: str
    subject: Mapping[str, Any]
    traces: Mapping[str, Trace]
    beyond_reach: tuple[str, ...] = field(default=BEYOND_REACH)

    @property
    def records(self) -> int:
        """How many records were deleted."""
        return self.traces["records"].removed

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the subject was left when it was looked for the last time."""
        return not any(trace.remaining for trace in self.traces.values())

    def __str__(self) -> str:
        whose = ", ".join(f"{name}={value!r}" for name, value in self.subject.items())
        lines = [f"{self.model} of {whose}: {'erased' if self.is_complete else 'NOT COMPLETE'}"]
        lines += [
            f"  {kind}: {trace.looked_at:,} looked at, {trace.removed:,} removed, "
            f"{trace.remaining:,} remaining"
            for kind, trace in self.traces.items()
        ]
        lines += [f"  beyond reach: {what}" for what in self.beyond_reach]
        return "\n".join(lines)
