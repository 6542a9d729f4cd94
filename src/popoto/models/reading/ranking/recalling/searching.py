"""Finding candidates for a recall, and scoring them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto import clock
from popoto.engine.keys import text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.engine.together import together
from popoto.engine.tree import Everything, Node, RecordKeys
from popoto.fields.associations.spreading import spread
from popoto.fields.constants import Defaults
from popoto.fields.keeping.shards import all_asked
from popoto.fields.vectors.housekeeping import seen_in
from popoto.fields.vectors.keeper import Seen
from popoto.memory.recall.formula import telling_part
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.fixing import fixed_shards
from popoto.models.reading.ordering import Order
from popoto.models.reading.ranking.recalling.asked import (
    ASSOCIATIONS,
    MEANING,
    SPEAKER,
    WORDS,
    Signals,
    key_of_cue,
)
from popoto.models.reading.ranking.recalling.candidates import (
    Asking,
    Question,
    Told,
    common_terms,
    telling_weights,
)
from popoto.models.reading.ranking.recalling.everywhere import AskingEverywhere
from popoto.models.reading.ranking.recalling.late import LateInteraction
from popoto.models.reading.ranking.recalling.meaning import Meaning, compared, no_vectors
from popoto.models.reading.ranking.recalling.scoring import put_candidates
from popoto.models.reading.ranking.recalling.sequence import (
    InOrder,
    Sequences,
    put_speaker,
    read_for_sequences,
)
from popoto.models.reading.ranking.recalling.under_way import UnderWay
from popoto.models.reading.ranking.similar import matcher_of_keys
from popoto.models.record.sharding import shards_of

__all__ = ["Search"]

#: How many candidates words bring, and how many meaning and associations.
_REACH: Final = 100
#: With conditions, so few of the nearest records that meet them are too few to rank by.
_FEW: Final = 50
#: Of so many matches their keys are asked for, where candidates are not to be looked at.
_MOST_MATCHES: Final = 1000
_SPREAD_DEPTH: Final = 2
_LEAST_ACTIVATION: Final = 0.01


@dataclass(slots=True)
class Search:
    """Finding candidates for one recall."""

    recall: UnderWay
    signals: Signals
    asking: Asking | AskingEverywhere
    #: all that match, where Python has to tell
    matches: frozenset[str] | None

    @classmethod
    def of(
        cls,
        found: UnderWay,
        fetch: Fetch,
        signals: Signals,
        question: Question | None,
        *,
        is_whole: bool,
    ) -> Plan[Search]:
        """No request, or one where only Python can tell what matches."""
        operand, options = fetch.operand, fetch.options
        declared = options.recall if signals.is_in_order or signals.has(SPEAKER) else None
        reading, now = read_for_sequences(options, declared), clock.now()
        node: Node = Everything() if is_whole else operand.node
        nodes, conditions, matches = [node] * len(fetch.parts), operand.node, None
        if not is_whole and (not operand.exact or isinstance(node, RecordKeys)):
            keys = yield from all_asked(fetch.parts, lambda each: each.keys(Order("any")))
            nodes, conditions = [RecordKeys(tuple(each)) for each in keys], Everything()
            matches = frozenset(text_of(key) for each in keys for key in each)
        asking: Asking | AskingEverywhere
        asking, *others = [
            Asking(part, own, conditions, question, signals.memory, reading, now)
            for part, own in zip(fetch.parts, nodes, strict=True)
        ]
        if others:
            are_all = fixed_shards(options, found.execution.spec.conditions) is None
            asking = AskingEverywhere(fetch, conditions, question, (asking, *others), are_all)
        return cls(found, signals, asking, matches)

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
            self._take_unseen(told, meaning, matching)
            return
        near = self._near(meaning)
        also = sorted(associated, key=lambda key: (-associated[key], key))[: self.reach]
        if self.matches is not None:
            also = [key for key in also if key in self.matches]
        gone = yield from self._look_at([*near, *also], meaning, associated)
        if meaning is not None and not gone.isdisjoint(near):
            near = yield from self._living(meaning, gone)
            yield from self._look_at(near, meaning, associated)
        if meaning is not None and self._are_few(near):
            keys = yield from self.asking.fetch.keys(Order("any"))
            near = meaning.best_of((text_of(key) for key in keys), self.reach)
            yield from self._look_at(near, meaning, associated)
        self._note_reach(near, associated)
        order = yield from self._in_order(meaning, associated)
        self._begin_late(told, meaning, order)

    def _near(self, meaning: Meaning | None) -> list[str]:
        if meaning is None:
            return []
        if self.matches is not None:
            return meaning.best_of(self.matches, self.reach)
        return meaning.best(self.reach)

    def _begin_late(
        self, told: Told | None, meaning: Meaning | None, order: InOrder | None
    ) -> None:
        """Say what is to be compared word by word; who reads records may read that beside them."""
        if meaning is None or meaning.words is None or self.signals.embedding is None:
            return
        words = meaning.words
        weights = [1.0] * len(words.words)
        if told is not None and self.asking.question is not None:
            weights = telling_weights(words.words, self.asking.question, told)
        scores = self.recall.scores
        options = self.asking.fetch.options
        self.recall.late = LateInteraction.of(
            self.signals.embedding, options, words, weights, scores, order
        )

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
        found = frozenset(text_of(key) for key in keys)
        return found.__contains__ if len(keys) < _MOST_MATCHES else None

    def _take_unseen(
        self, told: Told | None, meaning: Meaning | None, matches: Callable[[str], bool]
    ) -> None:
        """Take the nearest in as they are: whether they are there is seen when they are read.

        Who reads them says which are gone, and gets others for these (`recall.replace`).
        """
        near = meaning.best_that(matches, self.reach) if meaning is not None else []

        def take(keys: Iterable[str]) -> None:
            scores = self.recall.scores
            scores.unseen = {key for key in keys if key not in scores.candidates}
            if meaning is not None:
                scores.put(MEANING, meaning.of(scores.unseen))
            self._begin_late(told, meaning, None)

        def replace(gone: Collection[str]) -> Plan[None]:
            if meaning is not None:
                take((yield from self._living(meaning, gone, matches)))

        take(near)
        self.recall.replace = replace

    def _living(
        self,
        meaning: Meaning,
        gone: Collection[str],
        matches: Callable[[str], bool] = lambda _: True,
    ) -> Plan[list[str]]:
        """The nearest that exist, where some of the nearest do not. One request, if these are few.

        Vectors may outlive their records: those of expired ones, and those in files. What was
        not found, `gone`, may as well be there and not match: it is left out, but not forgotten.
        """
        options, away = self.asking.fetch.options, set(gone)
        window, doubted, dead = self.reach, list(gone), set[str]()
        while True:
            window *= 2
            near = meaning.best_that(lambda key: key not in away and matches(key), window)
            keys = [*near, *doubted]
            exist: Sequence[Any] = ()
            if keys:
                commands = [("EXISTS", key) for key in keys]
                shards = shards_of(options, keys)
                exist = yield from looked_up(commands, options.shard, shards=shards)
            dead.update(key for key, is_there in zip(keys, exist, strict=True) if not is_there)
            living = [key for key in near if key not in dead]
            away.update(dead)
            doubted = []
            if len(near) < window or len(living) >= self.reach:
                meaning.forget(dead)
                return living[: self.reach]

    def _in_order(
        self, meaning: Meaning | None, associated: Mapping[str, float]
    ) -> Plan[InOrder | None]:
        """What was said before and after, and by whom. Three round trips for an order."""
        options, scores = self.asking.fetch.options, self.recall.scores
        declared = options.recall
        order: InOrder | None = None
        if declared is None:
            return order
        if declared.order is not None and self.signals.is_in_order:
            shards = self.asking.fetch.shards
            sequences = Sequences(options, options.by_name[declared.order], shards)
            found = yield from sequences.read(scores)
            members = [key for sequence in found for key in sequence]
            if self.matches is not None:
                members = [key for key in members if key in self.matches]
            yield from self._look_at(members, meaning, associated)
            order = sequences.put(scores, found, meaning)
        if declared.speaker is not None and self.signals.has(SPEAKER):
            put_speaker(options, declared.speaker, self.recall.asked.text, scores)
        return order

    def _by_words(self) -> Plan[Told | None]:
        question = self.asking.question
        if question is None or not question.groups:
            return None
        return (yield from self.asking.best(self.reach))

    def _seen(self) -> Plan[list[Seen]]:
        field = self.signals.embedding
        if field is None or field.provider is None:
            return (yield from no_vectors())
        return (yield from seen_in(field, self.asking.fetch.shards))

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
    ) -> Plan[frozenset[str]]:
        """Take those of these records in that match; the others are dropped. No or one request.

        The result are those that do not exist.
        """
        recall = self.recall
        known = recall.scores.candidates.keys() | recall.dropped.keys() | recall.unnamed
        wanted = [key for key in dict.fromkeys(keys) if key not in known]
        if not wanted:
            return frozenset()
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
            meaning.forget(told.gone)
        return told.gone

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
