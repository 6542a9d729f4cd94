"""Making anew, from the records, what a field keeps for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from popoto.engine.request import Plan

__all__ = ["Renewal"]


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
