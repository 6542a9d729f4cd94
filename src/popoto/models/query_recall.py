"""Recall: results by words, meaning and memory together. `Query` and `QueryBuilder` share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from popoto.models.query_runs import QueryRuns
from popoto.models.reading.ranking.recalling.asked import Recalling
from popoto.models.reading.ranking.recalling.explaining import Recalled
from popoto.models.reading.ranking.recalling.recall import recall


class QueryRecall(QueryRuns):
    """Recall among the results of the query that `_spec` describes."""

    @overload
    def recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: Literal[False] = False,
    ) -> list[Any]: ...

    @overload
    def recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: Literal[True],
    ) -> Recalled[Any]: ...

    @overload
    def recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: bool,
    ) -> list[Any]: ...

    def recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: bool = False,
    ) -> list[Any]:
        """The results that answer a question best, by words, meaning and memory together.

        The score of a record is a weighted sum (`popoto.memory.recall.formula`): how much of the
        question its words answer, how near its meaning is, how long it is, and what memory says
        of it: decay, confidence, confirmed reads, associations with the cues. What a model has
        counts, by itself; ``_recall_score`` of a result is its score.

        `signals`    the names of those that count; by default all that the model has: "words",
                     "length", "meaning", "access_count", "associations", and the names of its
                     decaying and confidence fields
        `weights`    what they count, by name, instead of the default; 0 leaves one out. A weight
                     makes any index count that `composite_score` can read, as it is
        `cues`       records or keys that are thought of: what is associated with them is lifted
        `field`      the `BM25Field`, where there are several
        `min_score`  leave out what scores less
        `explain`    the list that is returned has an `explain()`: each result's signals with value,
                     weight and rank, and for every other candidate the rule that dropped it

        Conditions, limit, offset and values of the query hold before the limit. A partitioned
        field needs its partition fields as plain keywords of `filter`. Equal scores come in the
        order of keys; [] for an empty question. Where the provider of vectors fails, a warning is
        logged and words alone decide. Raises QueryException; RuntimeError where the provider fails
        and there are no words; VectorMismatchError; ModelException where the index of words was
        made with another analyzer.

        Three round trips: candidates by words, those by meaning, the records; two without an
        `EmbeddingField`. Two more where conditions leave out most of the nearest. The provider is
        asked once.
        """
        asked = Recalling(text, limit, field, signals, weights, cues, min_score)
        return self._run(recall(self._spec, asked, explain=explain))

    @overload
    async def async_recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: Literal[False] = False,
    ) -> list[Any]: ...

    @overload
    async def async_recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: Literal[True],
    ) -> Recalled[Any]: ...

    @overload
    async def async_recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: bool,
    ) -> list[Any]: ...

    async def async_recall(
        self,
        text: str | None,
        limit: int = 10,
        *,
        field: str | None = None,
        signals: Iterable[str] | None = None,
        weights: Mapping[str, float] | None = None,
        cues: Iterable[Any] | None = None,
        min_score: float | None = None,
        explain: bool = False,
    ) -> list[Any]:
        """`recall` for asyncio."""
        asked = Recalling(text, limit, field, signals, weights, cues, min_score)
        return await self._arun(recall(self._spec, asked, explain=explain))
