"""Candidates for a recall, and what the server says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import redis.exceptions

from popoto import redis_db
from popoto.engine.keys import as_text
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import Keys, Members, Node, RecordKeys, all_of, encode
from popoto.memory.bm25.formula import inverse_frequency
from popoto.memory.recall.formula import COMMON_SHARE, K1, LEAST_COMMON, B
from popoto.memory.recall.scripts import RECALL
from popoto.models.beside.leftovers import repair, sweep
from popoto.models.reading.calls import PAGE, TRUST, Page, Reading, Row
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.keywords import (
    MOST_ASKED,
    MOST_CANDIDATES,
    forget_words,
    index_kinds,
    other_analyzer,
)
from popoto.models.reading.ranking.recalling.asked import MemorySignal

__all__ = ["Asking", "Candidate", "Question", "Told", "common_terms", "telling_weights"]


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
    """A record, the score of its words, how many it has (None: none), its other numbers."""

    row: Row
    words: float
    length: float | None
    memory: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a call has told: the index's documents and mean length, who holds each word."""

    documents: int
    average: float
    holders: tuple[int, ...]
    found: tuple[Candidate, ...]
    #: records that were asked for and do not exist
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asking:
    """One recall's calls of the server; see the head of ``recall.lua``."""

    fetch: Fetch
    #: what candidates that words have not brought have to match
    conditions: Node
    question: Question | None
    memory: Sequence[MemorySignal]
    #: what is read of each candidate
    reading: Reading
    now: float

    def best(self, node: Node, most: int) -> Plan[Told]:
        """The records of a node that answer best. One round trip; one for many keys each."""
        if not isinstance(node, RecordKeys) or len(node.keys) <= MOST_CANDIDATES:
            return (yield from self._of(node, None, most))
        parts: list[Told] = []
        for first in range(0, len(node.keys), MOST_CANDIDATES):
            some = RecordKeys(node.keys[first : first + MOST_CANDIDATES])
            parts.append((yield from self._of(some, None, most)))
        found = [each for part in parts for each in part.found]
        found.sort(key=lambda each: (-each.words, each.row.key.encode("utf-8")))
        return replace(parts[0], found=tuple(found[:most]))

    def each(self, keys: Sequence[str]) -> Plan[Told]:
        """Those of these records that match. One round trip."""
        node = all_of([Members(self.fetch.options.class_set_key), self.conditions])
        return (yield from self._of(node, keys, len(keys)))

    def _of(self, node: Node, keys: Sequence[str] | None, most: int) -> Plan[Told]:
        """As for a search by words: records that are gone go first, as they would count."""
        options = self.fetch.options
        for _ in range(0 if redis_db.reads_replicas() else MOST_ASKED):
            reply = yield from self._reply(node, keys, most, sweeps=True)
            if reply[0] == b"due":
                if (yield from sweep(options, reply[1])) == 0:
                    break
            elif keys is None and reply[5] and options.self_repair:
                if self.question is not None:
                    yield from forget_words(
                        options, self.question.field, self.question.stem, reply[5]
                    )
                yield from repair(options, reply[5], (), node)
            else:
                return self._told(reply)
        return self._told((yield from self._reply(node, keys, most, sweeps=False)))

    def _told(self, reply: list[Any]) -> Told:
        documents, average, holders, found, _, dead = reply
        rows = self.fetch.rows_of(Page([each[:2] for each in found], [], []), self.reading)
        candidates = tuple(
            Candidate(row, float(each[2]), float(each[3]) if each[3] else None, tuple(each[4]))
            for row, each in zip(rows, found, strict=True)
        )
        gone = frozenset(text for key in dead[::2] if (text := as_text(key)) is not None)
        return Told(int(documents), float(average), tuple(map(int, holders)), candidates, gone)

    def _reply(
        self, node: Node, given: Sequence[str] | None, most: int, *, sweeps: bool
    ) -> Plan[list[Any]]:
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
        arguments += ["best"] if given is None else ["each", len(given), *given]
        arguments += self._words(keys)
        arguments += [repr(K1), repr(B), 1 if sweeps else 0]
        groups = question.groups if question is not None else ()
        arguments.append(len(groups))
        for group in groups:
            arguments += [len(group), *group]
        arguments += [repr(self.now), len(self.memory)]
        for each in self.memory:
            each.signal.encode(1.0, keys, arguments)
        call = ScriptCall(RECALL, list(keys.positions), arguments)
        try:
            (reply,) = yield Request((call,), options.shard, repeatable=True)
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
