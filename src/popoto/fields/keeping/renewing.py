"""Making anew, from the records, what a field keeps for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from popoto.engine.request import Plan
from popoto.exceptions import ModelException

__all__ = ["Renewal", "other_form"]


class Renewal(Protocol):
    """What a field keeps is made anew beside live writers, who write to both meanwhile."""

    def begin(self) -> Plan[None]:
        """Begin, before any record is read."""
        ...

    def add(self, records: Sequence[Any]) -> Plan[Sequence[tuple[str, str]]]:
        """Take these records in. Returns which could not be (their keys), and why."""
        ...

    def finish(self) -> Plan[Sequence[tuple[str, str]]]:
        """Let what was made take the place of the old one. Returns what stood in the way."""
        ...


def other_form(key: str, found: str, expected: str, outcome: str) -> ModelException:
    """The error for a key that was made with other settings than those of the field."""
    return ModelException(
        f"the key {key!r} holds {found!r}, but the settings of the field ask for {expected!r}; "
        f"{outcome}. rebuild_indexes() makes it anew from the records."
    )
