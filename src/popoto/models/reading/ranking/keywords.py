"""Ranking by words: the plan of `keyword_search`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from popoto import redis_db
from popoto.engine.batch import Batch
from popoto.engine.keys import as_text, text_of
from popoto.engine.outcome import other_form
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.engine.tree import (
    Everything,
    Keys,
    Node,
    Nothing,
    RecordKeys,
    encode,
)
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.keeping.shards import are_apart
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
    the_field,
)
from popoto.models.reading.ranking.scored import (
    Found,
    Scored,
    best_of_parts,
    best_of_shards,
    finished,
    keys_of,
)
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions

__all__ = [
    "MOST_ASKED",
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
#: How often a question is asked again after records that were gone are out of the index.
MOST_ASKED = 20


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

    def best(each: QuerySpec) -> Plan[Found]:
        fetch = yield from Execution(each).unordered()
        ranking = _Ranking(fetch, field, field.stem(partition), terms, count)
        return fetch, (yield from ranking.found(reading, is_all=is_all))

    found = yield from best_of_shards(spec, best, count)
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
    among = None if allowed_keys is None else RecordKeys(tuple(map(_text, allowed_keys)))

    def best(each: QuerySpec) -> Plan[Found]:
        fetch = yield from Execution(each).unordered()
        if among is not None:
            fetch.operand.node = among
        ranking = _Ranking(fetch, field, field.stem(partition), terms, count)
        return fetch, (yield from ranking.found(Reading(()), is_all=is_all and among is None))

    found = yield from best_of_shards(spec, best, count)
    return [] if found is None else keys_of(found[1])


# What is asked for -----------------------------------------------------------------------------


def _text(key: Any) -> str:
    return text_of(key) if isinstance(key, bytes) else str(key)


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
class _Ranking:
    """One ranking by one index; see the head of ``search.lua``."""

    fetch: Fetch
    field: AnyField
    stem: str
    terms: Sequence[str]
    count: int

    def found(self, reading: Reading, *, is_all: bool) -> Plan[list[Scored]]:
        """The best of the records that match. One round trip where the server can tell these."""
        fetch = self.fetch
        node: Node = Everything() if is_all else fetch.operand.node
        if isinstance(node, Nothing):
            return []
        if is_all or (fetch.operand.exact and not isinstance(node, RecordKeys)):
            return (yield from self._of(node, reading))
        keys = yield from fetch.keys(Order("any"))
        if len(keys) <= MOST_CANDIDATES:
            return (yield from self._of(RecordKeys(tuple(keys)), reading))
        best = yield from best_of_parts(
            keys,
            MOST_CANDIDATES,
            lambda some: self._of(RecordKeys(tuple(some)), Reading(())),
            self.count,
        )
        scores = {row.key: score for score, row in best}
        rows = yield from fetch.again([key.encode("utf-8") for key in scores], reading)
        return [(scores[row.key], row) for row in rows]

    def _of(self, node: Node, reading: Reading) -> Plan[list[Scored]]:
        """The best among these.

        Records that are gone would count among the documents. So where any are met, they go
        first, and the question is asked again. Not where replicas are read.
        """
        options = self.fetch.options
        for _ in range(0 if redis_db.reads_replicas() else MOST_ASKED):
            reply = yield from self._reply(node, reading, sweeps=True)
            if reply[0] == b"due":
                if (yield from sweep(options, reply[1])) == 0:
                    break
            elif reply[2] and options.self_repair:
                yield from forget_words(options, self.field, self.stem, reply[2])
                yield from repair(options, reply[2], (), node)
            else:
                return self._scored(reply[0], reading)
        reply = yield from self._reply(node, reading, sweeps=False)
        return self._scored(reply[0], reading)

    def _scored(self, found: Sequence[list[Any]], reading: Reading) -> list[Scored]:
        rows = self.fetch.rows_of(Page([each[:2] for each in found], [], []), reading)
        return [(float(each[2]), row) for each, row in zip(found, rows, strict=True)]

    def _reply(self, node: Node, reading: Reading, *, sweeps: bool) -> Plan[list[Any]]:
        options = self.fetch.options
        shard = options.shard if (yield from are_apart(options)) else ""
        known, wanted = self._known(node, shard)
        along = known.along(self.terms) if known else NOTHING_ALONG
        call = self._call(node, reading, self._foretold(known, wanted), sweeps=sweeps)
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

    def _call(
        self, node: Node, reading: Reading, foretold: Sequence[Argument], *, sweeps: bool
    ) -> ScriptCall:
        options, field = self.fetch.options, self.field
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
        arguments += [repr(float(field.k1)), repr(float(field.b)), 1 if sweeps else 0]
        arguments += [len(self.terms), *self.terms, *foretold]
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
