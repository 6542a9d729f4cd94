"""A recall under way: candidates, their scores, and who was dropped; reading what it found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from popoto.engine.request import Plan
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ranking.recalling.asked import (
    Recalling,
)
from popoto.models.reading.ranking.recalling.explaining import (
    Explained,
    RecallExplanation,
    Rule,
    parts_of,
)
from popoto.models.reading.ranking.recalling.late import LateInteraction
from popoto.models.reading.ranking.recalling.scoring import Scores
from popoto.models.reading.ranking.scored import Scored, finished

__all__ = ["UnderWay"]


@dataclass(slots=True)
class UnderWay:
    """One recall under way: its candidates and their scores, and who was dropped."""

    execution: Execution
    asked: Recalling
    count: int
    scores: Scores
    fetch: Fetch | None = None
    #: the words that are still to be compared
    late: LateInteraction | None = None
    #: takes others in for candidates that nobody has looked at, and that turned out to be gone
    replace: Callable[[Collection[str]], Plan[None]] | None = None
    telling: str = ""
    least: float | None = None
    ranked: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    dropped: dict[str, Rule] = field(default_factory=dict[str, "Rule"])
    #: those that do not match, where keys of other partitions may be among them: not to be told
    unnamed: set[str] = field(default_factory=set[str])
    reach: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[str] = field(default_factory=list[str])

    @property
    def best(self) -> dict[str, float]:
        """Scores of as many records as are asked for, by key, best first."""
        return dict(self.ranked[: self.count])

    def rank(self) -> None:
        """Put those in order whose score is high enough."""
        self.ranked.clear()
        for key, score in self.scores.ranked():
            if self.least is not None and score < self.least:
                self.dropped[key] = "min_score"
            else:
                self.ranked.append((key, score))

    def compare(self, words: Mapping[str, bytes]) -> None:
        """Compare the best word by word with the question, and put all in order anew."""
        if self.late is not None:
            self.late.put(words)
            self.late = None
            self.dropped = {key: rule for key, rule in self.dropped.items() if rule != "min_score"}
            self.rank()

    def read(self) -> Plan[list[Scored]]:
        """The first of them, as far as they still exist. One round trip, if all do."""
        found: list[Scored] = []
        waiting = list(self.ranked)
        while self.fetch is not None and waiting and len(found) < self.count:
            missing = self.count - len(found)
            head, waiting = waiting[:missing], waiting[missing:]
            keys = [key.encode("utf-8") for key, _ in head]
            rows = yield from self.fetch.again(keys, self.execution.reading())
            by_key = {row.key: row for row in rows}
            for key, score in head:
                if key in by_key:
                    found.append((score, by_key[key]))
                else:
                    self.dropped[key] = "gone"
        return found

    def shaped(self, found: Sequence[Scored]) -> Plan[list[Any]]:
        """The results, as the query wants them."""
        wanted = found[self.execution.offset :]
        if self.fetch is None or not wanted:
            return []
        return (yield from finished(self.execution, self.fetch, wanted, "_recall_score"))

    def explanation(self, found: Sequence[Scored]) -> RecallExplanation:
        """Everything that is known of the candidates."""
        places = {row.key: place for place, (_, row) in enumerate(found)}
        totals = self.scores.totals()
        parts = parts_of(self.scores, list(totals))
        results: list[Explained] = []
        dropped: list[Explained] = []
        for key, score in self.scores.ranked():
            place = places.get(key)
            rule: Rule | None = self.dropped.get(key)
            if place is None:
                rule = rule or "limit"
            elif place < self.execution.offset:
                rule = "offset"
            known = Explained(key, score, parts[key], rule)
            (results if rule is None else dropped).append(known)
        others = (key for key in self.dropped if key not in totals)
        dropped += [Explained(key, None, (), self.dropped[key]) for key in sorted(others)]
        return RecallExplanation(
            self.execution.options.model_name,
            self.asked.text or "",
            self.telling,
            tuple(results),
            tuple(dropped),
            self.reach,
            tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        number = len(self.unnamed)
        if not number:
            return self.notes
        note = f"{number} candidate(s), perhaps of other partitions, are gone or do not match"
        return [*self.notes, note]
