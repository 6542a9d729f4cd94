"""How well a retrieval finds what people say it should: recall on data of your own.

Write some questions down with the records that answer them (`read_gold`), let a retriever answer
(`measure`, `async_measure`), and assert in a test what it has to reach (`RecallReport`).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from popoto.models.base import Model
from popoto.testing.gold import GoldFileError, GoldQuestion, read_gold
from popoto.testing.report import Answered, RecallReport

__all__ = [
    "Answered",
    "GoldFileError",
    "GoldQuestion",
    "RecallReport",
    "async_measure",
    "measure",
    "read_gold",
]

#: Called with a question and `limit`; gives results, best first, or an awaitable of them.
Retriever: TypeAlias = Callable[..., Any]
Gold: TypeAlias = str | Path | Iterable[GoldQuestion]


def measure(
    gold: Gold,
    retriever: Retriever | str,
    *,
    query: Any = None,
    at: Iterable[int] = (1, 5, 10),
    by: str | Callable[[Any], str] | None = None,
    name: str | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> RecallReport:
    """Ask every question, one after the other, and see which answers come back, and where.

    `gold`       a gold file, or questions
    `retriever`  ``Note.query.keyword_search``, a function of yours called as
                 ``retriever(question, limit=10)``, or the name of a method of `query`
    `query`      ``Note.query``, or one with conditions: ``Note.query.filter(owner="ada")``
    `at`         the cuts; as many results are asked for as the largest says
    `by`         how results are named in the gold file: by a field, or by what a function says.
                 By default records are named by their keys, and pairs of key and score by the key
    `name`       what the report is called
    `timer`      tells the time, in seconds

    Each question costs what the retriever costs. Raises GoldFileError for a gold file that cannot
    be used, TypeError for results without a name; an error of the retriever gets a note.
    """
    plan = _Plan(gold, retriever, query, "", at, by, name)
    answered: list[Answered] = []
    for question in plan.questions:
        started = timer()
        try:
            found = plan.ask(question)
        except Exception as error:
            error.add_note(f"while asking {question.question!r}")
            raise
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise TypeError(f"{plan.name} is asynchronous: await async_measure(…) instead")
        results = list(found)
        answered.append(plan.answered(question, results, timer() - started))
    return RecallReport(plan.name, plan.at, tuple(answered))


async def async_measure(
    gold: Gold,
    retriever: Retriever | str,
    *,
    query: Any = None,
    at: Iterable[int] = (1, 5, 10),
    by: str | Callable[[Any], str] | None = None,
    name: str | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> RecallReport:
    """`measure` for asyncio. The name of a method means its twin: ``async_keyword_search``."""
    plan = _Plan(gold, retriever, query, "async_", at, by, name)
    answered: list[Answered] = []
    for question in plan.questions:
        started = timer()
        try:
            found = plan.ask(question)
            results = list(await found if inspect.isawaitable(found) else found)
        except Exception as error:
            error.add_note(f"while asking {question.question!r}")
            raise
        answered.append(plan.answered(question, results, timer() - started))
    return RecallReport(plan.name, plan.at, tuple(answered))


class _Plan:
    """What is asked, of whom, and how results are told from each other."""

    def __init__(
        self,
        gold: Gold,
        retriever: Retriever | str,
        query: Any,
        prefix: str,
        at: Iterable[int],
        by: str | Callable[[Any], str] | None,
        name: str | None,
    ) -> None:
        self.questions = _questions_in(gold)
        self.at = _places_in(at)
        self._by = by
        if isinstance(retriever, str):
            if query is None:
                raise ValueError(
                    f"{retriever!r} of which query? Give query=YourModel.query as well"
                )
            method = prefix + retriever.removeprefix("async_")
            if not hasattr(query, method):
                raise ValueError(
                    f"{retriever!r} is no method of {query!r}: give query=YourModel.query, and a "
                    "name such as 'recall' or 'keyword_search'"
                )
            self._retriever: Retriever = getattr(query, method)
        elif query is not None:
            raise ValueError("query belongs to the name of one of its methods; leave it out")
        elif not callable(retriever):
            raise TypeError(
                f"a retriever is a function of a question, or the name of a method of a query, "
                f"got {retriever!r}"
            )
        else:
            self._retriever = retriever
        called = getattr(self._retriever, "__name__", type(retriever).__name__)
        self.name = str(name or called)

    def ask(self, question: GoldQuestion) -> Any:
        return self._retriever(question.question, limit=self.at[-1])

    def answered(self, question: GoldQuestion, results: list[Any], seconds: float) -> Answered:
        found = tuple(self._named(result) for result in results[: self.at[-1]])
        wanted = set(question.answers)
        ranks: dict[str, int] = {}
        for place, name in enumerate(found, 1):
            if name in wanted:
                ranks.setdefault(name, place)
        return Answered(question, found, ranks, seconds)

    def _named(self, result: Any) -> str:
        """The name of a result in gold files."""
        if callable(self._by):
            return self._by(result)
        if self._by is not None:
            is_row = issubclass(type(result), Mapping)
            return str(result[self._by] if is_row else getattr(result, self._by))
        key: object = result[0] if issubclass(type(result), tuple) and result else result
        if isinstance(key, Model):
            return key.pk
        if isinstance(key, bytes):
            return key.decode()
        if isinstance(key, str):
            return key
        raise TypeError(
            f"{self.name} found something without a key: {result!r}. Give by=, the field or a "
            "function that names it as the gold file does"
        )


def _questions_in(gold: Gold) -> list[GoldQuestion]:
    """What is to be asked. Raises ValueError for nothing, TypeError for what are no questions."""
    if isinstance(gold, str | Path):
        return read_gold(gold)
    given: object = gold
    questions = list(gold) if isinstance(given, Iterable) else None
    if questions is None or not all(hasattr(each, "answers") for each in questions):
        raise TypeError(f"gold is the path of a gold file or a list of GoldQuestion, got {gold!r}")
    if not questions:
        raise ValueError("there are no questions to ask")
    return questions


def _places_in(at: Iterable[int]) -> tuple[int, ...]:
    """The places to look at, in order. Raises ValueError for what are none."""
    given: object = at
    places = list(at) if isinstance(given, Iterable) else []
    if not places or any(type(each) is not int or each < 1 for each in places):
        raise ValueError(f"at has the places to look at, from 1, such as (1, 5, 10): {at!r}")
    return tuple(sorted(set(places)))
