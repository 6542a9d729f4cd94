"""What the order of records, and who speaks, say of candidates (`Meta.recall`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from popoto.engine.codec import Stored
from popoto.engine.keys import text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import StoredDataError
from popoto.memory.recall.declared import Recall
from popoto.memory.recall.formula import AFTER, BEFORE
from popoto.models.reading.calls import Reading
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.recalling.asked import (
    LATE,
    MEANING,
    NEIGHBOURS,
    OF_TEXT,
    SESSION,
    SPEAKER,
)
from popoto.models.reading.ranking.recalling.meaning import Meaning
from popoto.models.reading.ranking.recalling.scoring import Scores
from popoto.models.record.loading import StoredView
from popoto.models.record.options import ModelOptions

__all__ = ["InOrder", "Sequences", "put_speaker", "read_for_sequences"]

Session: TypeAlias = tuple[Stored | None, ...]

#: Of so many sessions, those with the best candidates, the records in order are looked at.
_SESSIONS: Final = 20
#: Of a long session, so many records before and behind its best candidate.
_WINDOW: Final = 100


def read_for_sequences(options: ModelOptions, declared: Recall | None) -> Reading:
    """What has to be read of each candidate."""
    names: list[str] = []
    if declared is not None and declared.order is not None:
        names += options.by_name[declared.order].partition_names
    if declared is not None and declared.speaker is not None:
        names.append(declared.speaker)
    return Reading.of(options, names)


@dataclass(frozen=True, slots=True)
class Sequences:
    """The sessions of candidates, by what is stored of the fields that part the order."""

    options: ModelOptions
    order: AnyField

    def session_of(self, scores: Scores, key: str) -> Session:
        """What tells to which session a candidate belongs."""
        stored = scores.candidates[key].row.stored
        return tuple(stored.get(name) for name in self.order.partition_names)

    def read(self, scores: Scores) -> Plan[list[list[str]]]:
        """The records of the best sessions, in order. Two round trips."""
        best: dict[Session, str] = {}
        totals = scores.totals(OF_TEXT)
        for key in sorted(totals, key=lambda each: (-totals[each], each)):
            best.setdefault(self.session_of(scores, key), key)
            if len(best) == _SESSIONS:
                break
        found = {key: self._index_of(scores, key) for key in best.values()}
        indexes = [(key, index) for key, index in found.items() if index is not None]
        if not indexes:
            return []
        shard = self.options.shard
        ranks = yield from looked_up([("ZRANK", index, key) for key, index in indexes], shard)
        ranges = [
            ("ZRANGE", index, max(0, rank - _WINDOW), rank + _WINDOW)
            for (_, index), rank in zip(indexes, ranks, strict=True)
            if rank is not None
        ]
        replies = yield from looked_up(ranges, shard) if ranges else _none()
        return [[text_of(key) for key in reply] for reply in replies]

    def _index_of(self, scores: Scores, key: str) -> str | None:
        """The sorted set of the session of a candidate; None where it has none."""
        view = StoredView(self.options, key, scores.candidates[key].row.stored)
        try:
            values = [view.value(name) for name in self.order.partition_names]
        except StoredDataError:
            return None
        signal = self.order.signal(values)
        found = None if signal is None else signal.keys[0]
        return None if found is None else found[0]

    def put(
        self, scores: Scores, sequences: Sequence[Sequence[str]], meaning: Meaning | None
    ) -> InOrder:
        """What stands near a record counts for it. Candidates alone count as neighbours."""
        known = [[key for key in each if key in scores.candidates] for each in sequences]
        if meaning is not None:
            for sequence in known:
                scores.put(MEANING, meaning.in_company(sequence, BEFORE, AFTER))
        scores.put(NEIGHBOURS, _of_neighbours(known, scores.totals(OF_TEXT)))
        found = InOrder({key: self.session_of(scores, key) for key in scores.candidates})
        for sequence in known:
            for earlier, later in pairwise(sequence):
                found.before[later] = earlier
                found.after[earlier] = later
        found.put_sessions(scores)
        return found


@dataclass(frozen=True, slots=True)
class InOrder:
    """How candidates stand: the session of each, and who stands just before and after it."""

    sessions: Mapping[str, Session]
    before: dict[str, str] = field(default_factory=dict[str, str])
    after: dict[str, str] = field(default_factory=dict[str, str])

    def put_sessions(self, scores: Scores) -> None:
        """What the best of its session says, counts for each record."""
        totals = scores.totals((*OF_TEXT, LATE))
        best: dict[Session, float] = {}
        for key, session in self.sessions.items():
            best[session] = max(best.get(session, totals[key]), totals[key])
        scores.put(SESSION, {key: best[session] for key, session in self.sessions.items()})


def _none() -> Plan[list[list[bytes]]]:
    return []
    yield  # a plan, though it asks for nothing


def _of_neighbours(
    sequences: Sequence[Sequence[str]], totals: Mapping[str, float]
) -> dict[str, float]:
    mean = sum(totals.values()) / max(len(totals), 1)
    found: dict[str, float] = {}
    for sequence in sequences:
        over = [max(totals[key] - mean, 0.0) for key in sequence]
        for place, key in enumerate(sequence):
            before = over[place - 1] if place else 0.0
            found[key] = before + (over[place + 1] if place + 1 < len(over) else 0.0)
    return found


def put_speaker(options: ModelOptions, speaker: str, question: str, scores: Scores) -> None:
    """What the only speaker whom the question names has said."""
    said_by: dict[str, Stored | None] = {
        key: each.row.stored.get(speaker) for key, each in scores.candidates.items()
    }
    names: dict[Stored | None, str] = {}
    for key, stored in said_by.items():
        if stored not in names:
            names[stored] = _name_of(options, key, scores, speaker)
    asked = question.casefold()
    named = {
        stored
        for stored, name in names.items()
        if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked)
    }
    if len(named) == 1:
        scores.put(SPEAKER, {key: float(each in named) for key, each in said_by.items()})


def _name_of(options: ModelOptions, key: str, scores: Scores, speaker: str) -> str:
    view = StoredView(options, key, scores.candidates[key].row.stored)
    try:
        value: object = view.value(speaker)
    except StoredDataError:
        return ""
    return "" if value is None else str(value).casefold()
