"""Ranking by words: the plan of `keyword_search`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import redis.exceptions

from popoto.engine.batch import Batch
from popoto.engine.keys import as_text
from popoto.engine.looking_up import looked_up
from popoto.engine.outcome import other_form
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import (
    Everything,
    Keys,
    Node,
    Nothing,
    RecordKeys,
    encode,
    in_parts,
)
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.keeping.shards import all_asked, are_apart
from popoto.memory.bm25.corpus import Corpus
from popoto.memory.bm25.documents import lengths_key, postings_key
from popoto.memory.bm25.remembered import (
    MOST_NAMED,
    NOTHING_ALONG,
    Remembered,
    make_room,
    remembered,
)
from popoto.memory.bm25.scripts import SEARCH
from popoto.models.beside.leftovers import Reported, repair, sweep, take_away, while_missing
from popoto.models.reading.calls import PAGE, TRUST, Page, Reading
from popoto.models.reading.executing import Execution
from popoto.models.reading.fetching import Fetch
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import AnyField
from popoto.models.reading.ranking.asked import (
    asked_text,
    number_of_results,
    partition_of,
    refuse_order,
    text_of_key,
    the_field,
)
from popoto.models.reading.ranking.scored import (
    Found,
    Scored,
    finished,
    keys_of,
    merged,
)
from popoto.models.reading.ranking.settling import all_settled, settled
from popoto.models.reading.spec import QuerySpec
from popoto.models.reading.spreading import in_each_shard
from popoto.models.record.options import ModelOptions

__all__ = [
    "MOST_CANDIDATES",
    "forget_words",
    "index_kinds",
    "keyword_field",
    "keyword_ranking",
    "keyword_search",
    "named_keyword_field",
    "other_analyzer",
]

#: How many records that other conditions have found one call ranks.
MOST_CANDIDATES = 5_000


def keyword_search(
    spec: QuerySpec, query_text: str | None, field_name: str | None, limit: Any
) -> Plan[list[Any]]:
    """The plan of `keyword_search`; see `popoto.models.query_rankings`."""
    field = keyword_field(spec.options, field_name)
    execution = Execution(spec)
    count = number_of_results(execution, "limit", limit)
    refuse_order(spec, "keyword_search")
    partition, is_all = partition_of(field, spec, "keyword_search")
    terms = _terms(field, asked_text(spec.options, query_text, "keyword_search"))
    if count <= 0 or not terms:
        return []
    reading = execution.reading()
    stem = field.stem(partition)

    def ranking_of(fetch: Fetch) -> _Ranking:
        return _Ranking(fetch, field, stem, terms, count, reading, is_all)

    found = yield from _best(spec, ranking_of)
    if found is None:
        return []
    fetch, scored = found
    return (yield from finished(execution, fetch, scored[execution.offset :], "_bm25_score"))


def keyword_ranking(
    spec: QuerySpec,
    query_text: str | None,
    field_name: Any,
    limit: Any,
    allowed_keys: Iterable[Any] | None = None,
) -> Plan[list[tuple[str, float]]]:
    """Keys and scores of the best records, without reading these; see `BM25Field.search`."""
    field = named_keyword_field(spec.options, field_name)
    execution = Execution(spec)
    count = number_of_results(execution, "limit", limit)
    partition, is_all = partition_of(field, spec, "search")
    terms = _terms(field, asked_text(spec.options, query_text, "search"))
    if count <= 0 or not terms:
        return []
    among = None if allowed_keys is None else RecordKeys(tuple(map(text_of_key, allowed_keys)))

    stem = field.stem(partition)

    def ranking_of(fetch: Fetch) -> _Ranking:
        if among is not None:
            fetch.operand.node = among
        is_whole = is_all and among is None
        return _Ranking(fetch, field, stem, terms, count, Reading(()), is_whole)

    found = yield from _best(spec, ranking_of)
    return [] if found is None else keys_of(found[1])


def _best(spec: QuerySpec, ranking_of: Callable[[Fetch], _Ranking]) -> Plan[Found | None]:
    """The best in all shards that a query concerns; None where there is no shard."""
    specs = yield from in_each_shard(spec)
    fetches = yield from all_asked(specs, lambda each: Execution(each).unordered())
    rankings = list(map(ranking_of, fetches))
    if not rankings:
        return None
    scored = yield from settled(partial(_ranked, rankings))
    return rankings[0].fetch, scored


def _ranked(rankings: Sequence[_Ranking], sweeps: bool) -> Plan[list[Scored] | None]:
    """The best of all rankings, by what words tell in all of them; None as `settled` has it."""
    first, *others = rankings
    if not others:
        return (yield from first.found(None, sweeps=sweeps))
    corpora = yield from all_asked(rankings, lambda each: each.corpus())
    whole = Corpus.summed(corpora)
    parts = yield from all_settled(rankings, lambda each: each.found(whole, sweeps=sweeps))
    return None if parts is None else merged(parts)[: first.count]


# What is asked for -----------------------------------------------------------------------------


def _terms(field: AnyField, text: str) -> list[str]:
    return list(dict.fromkeys(field.words(text))) if text else []


def keyword_field(options: ModelOptions, name: str | None) -> AnyField:
    """The field by which to search: the named one, or the only one. Raises QueryException."""
    if name is not None:
        return named_keyword_field(options, name)
    return the_field(options, "keywords", "BM25Field", "search by words")


def named_keyword_field(options: ModelOptions, name: Any) -> AnyField:
    """The BM25Field of that name. Raises QueryException for another one, and for none."""
    field = options.by_name.get(name) if isinstance(name, str) else None
    if field is None:
        raise QueryException(
            f"a search by words requires a BM25Field: field {describe(name)} not found on "
            f"{options.model_name}; fields are {', '.join(options.by_name)}"
        )
    if field not in options.listed("keywords"):
        raise QueryException(
            f"a search by words requires a BM25Field, and {field.label} is a {type(field).__name__}"
        )
    return field


# Asking the server -----------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class _Asking:
    """How a ranking is asked: what is read, what there is in all shards, whether others go."""

    reading: Reading
    whole: Corpus | None
    sweeps: bool


@dataclass(slots=True, frozen=True)
class _Ranking:
    """One ranking by one index; see the head of ``search.lua``."""

    fetch: Fetch
    field: AnyField
    stem: str
    terms: Sequence[str]
    count: int
    reading: Reading
    is_all: bool

    def corpus(self) -> Plan[Corpus]:
        """What the index has. One round trip."""
        commands = Corpus.commands(self.stem, self.terms)
        return Corpus.told(*(yield from looked_up(commands, self.fetch.options.shard)))

    def found(self, whole: Corpus | None, *, sweeps: bool) -> Plan[list[Scored] | None]:
        """The best of the records that match; None as `settled` has it.

        `whole`: what there is in all shards. One round trip where the server can tell what matches.
        """
        fetch = self.fetch
        node: Node = Everything() if self.is_all else fetch.operand.node
        if isinstance(node, Nothing):
            return []
        asking = _Asking(self.reading, whole, sweeps)
        if self.is_all or (fetch.operand.exact and not isinstance(node, RecordKeys)):
            return (yield from self._of(node, asking))
        keys = yield from fetch.keys(Order("any"))
        if len(keys) <= MOST_CANDIDATES:
            return (yield from self._of(RecordKeys(tuple(keys)), asking))
        parts: list[list[Scored]] = []
        for some in in_parts(keys, MOST_CANDIDATES):
            part = yield from self._of(some, replace(asking, reading=Reading(())))
            if part is None:
                return None
            parts.append(part)
        scores = {row.key: score for score, row in merged(parts)[: self.count]}
        rows = yield from fetch.again([key.encode("utf-8") for key in scores], self.reading)
        return [(scores[row.key], row) for row in rows]

    def _of(self, node: Node, asking: _Asking) -> Plan[list[Scored] | None]:
        """The best among these; None where records that are gone were met, and are no longer."""
        options = self.fetch.options
        reply = yield from self._reply(node, asking)
        if reply[0] == b"due":
            if (yield from sweep(options, reply[1])):
                return None
            reply = yield from self._reply(node, replace(asking, sweeps=False))
        elif asking.sweeps and reply[2] and options.self_repair:
            yield from forget_words(options, self.field, self.stem, reply[2])
            yield from repair(options, reply[2], (), node)
            return None
        return self._scored(reply[0], asking.reading)

    def _scored(self, found: Sequence[list[Any]], reading: Reading) -> list[Scored]:
        rows = self.fetch.rows_of(Page([each[:2] for each in found], [], []), reading)
        return [(float(each[2]), row) for each, row in zip(found, rows, strict=True)]

    def _reply(self, node: Node, asking: _Asking) -> Plan[list[Any]]:
        options = self.fetch.options
        shard = options.shard if (yield from are_apart(options)) else ""
        known, wanted = self._known(node, shard)
        along = known.along(self.terms) if known else NOTHING_ALONG
        call = self._call(node, asking, self._foretold(known, wanted))
        request = Request((call, *along.commands), options.shard, repeatable=True)
        try:
            reply, *replies = yield request
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            kinds = index_kinds(self.stem, self.terms)
            raise (yield from self.fetch.wrong_kind(node, others=kinds)) from error
        if reply[0] == b"form":
            raise other_analyzer(self.field, self.stem, reply[1])
        if known and reply[0] != b"due" and known.take(self.terms, reply[3], along, replies):
            make_room()
        told: list[Any] = reply
        return told

    def _call(self, node: Node, asking: _Asking, foretold: Sequence[Argument]) -> ScriptCall:
        options, field, reading = self.fetch.options, self.field, asking.reading
        keys = Keys()
        own: list[str] = [options.class_set_key, options.expiry_key, options.expiry_values_key]
        for key in own:
            keys.position(key)
        arguments: list[Argument] = [
            *("records", 0, self.count, PAGE, TRUST, "any", 0, 0, 0),
            len(reading.hash_names),
            *reading.hash_names,
            len(reading.list_names),
            *reading.list_names,
        ]
        encode(node, keys, arguments)
        arguments += [keys.position(self.stem), field.analyzer.mark]
        arguments += [repr(float(field.k1)), repr(float(field.b)), 1 if asking.sweeps else 0]
        arguments += [len(self.terms), *self.terms]
        whole = asking.whole.arguments if asking.whole else ()
        arguments += [len(whole), *whole, *foretold]
        for key in index_kinds(self.stem, self.terms):
            keys.position(key)
        return ScriptCall(SEARCH, list(keys.positions), arguments)

    def _known(self, node: Node, shard: str) -> tuple[Remembered | None, int]:
        """What this process remembers of the index, and how many documents it is to name."""
        # Of those that conditions are to leave out, more are needed.
        factor, more = (1.25, 16) if isinstance(node, Everything) else (8, 64)
        wanted = int(self.count * factor) + more
        is_walked = self.field.cache and not isinstance(node, RecordKeys)
        is_known = is_walked and wanted <= MOST_NAMED
        return (remembered(self.stem, shard) if is_known else None), wanted

    def _foretold(self, known: Remembered | None, wanted: int) -> list[Argument]:
        if known is None:
            return [""]
        return known.foretold(self.terms, wanted, float(self.field.k1), float(self.field.b))


_PARTS = {"n": "string", "avgdl": "string", "analyzer": "string", "changes": "zset"}


def index_kinds(stem: str, terms: Sequence[str]) -> dict[str, str]:
    """The keys of an index that a question about these terms looks at, beside its stem.

    With the kind of key that each is.
    """
    parts = {f"{stem}:{name}": kind for name, kind in _PARTS.items()}
    sets = (lengths_key(stem), *(postings_key(stem, term) for term in terms))
    return parts | dict.fromkeys(sets, "zset")


def forget_words(options: ModelOptions, field: AnyField, stem: str, dead: Reported) -> Plan[None]:
    """Take out of an index what missing records have left, whatever partition they name."""
    batches: list[Batch] = []
    for key in dead[::2]:
        if (text := as_text(key)) is not None:
            batch = while_missing(text)
            field.document(stem, text).remove(batch)
            batches.append(batch)
    yield from take_away(options, batches, is_asked_for=False)


def other_analyzer(field: AnyField, stem: str, found: bytes) -> Exception:
    """The error for an index that another analyzer has made."""
    told = found.decode("utf-8", "replace") or "words"
    wanted = field.analyzer.mark or "words"
    return other_form(f"{stem}:analyzer", told, wanted, "so it answers nothing")
