"""What the order of records, and who speaks, say of candidates (`Meta.recall`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from popoto.engine.codec import Stored
from popoto.engine.keys import text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan
from popoto.exceptions import StoredDataError
from popoto.fields.keeping.shards import all_asked
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
from popoto.models.record.sharding import shards_of

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
    #: where they are
    shards: Sequence[ModelOptions]

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
        if len(self.shards) == 1 or self.options.shard_by in self.order.partition_names:
            return (yield from self._around(indexes))
        return (yield from self._around_in_all(indexes))

    def _around(self, indexes: Sequence[tuple[str, str]]) -> Plan[list[list[str]]]:
        """Who stands around these records, each of which is in a session of its own shard."""
        options = self.options
        shards = shards_of(options, (key for key, _ in indexes))
        ranked = [("ZRANK", index, key) for key, index in indexes]
        ranks = yield from looked_up(ranked, options.shard, shards=shards)
        ranges = [
            (key, ("ZRANGE", index, max(0, rank - _WINDOW), rank + _WINDOW))
            for (key, index), rank in zip(indexes, ranks, strict=True)
            if rank is not None
        ]
        if not ranges:
            return []
        commands = [command for _, command in ranges]
        shards = shards_of(options, (key for key, _ in ranges))
        replies = yield from looked_up(commands, options.shard, shards=shards)
        return [[text_of(key) for key in reply] for reply in replies]

    def _around_in_all(self, indexes: Sequence[tuple[str, str]]) -> Plan[list[list[str]]]:
        """The same where each session is in several shards, by the scores that order it."""
        options = self.options
        scored = [("ZSCORE", index, key) for key, index in indexes]
        shards = shards_of(options, (key for key, _ in indexes))
        scores = yield from looked_up(scored, options.shard, shards=shards)
        placed = [
            (key, index, score)
            for (key, index), score in zip(indexes, scores, strict=True)
            if score is not None
        ]
        if not placed:
            return []
        commands = [each for _, index, score in placed for each in _around_score(index, score)]
        told = yield from all_asked(self.shards, lambda each: looked_up(commands, each.shard))
        found: list[list[str]] = []
        for place, (key, _, score) in enumerate(placed):
            of_place = [reply for each in told for reply in each[2 * place : 2 * place + 2]]
            found.append(_window_around(key, score, of_place))
        return found

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


def _around_score(index: str, score: bytes) -> list[tuple[Argument, ...]]:
    """What stands from a score on, and what below it, in one shard: as many as a window has."""
    limit = ("WITHSCORES", "LIMIT", 0, _WINDOW + 1)
    below = ("ZREVRANGEBYSCORE", index, b"(" + score, "-inf", *limit)
    return [("ZRANGEBYSCORE", index, score, "+inf", *limit), below]


def _window_around(key: str, score: bytes, told: Iterable[Sequence[bytes]]) -> list[str]:
    """Who stands around a record, of what all shards have told.

    Of very many that have the same score, those whose keys are least are known.
    """
    placed = {
        (float(other), member)
        for reply in told
        for member, other in zip(reply[::2], reply[1::2], strict=True)
    }
    own = float(score), key.encode("utf-8")
    ordered = sorted(placed | {own})
    place = ordered.index(own)
    around = ordered[max(0, place - _WINDOW) : place + _WINDOW + 1]
    return [text_of(member) for _, member in around]


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
