"""Recall by words, meaning and memory together: the plan of `recall`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from popoto import clock
from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.engine.tree import Everything, Node, Nothing, RecordKeys
from popoto.fields.associations.edges import spread
from popoto.fields.constants import Defaults
from popoto.fields.vectors.keeper import Seen, VectorKeeper
from popoto.memory.recall.formula import telling_part
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.ranking.asked import (
    checked_number,
    number_of_results,
    partition_of,
    refuse_order,
)
from popoto.models.reading.ranking.recalling.asked import (
    ASSOCIATIONS,
    MEANING,
    SPEAKER,
    WORDS,
    Recalling,
    Signals,
    key_of_cue,
)
from popoto.models.reading.ranking.recalling.candidates import (
    Asking,
    Question,
    Told,
    common_terms,
)
from popoto.models.reading.ranking.recalling.explaining import (
    Explained,
    Recalled,
    RecallExplanation,
    Rule,
    parts_of,
)
from popoto.models.reading.ranking.recalling.meaning import Meaning, compared, no_vectors
from popoto.models.reading.ranking.recalling.scoring import Scores, put_candidates
from popoto.models.reading.ranking.recalling.sequence import (
    Sequences,
    put_speaker,
    read_for_sequences,
)
from popoto.models.reading.ranking.scored import Scored, finished
from popoto.models.reading.ranking.similar import matcher_of_keys
from popoto.models.reading.spec import QuerySpec

__all__ = ["recall", "recall_ranking"]

#: How many candidates words bring, and how many meaning and associations.
_REACH: Final = 100
#: With conditions, so few of the nearest records that meet them are too few to rank by.
_FEW: Final = 50
#: Of so many matches their keys are asked for, where candidates are not to be looked at.
_MOST_MATCHES: Final = 1000
_SPREAD_DEPTH: Final = 2
_LEAST_ACTIVATION: Final = 0.01


def recall(spec: QuerySpec, asked: Recalling, *, explain: bool = False) -> Plan[list[Any]]:
    """The plan of `recall`; see `popoto.models.query_rankings`."""
    recalling = yield from _recalled(spec, asked)
    found = yield from recalling.read()
    shaped = yield from recalling.shaped(found)
    return Recalled(shaped, recalling.explanation(found)) if explain else shaped


def recall_ranking(spec: QuerySpec, asked: Recalling) -> Plan[list[tuple[str, float]]]:
    """Keys and scores of the best records, without reading these."""
    recalling = yield from _recalled(spec, asked)
    return recalling.ranked[: recalling.count]


@dataclass(slots=True)
class _Recall:
    """One recall under way: its candidates and their scores, and who was dropped."""

    execution: Execution
    asked: Recalling
    count: int
    scores: Scores
    fetch: Fetch | None = None
    telling: str = ""
    least: float | None = None
    ranked: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    dropped: dict[str, Rule] = field(default_factory=dict[str, "Rule"])
    #: those that do not match, where keys of other partitions may be among them: not to be told
    unnamed: set[str] = field(default_factory=set[str])
    reach: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[str] = field(default_factory=list[str])

    def rank(self) -> None:
        """Put those in order whose score is high enough."""
        for key, score in self.scores.ranked():
            if self.least is not None and score < self.least:
                self.dropped[key] = "min_score"
            else:
                self.ranked.append((key, score))

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


def _recalled(spec: QuerySpec, asked: Recalling) -> Plan[_Recall]:
    """A recall with its candidates in order."""
    options = spec.options
    is_asked = asked.is_asked()
    signals = Signals.of(spec, asked)
    execution = Execution(spec)
    count = number_of_results(execution, "limit", asked.limit)
    refuse_order(spec, "recall")
    found = _Recall(execution, asked, count, Scores(signals.weights), telling=asked.text or "")
    if asked.min_score is not None:
        found.least = checked_number(options, "min_score", asked.min_score, infinite=True)
    question, is_whole = _question(spec, signals, asked.text or "")
    if not is_asked or count <= execution.offset:
        return found
    fetch = found.fetch = yield from execution.unordered()
    if not isinstance(fetch.operand.node, Nothing):
        search = yield from _Search.of(found, fetch, signals, question, is_whole=is_whole)
        yield from search.find()
        found.rank()
    return found


def _question(spec: QuerySpec, signals: Signals, text: str) -> tuple[Question | None, bool]:
    """The words that are looked for, and whether their index has just what the query asks for."""
    keywords = signals.keywords
    if keywords is None:
        return None, False
    partition, is_whole = partition_of(keywords, spec, "recall")
    wanted = text if signals.has(WORDS) else ""
    return Question.of(keywords, keywords.stem(partition), wanted), is_whole


# Finding candidates ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Search:
    """Finding candidates for one recall."""

    recall: _Recall
    signals: Signals
    asking: Asking
    #: among which records words are looked for; all that match, where Python has to tell
    node: Node
    matches: frozenset[str] | None

    @classmethod
    def of(
        cls,
        found: _Recall,
        fetch: Fetch,
        signals: Signals,
        question: Question | None,
        *,
        is_whole: bool,
    ) -> Plan[_Search]:
        """No request, or one where only Python can tell what matches."""
        operand = fetch.operand
        options = fetch.options
        declared = options.recall if signals.is_in_order or signals.has(SPEAKER) else None
        reading = read_for_sequences(options, declared)
        node: Node = Everything() if is_whole else operand.node
        conditions, matches = operand.node, None
        if not is_whole and (not operand.exact or isinstance(node, RecordKeys)):
            keys = yield from fetch.keys(Order("any"))
            node, conditions = RecordKeys(tuple(keys)), Everything()
            matches = frozenset(key.decode("utf-8") for key in keys)
        asking = Asking(fetch, conditions, question, signals.memory, reading, clock.now())
        return cls(found, signals, asking, node, matches)

    @property
    def reach(self) -> int:
        """How many candidates each way brings."""
        return max(_REACH, 2 * self.recall.count)

    def find(self) -> Plan[None]:
        """Find candidates and score them. Two round trips, of which the second is for those that
        words have not brought.
        """
        by_words, seen, associated, matching = yield from together(
            self._by_words(), self._seen(), self._associated(), self._matching()
        )
        told: Told | None = by_words
        meaning = yield from self._meaning(seen, told)
        if told is not None:
            self._take(told, meaning, associated)
            self.recall.reach[WORDS] = len(told.found)
        if matching is not None:
            self._take_unseen(meaning, matching)
            return
        near = meaning.best(self.reach) if meaning is not None else []
        if meaning is not None and self.matches is not None:
            near = meaning.best_of(self.matches, self.reach)
        also = sorted(associated, key=lambda key: (-associated[key], key))[: self.reach]
        if self.matches is not None:
            also = [key for key in also if key in self.matches]
        yield from self._look_at([*near, *also], meaning, associated)
        if meaning is not None and self._are_few(near):
            keys = yield from self.asking.fetch.keys(Order("any"))
            near = meaning.best_of((key.decode("utf-8") for key in keys), self.reach)
            yield from self._look_at(near, meaning, associated)
        self._note_reach(near, associated)
        yield from self._in_order(meaning, associated)

    def _matching(self) -> Plan[Callable[[str], bool] | None]:
        """Whether a record matches by its key, where it need not be looked at; None where it must.

        Of few that match, their keys are asked for.
        """
        recall, fetch = self.recall, self.asking.fetch
        if recall.asked.verified or fetch.options.recall is not None or self.matches is not None:
            return None
        matches = matcher_of_keys(recall.execution.spec)
        if matches is not None:
            return matches
        keys = yield from fetch.keys(Order("any"), limit=_MOST_MATCHES)
        found = frozenset(key.decode("utf-8") for key in keys)
        return found.__contains__ if len(keys) < _MOST_MATCHES else None

    def _take_unseen(self, meaning: Meaning | None, matches: Callable[[str], bool]) -> None:
        """Take the nearest in as they are: whether they are there is seen when they are read."""
        scores = self.recall.scores
        if meaning is not None:
            near = meaning.best_that(matches, self.reach)
            scores.unseen.update(key for key in near if key not in scores.candidates)
            scores.put(MEANING, meaning.of(scores.unseen))

    def _in_order(self, meaning: Meaning | None, associated: Mapping[str, float]) -> Plan[None]:
        """What was said before and after, and by whom. Three round trips for an order."""
        options, scores = self.asking.fetch.options, self.recall.scores
        declared = options.recall
        if declared is None:
            return
        if declared.order is not None and self.signals.is_in_order:
            sequences = Sequences(options, options.by_name[declared.order])
            found = yield from sequences.read(scores)
            members = [key for sequence in found for key in sequence]
            if self.matches is not None:
                members = [key for key in members if key in self.matches]
            yield from self._look_at(members, meaning, associated)
            sequences.put(scores, found, meaning)
        if declared.speaker is not None and self.signals.has(SPEAKER):
            put_speaker(options, declared.speaker, self.recall.asked.text, scores)

    def _by_words(self) -> Plan[Told | None]:
        question = self.asking.question
        if question is None or not question.groups:
            return None
        return (yield from self.asking.best(self.node, self.reach))

    def _seen(self) -> Plan[Seen | None]:
        field = self.signals.embedding
        if field is None or field.provider is None:
            return (yield from no_vectors())
        keeper: VectorKeeper = field.keeper
        return (yield from keeper.seen())

    def _associated(self) -> Plan[dict[str, float]]:
        """How strongly the cues, and the caller, point to records."""
        asked, options = self.recall.asked, self.asking.fetch.options
        if not self.signals.has(ASSOCIATIONS):
            return {}
        found = {str(key): float(number) for key, number in (asked.boost or {}).items()}
        cues = [key_of_cue(cue) for cue in asked.cues or ()]
        for edges in options.listed("edges") if cues else ():
            reached = yield from spread(
                options.model,
                edges.edges,
                cues,
                _SPREAD_DEPTH,
                Defaults.CO_OCCURRENCE_DECAY_PER_HOP,
                _LEAST_ACTIVATION,
                edges.max_edges,
            )
            for key, activation in reached.items():
                found[key] = max(found.get(key, 0.0), activation)
        return found

    def _meaning(self, seen: Any, told: Told | None) -> Plan[Meaning | None]:
        field = self.signals.embedding
        if field is None:
            return None
        recall, text = self.recall, self.recall.asked.text
        if told is not None and self.asking.question is not None:
            common = common_terms(self.asking.question, told)
            recall.telling = telling_part(text, self.asking.question.field.words, common)
        meaning, note = yield from compared(
            field, seen, text, recall.telling, has_words=self.signals.has(WORDS)
        )
        if note:
            recall.notes.append(note)
        return meaning

    def _take(self, told: Told, meaning: Meaning | None, associated: Mapping[str, float]) -> None:
        put_candidates(self.recall.scores, self.signals, told, meaning, associated)

    def _look_at(
        self, keys: Iterable[str], meaning: Meaning | None, associated: Mapping[str, float]
    ) -> Plan[None]:
        """Take those of these records in that match; the others are dropped. No or one request."""
        recall = self.recall
        known = recall.scores.candidates.keys() | recall.dropped.keys() | recall.unnamed
        wanted = [key for key in dict.fromkeys(keys) if key not in known]
        if not wanted:
            return
        told = yield from self.asking.each(wanted)
        self._take(told, meaning, associated)
        for key in wanted:
            if key in recall.scores.candidates:
                continue
            if self.signals.is_parted:
                recall.unnamed.add(key)
            else:
                recall.dropped[key] = "gone" if key in told.gone else "condition"
        if meaning is not None and told.gone:
            meaning.keeper.forget(told.gone, meaning.seen)

    def _are_few(self, near: Sequence[str]) -> bool:
        """Whether conditions have left too few of the nearest records."""
        if self.matches is not None or isinstance(self.asking.conditions, Everything):
            return False
        kept = sum(key in self.recall.scores.candidates for key in near)
        return len(near) == self.reach and kept < max(_FEW, 2 * self.recall.count)

    def _note_reach(self, near: Sequence[str], associated: Mapping[str, float]) -> None:
        candidates = self.recall.scores.candidates
        for name, keys in ((MEANING, near), (ASSOCIATIONS, associated)):
            if self.signals.has(name):
                self.recall.reach[name] = sum(key in candidates for key in keys)
