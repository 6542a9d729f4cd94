"""`Condition`: what a query asks of its results, which has to hold when they are written, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from popoto.engine.codec import Stored
from popoto.exceptions import NotStoredError
from popoto.fields.asking.operands import View
from popoto.models.record.loading import StoredView
from popoto.models.record.options import ModelOptions


class UnmatchedError(NotStoredError):
    """A record does not meet the conditions any more under which it was to be written."""


@dataclass(slots=True, frozen=True)
class Condition:
    """What has to hold of a stored record for it to be written, and the fields that decide it."""

    needs: frozenset[str]
    holds: Callable[[View], bool]

    def fields(self, options: ModelOptions) -> list[str]:
        """The fields of the hash whose bytes decide it. Those of the key stay what they are."""
        return sorted(self.needs.intersection(options.hash_names).difference(options.key_names))

    def check(self, options: ModelOptions, key: str, stored: Mapping[str, Stored]) -> None:
        """Raise UnmatchedError where a record that holds this does not meet it."""
        if not self.holds(StoredView(options, key, stored)):
            raise UnmatchedError(
                f"{key!r} does not match the conditions any more; it was left as it is"
            )
