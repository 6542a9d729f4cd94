"""Candidates for a recall from several shards: what words tell follows from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from popoto.engine.request import Plan
from popoto.engine.tree import Node
from popoto.fields.keeping.shards import all_asked
from popoto.memory.recall.formula import COMMON_SHARE
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ranking.recalling.candidates import (
    Asking,
    Brought,
    Question,
    Told,
    Whole,
    joined,
)
from popoto.models.reading.ranking.settling import all_settled, settled

__all__ = ["AskingEverywhere"]


@dataclass(slots=True)
class AskingEverywhere:
    """One recall's calls about several shards; each step is one round trip to each node."""

    fetch: Fetch
    conditions: Node
    question: Question | None
    parts: Sequence[Asking]
    #: whether every shard is asked
    are_all: bool
    #: once it was asked for
    known: Whole | None = field(default=None, init=False)

    def best(self, most: int) -> Plan[Told]:
        """The records that answer best. Two steps; one more where rare words bring too few."""
        return (yield from settled(partial(self._best, most)))

    def each(self, keys: Sequence[str]) -> Plan[Told]:
        """Those of these records that match. One step; two where words were not asked for."""
        if self.known is None and self.question is not None:
            self.known = yield from settled(self._whole)
        of_shard: dict[str, list[str]] = {}
        for key in keys:
            of_shard.setdefault(self.fetch.options.at(key).shard, []).append(key)
        whole = self.known
        asked = [each for each in self.parts if each.fetch.options.shard in of_shard]
        told = yield from all_asked(
            asked, lambda each: each.each(of_shard[each.fetch.options.shard], whole)
        )
        asked_for = {each.fetch.options.shard for each in asked}
        # A shard that is not registered has no records; others that are not asked do not match.
        nowhere = [key for place in of_shard.keys() - asked_for for key in of_shard[place]]
        gone = frozenset(nowhere if self.are_all else ())
        found = joined(told, len(keys)) if told else Told(0, 1.0, (), ())
        return replace(found, gone=found.gone | gone)

    def _best(self, most: int, sweeps: bool) -> Plan[Told | None]:
        whole = self.known = yield from self._whole(sweeps)
        if whole is None:
            return None
        how: Brought = "best" if _held_by_rare(whole) < most else "rare"
        found = yield from self._brought(how, most, sweeps)
        if found is not None and not found.is_all and len(found.found) < most:
            found = yield from self._brought("best", most, sweeps)
        return found

    def _whole(self, sweeps: bool) -> Plan[Whole | None]:
        parts = yield from all_settled(self.parts, lambda each: each.whole(sweeps=sweeps))
        return None if parts is None else Whole.summed(parts)

    def _brought(self, how: Brought, most: int, sweeps: bool) -> Plan[Told | None]:
        whole = self.known
        parts = yield from all_settled(
            self.parts, lambda each: each.brought(how, most, whole, sweeps=sweeps)
        )
        return None if parts is None else joined(parts, most)


def _held_by_rare(whole: Whole) -> int:
    """How many records rare words bring at most: the rarest, and those that few records have."""
    held = sorted(number for number in whole.corpus.holders if number)
    most = COMMON_SHARE * whole.corpus.documents
    return sum(held[:1]) + sum(number for number in held[1:] if number <= most)
