"""Candidates for a recall, and what the server says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias

import redis.exceptions

from popoto.engine.keys import as_text
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import Keys, Members, Node, RecordKeys, all_of, encode, in_parts
from popoto.memory.bm25.corpus import Corpus
from popoto.memory.bm25.formula import inverse_frequency
from popoto.memory.recall.formula import COMMON_SHARE, K1, LEAST_COMMON, B
from popoto.memory.recall.scripts import RECALL
from popoto.models.beside.leftovers import repair, sweep
from popoto.models.reading.calls import PAGE, TRUST, Page, Reading, Row
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.keywords import (
    MOST_CANDIDATES,
    forget_words,
    index_kinds,
    other_analyzer,
)
from popoto.models.reading.ranking.recalling.asked import MemorySignal
from popoto.models.reading.ranking.settling import settled

__all__ = [
    "Asking",
    "Brought",
    "Candidate",
    "Question",
    "Told",
    "Whole",
    "common_terms",
    "joined",
    "telling_weights",
]


@dataclass(frozen=True, slots=True)
class Question:
    """The words of a question, as an index of words is asked for them: each with its forms."""

    field: AnyField
    stem: str
    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, field: AnyField, stem: str, text: str) -> Self:
        """The words of a text. One that is a form of an earlier one says nothing new."""
        forms = field.analyzer.forms
        groups: list[tuple[str, ...]] = []
        taken: set[str] = set()
        for word in dict.fromkeys(field.words(text)):
            if word in taken:
                continue
            group = (word, *(form for form in (forms(word) if forms else ()) if form not in taken))
            taken.update(group)
            groups.append(group)
        return cls(field, stem, tuple(groups))

    @property
    def terms(self) -> list[str]:
        """All terms that are looked for."""
        return [term for group in self.groups for term in group]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record, the score of its words, how many it has (None: none), its other numbers.

    `chosen_by`: the score of those of its words that have brought it.
    """

    row: Row
    words: float
    length: float | None
    memory: tuple[bytes, ...]
    chosen_by: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a call has told: the index's documents and mean length, who holds each word."""

    documents: int
    average: float
    holders: tuple[int, ...]
    found: tuple[Candidate, ...]
    #: records that were asked for and do not exist
    gone: frozenset[str] = frozenset()
    #: whether other words of the question would bring no more
    is_all: bool = True


def joined(parts: Sequence[Told], most: int) -> Told:
    """What calls about different records have told, by the same words, as one."""
    found = [each for part in parts for each in part.found]
    found.sort(key=lambda each: (-each.chosen_by, each.row.key.encode("utf-8")))
    gone = frozenset(key for part in parts for key in part.gone)
    is_all = all(part.is_all for part in parts)
    return replace(parts[0], found=tuple(found[:most]), gone=gone, is_all=is_all)


@dataclass(frozen=True, slots=True)
class Whole:
    """What there is in all shards: documents and their words, and how many records may match."""

    corpus: Corpus
    candidates: int

    @classmethod
    def summed(cls, parts: Sequence[Whole]) -> Self:
        """That of several shards together. -1 candidates: where each has to be looked at."""
        numbers = [each.candidates for each in parts]
        corpus = Corpus.summed(each.corpus for each in parts)
        return cls(corpus, -1 if min(numbers) < 0 else sum(numbers))

    @property
    def arguments(self) -> list[Argument]:
        """As ``recall.lua`` is told it."""
        corpus = self.corpus
        return [corpus.documents, corpus.words, self.candidates, *corpus.holders]


#: What is brought: what answers best, or what rare words bring.
Brought: TypeAlias = Literal["best", "rare"]


