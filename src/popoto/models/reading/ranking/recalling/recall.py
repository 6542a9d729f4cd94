"""Recall by words, meaning and memory together: the plan of `recall`."""

from __future__ import annotations

from typing import Any

from popoto.engine.request import Plan
from popoto.engine.tree import Nothing
from popoto.fields.given import flag_in
from popoto.models.reading.executing import Execution
from popoto.models.reading.ranking.asked import (
    asked_text,
    checked_number,
    number_of_results,
    partition_of,
    refuse_order,
)
from popoto.models.reading.ranking.recalling.asked import (
    WORDS,
    Recalling,
    Signals,
)
from popoto.models.reading.ranking.recalling.candidates import (
    Question,
)
from popoto.models.reading.ranking.recalling.explaining import (
    Recalled,
)
from popoto.models.reading.ranking.recalling.scoring import Scores
from popoto.models.reading.ranking.recalling.searching import Search
from popoto.models.reading.ranking.recalling.under_way import UnderWay
from popoto.models.reading.spec import QuerySpec

__all__ = ["recall", "recall_ranking"]


def recall(spec: QuerySpec, asked: Recalling, *, explain: bool = False) -> Plan[list[Any]]:
    """The plan of `recall`; see `popoto.models.query_rankings`."""
    explain = flag_in(explain, "recall(explain=…)")
    recalling = yield from _recalled(spec, asked)
    if recalling.late is not None:
        recalling.compare((yield from recalling.late.read()))
    found = yield from recalling.read()
    shaped = yield from recalling.shaped(found)
    return Recalled(shaped, recalling.explanation(found)) if explain else shaped


def recall_ranking(spec: QuerySpec, asked: Recalling) -> Plan[UnderWay]:
    """The best records in order, without reading these, nor the words of any (`late`)."""
    return (yield from _recalled(spec, asked))


def _recalled(spec: QuerySpec, asked: Recalling) -> Plan[UnderWay]:
    """A recall with its candidates in order."""
    options = spec.options
    text = asked_text(options, asked.text, "recall")
    asked.check(options)
    signals = Signals.of(spec, asked)
    execution = Execution(spec)
    count = number_of_results(execution, "limit", asked.limit)
    refuse_order(spec, "recall")
    found = UnderWay(execution, asked, count, Scores(signals.weights), telling=text)
    if asked.min_score is not None:
        found.least = checked_number(options, "min_score", asked.min_score, infinite=True)
    question, is_whole = _question(spec, signals, text)
    if not text or count <= execution.offset:
        return found
    fetch = found.fetch = yield from execution.matches()
    if fetch.parts and not isinstance(fetch.operand.node, Nothing):
        search = yield from Search.of(found, fetch, signals, question, is_whole=is_whole)
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