@dataclass(frozen=True, slots=True)
class Asking:
    """One recall's calls of the server, about one shard; see the head of ``recall.lua``."""

    fetch: Fetch
    #: among which records words are looked for
    node: Node
    #: what candidates that words have not brought have to match
    conditions: Node
    question: Question | None
    memory: Sequence[MemorySignal]
    #: what is read of each candidate
    reading: Reading
    now: float

    def best(self, most: int) -> Plan[Told]:
        """The records that answer best. One round trip; one for many keys each."""
        return (yield from settled(lambda sweeps: self.brought("best", most, None, sweeps=sweeps)))

    def each(self, keys: Sequence[str], whole: Whole | None = None) -> Plan[Told]:
        """Those of these records that match. One round trip."""
        node = all_of([Members(self.fetch.options.class_set_key), self.conditions])

        def told(sweeps: bool) -> Plan[Told | None]:
            reply = yield from self._reply(node, ["each", len(keys), *keys], whole, sweeps=sweeps)
            return None if reply is None else self._told(reply)

        return (yield from settled(told))

    def whole(self, *, sweeps: bool) -> Plan[Whole | None]:
        """What there is in this shard; None as `settled` has it. One round trip."""
        reply = yield from self._reply(self.node, ["size"], None, sweeps=sweeps)
        return None if reply is None else Whole(Corpus.told(*reply[1]), int(reply[2]))

    def brought(
        self, how: Brought, most: int, whole: Whole | None, *, sweeps: bool
    ) -> Plan[Told | None]:
        """The records that words bring; None as `settled` has it. One round trip.

        `whole`: what there is in all shards.
        """
        node = self.node
        if not isinstance(node, RecordKeys) or len(node.keys) <= MOST_CANDIDATES:
            return (yield from self._brought(node, how, most, whole, sweeps=sweeps))
        parts: list[Told] = []
        for some in in_parts(node.keys, MOST_CANDIDATES):
            part = yield from self._brought(some, how, most, whole, sweeps=sweeps)
            if part is None:
                return None
            parts.append(part)
        return joined(parts, most)

    def _brought(
        self, node: Node, how: Brought, most: int, whole: Whole | None, *, sweeps: bool
    ) -> Plan[Told | None]:
        options, question = self.fetch.options, self.question
        reply = yield from self._reply(node, [how], whole, most=most, sweeps=sweeps)
        if reply is None:
            return None
        dead = reply[5]
        if sweeps and dead and options.self_repair:
            if question is not None:
                yield from forget_words(options, question.field, question.stem, dead)
            yield from repair(options, dead, (), node)
            return None
        return self._told(reply)

    def _told(self, reply: list[Any]) -> Told:
        documents, average, holders, found, _, dead, is_all = reply
        rows = self.fetch.rows_of(Page([each[:2] for each in found], [], []), self.reading)
        candidates = tuple(
            Candidate(
                row,
                float(each[2]),
                float(each[3]) if each[3] else None,
                tuple(each[4]),
                float(each[5]),
            )
            for row, each in zip(rows, found, strict=True)
        )
        gone = frozenset(text for key in dead[::2] if (text := as_text(key)) is not None)
        held = tuple(map(int, holders))
        return Told(int(documents), float(average), held, candidates, gone, is_all=bool(is_all))

    def _reply(
        self,
        node: Node,
        how: Sequence[Argument],
        whole: Whole | None,
        *,
        most: int = 0,
        sweeps: bool,
    ) -> Plan[list[Any] | None]:
        """What the script says; None where records that were past their time went."""
        options = self.fetch.options
        reply = yield from self._called(self._call(node, how, whole, most, sweeps=sweeps), node)
        if reply[0] != b"due":
            return reply
        if (yield from sweep(options, reply[1])):
            return None
        return (yield from self._called(self._call(node, how, whole, most, sweeps=False), node))

    def _call(
        self,
        node: Node,
        how: Sequence[Argument],
        whole: Whole | None,
        most: int,
        *,
        sweeps: bool,
    ) -> ScriptCall:
        options, question = self.fetch.options, self.question
        keys = Keys()
        own: list[str] = [options.class_set_key, options.expiry_key, options.expiry_values_key]
        for key in own:
            keys.position(key)
        reading = self.reading
        arguments: list[Argument] = [
            *("records", 0, most, PAGE, TRUST, "any", 0, 0, 0),
            len(reading.hash_names),
            *reading.hash_names,
            len(reading.list_names),
            *reading.list_names,
        ]
        encode(node, keys, arguments)
        arguments += how
        arguments += self._words(keys)
        of_all = [] if whole is None else whole.arguments
        arguments += [repr(K1), repr(B), 1 if sweeps else 0, len(of_all), *of_all]
        groups = question.groups if question is not None else ()
        arguments.append(len(groups))
        for group in groups:
            arguments += [len(group), *group]
        arguments += [repr(self.now), len(self.memory)]
        for each in self.memory:
            each.signal.encode(1.0, keys, arguments)
        return ScriptCall(RECALL, list(keys.positions), arguments)

    def _called(self, call: ScriptCall, node: Node) -> Plan[list[Any]]:
        question = self.question
        try:
            (reply,) = yield Request((call,), self.fetch.options.shard, repeatable=True)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise (yield from self._wrong_kind(node)) from error
        if reply[0] == b"form" and question is not None:
            raise other_analyzer(question.field, question.stem, reply[1])
        told: list[Any] = reply
        return told

    def _words(self, keys: Keys) -> list[Argument]:
        """The index and its analyzer, with the keys of it that are looked at."""
        question = self.question
        if question is None:
            return [0, ""]
        place = keys.position(question.stem)
        for key in index_kinds(question.stem, question.terms):
            keys.position(key)
        return [place, question.field.analyzer.mark]

    def _wrong_kind(self, node: Node) -> Plan[Exception]:
        kinds = {
            pair[0]: pair[1]
            for each in self.memory
            for pair in each.signal.keys
            if pair is not None
        }
        if self.question is not None:
            kinds |= index_kinds(self.question.stem, self.question.terms)
        return (yield from self.fetch.wrong_kind(node, others=kinds))


def common_terms(question: Question, told: Told) -> frozenset[str]:
    """The words of the question that stand in too many documents to tell them apart."""
    if told.documents < LEAST_COMMON:
        return frozenset()
    return frozenset(
        term
        for group, holders in zip(question.groups, told.holders, strict=True)
        if holders > COMMON_SHARE * told.documents
        for term in group
    )


def telling_weights(words: Sequence[str], question: Question, told: Told) -> list[float]:
    """What each word of a text tells: its inverse document frequency, 0 if it is not indexed.

    A word that no document has tells the most.
    """
    holders = {
        term: number
        for group, number in zip(question.groups, told.holders, strict=True)
        for term in group
    }
    return [
        inverse_frequency(told.documents, max(holders.get(each, 0) for each in terms))
        if (terms := question.field.words(word))
        else 0.0
        for word in words
    ]
