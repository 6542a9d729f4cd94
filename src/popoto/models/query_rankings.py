"""Results in an order that signals, words and meanings give them.

`Query` and `QueryBuilder` share these methods. Each has a native asyncio twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from popoto.engine.request import Plan
from popoto.models.query_recall import QueryRecall
from popoto.models.reading.ranking.asked import Scoring
from popoto.models.reading.ranking.composite import composite_score
from popoto.models.reading.ranking.decaying import top_by_decay
from popoto.models.reading.ranking.explaining import Ranked
from popoto.models.reading.ranking.fusing import fuse
from popoto.models.reading.ranking.keywords import (
    keyword_ranking,
    keyword_search,
    named_keyword_field,
)
from popoto.models.reading.ranking.scored import Accepts
from popoto.models.reading.ranking.similar import semantic_search


class QueryRankings(QueryRecall):
    """Rankings of the results of the query that `_spec` describes.

    Its conditions, limit, offset and values hold; see docs/queries.md.
    """

    def top_by_decay(
        self,
        field_name: str | None = None,
        n: int = 10,
        decay_rate: float | None = None,
        base_score_field: str | None = None,
    ) -> Ranked[Any]:
        """The `n` results whose relevance has decayed least, best first.

        The score is ``base * days ** -decay_rate`` (`popoto.memory.decay.formula`), days since
        the last save or `touch()`; equal scores come in the order of record keys.

        `field_name`        the `DecayingSortedField`; may be left out if there is one only
        `decay_rate`        instead of the field's; 0 and negative ones work
        `base_score_field`  instead of the field's; "" for none

        Other conditions, limit, offset and values of the query hold. A partitioned field needs
        each of its partition fields as a plain keyword of `filter`. Raises QueryException.

        One command. Work grows with `n`, not with the records, where there is no base or the
        field's own; another base is read of every record of the partition, and cycles and
        pressure of all that have any, of which few are scored. Further conditions cost one
        command more, and one for every 5,000 records that they find. The `explain()` of the
        list that is returned tells how it was found.
        """
        return self._run(top_by_decay(self._spec, field_name, n, decay_rate, base_score_field))

    async def async_top_by_decay(
        self,
        field_name: str | None = None,
        n: int = 10,
        decay_rate: float | None = None,
        base_score_field: str | None = None,
    ) -> Ranked[Any]:
        """`top_by_decay` for asyncio."""
        return await self._arun(
            top_by_decay(self._spec, field_name, n, decay_rate, base_score_field)
        )

    def keyword_search(
        self, query_text: str | None, field: str | None = None, limit: int = 10
    ) -> list[Any]:
        """The results whose words answer a question best, best first (BM25).

        Each record has its score as ``_bm25_score``; equal scores come in the order of record
        keys. `field` names the `BM25Field`; it may be left out if there is one only. [] for a
        question without words.

        Other conditions, limit, offset and values of the query hold, and are looked at before
        the limit. A partitioned field needs each of its partition fields as a plain keyword of
        `filter`. Raises QueryException; ModelException where the index was made with another
        analyzer.

        One command; one more for conditions that only Python can check, and for every 5,000
        records that they find. Work grows with the answer for most questions
        (`popoto/memory/bm25/search.lua`).
        """
        return self._run(keyword_search(self._spec, query_text, field, limit))

    async def async_keyword_search(
        self, query_text: str | None, field: str | None = None, limit: int = 10
    ) -> list[Any]:
        """`keyword_search` for asyncio."""
        return await self._arun(keyword_search(self._spec, query_text, field, limit))

    def _keyword_ranking(
        self,
        query_text: str | None,
        field_name: Any,
        limit: Any,
        allowed_keys: Iterable[Any] | None = None,
    ) -> Plan[list[tuple[str, float]]]:
        """The plan of `BM25Field.search`."""
        return keyword_ranking(self._spec, query_text, field_name, limit, allowed_keys)

    def _keyword_field(self, name: Any) -> Any:
        """The BM25Field of that name. Raises QueryException."""
        return named_keyword_field(self._spec.options, name)

    def semantic_search(
        self,
        query_text: str | None,
        indexes: Mapping[str, float] | None = None,
        limit: int = 10,
        aggregate: str = "SUM",
        min_score: float | None = None,
        post_filter: Accepts | None = None,
        co_occurrence_boost: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        normalize: bool = False,
    ) -> list[Any]:
        """The results whose texts are nearest in meaning to a question, best first.

        Records are compared by the cosine of their vectors (of the model's first `EmbeddingField`)
        and that of the question; those above 0 count, and equal ones come in reverse
        order of their keys. ``_similarity_score`` of a result is its score.

        `indexes`              weights of further signals, as `composite_score` takes them:
                               similarity is one more, of weight 1 (``_composite_score``);
                               `normalize` as there
        `limit`                how many; a limit of the query holds as well
        `min_score`            leave out what scores less; below 0 it lets in what is unlike
        `co_occurrence_boost`  record key -> number, joined to the similarity by `aggregate` ("SUM",
                               "MIN" or "MAX"); its keys are candidates as well
        `temperature`          scores are divided by it, once all else is decided
        `post_filter`          is called with record key and score; what it refuses makes room

        Other conditions, offset and values of the query hold. None for an empty question, without
        a provider or without vectors. Raises QueryException, RuntimeError when the provider fails,
        VectorMismatchError where another model has made the vectors.

        The provider is asked once. Then one round trip: for the records, and, with vectors on the
        server, for what has changed since the last search. One more where that changes which are
        the nearest, or vectors are many; conditions that leave out most of these cost two more.
        Compares with every vector in memory, twice where some have changed.
        """
        asked = Scoring(
            *(indexes, limit, aggregate, min_score, post_filter, co_occurrence_boost),
            temperature=temperature,
            normalize=normalize,
        )
        return self._run(semantic_search(self._spec, query_text, asked))

    async def async_semantic_search(
        self,
        query_text: str | None,
        indexes: Mapping[str, float] | None = None,
        limit: int = 10,
        aggregate: str = "SUM",
        min_score: float | None = None,
        post_filter: Accepts | None = None,
        co_occurrence_boost: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        normalize: bool = False,
    ) -> list[Any]:
        """`semantic_search` for asyncio."""
        asked = Scoring(
            *(indexes, limit, aggregate, min_score, post_filter, co_occurrence_boost),
            temperature=temperature,
            normalize=normalize,
        )
        return await self._arun(semantic_search(self._spec, query_text, asked))

    def composite_score(
        self,
        indexes: Mapping[str, float] | None,
        limit: int = 10,
        aggregate: str = "SUM",
        min_score: float | None = None,
        post_filter: Accepts | None = None,
        co_occurrence_boost: Mapping[str, float] | None = None,
        similarity_boost: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        normalize: bool = False,
    ) -> list[Any]:
        """The results with the highest scores, each made of several signals; best first.

        `indexes`    weights by name: a sorted field (its value), a decay field (its score now), a
                     `ConfidenceField`, ``priority`` of a `WriteFilterMixin`, ``access_count``
                     of an `AccessTrackerMixin`. The score of a record is the sum of weight
                     times signal, over the signals that it has
        `normalize`  each index counts from 0 to 1, from the least to the greatest number that a
                     record which the conditions find has in it: so dates and confidences can be
                     added. Further numbers stay as they are
        `aggregate`  SUM, MIN or MAX
        `min_score`  the least score, before it is divided by `temperature` (> 0)
        `post_filter`  a function of record key and score: whether the record is wanted
        `co_occurrence_boost`, `similarity_boost`   further numbers by record key

        Conditions, limit, offset and values of the query hold; every result meets all of them.
        A partitioned field needs its partition fields as plain keywords of `filter`. Records bear
        their score as `_composite_score`; of equal ones the greatest key comes first. Raises
        QueryException.

        One command, one more where Python has to decide on a condition, or where `post_filter`
        rejects some. O(records that the conditions find) for each signal.
        """
        asked = Scoring(
            *(indexes, limit, aggregate, min_score, post_filter),
            *(co_occurrence_boost, similarity_boost, temperature, normalize),
        )
        return self._run(composite_score(self._spec, asked))

    async def async_composite_score(
        self,
        indexes: Mapping[str, float] | None,
        limit: int = 10,
        aggregate: str = "SUM",
        min_score: float | None = None,
        post_filter: Accepts | None = None,
        co_occurrence_boost: Mapping[str, float] | None = None,
        similarity_boost: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        normalize: bool = False,
    ) -> list[Any]:
        """`composite_score` for asyncio."""
        asked = Scoring(
            *(indexes, limit, aggregate, min_score, post_filter),
            *(co_occurrence_boost, similarity_boost, temperature, normalize),
        )
        return await self._arun(composite_score(self._spec, asked))

    def fuse(
        self,
        k: float = 60,
        limit: int = 10,
        post_filter: Accepts | None = None,
        weights: Mapping[str, float] | None = None,
        **ranked_lists: Iterable[tuple[str | bytes, Any]] | None,
    ) -> list[Any]:
        """The results that stand highest in several ranked lists of ``(record key, score)``.

        Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): a record's score is the sum of
        ``1 / (k + rank)`` over the lists, ranks from 1. The scores in the lists do not count, so
        lists of any kind can be fused; `weights`, by the name of a list, make one count more.

        `post_filter`   a function of record key and score: whether the record is wanted

        Conditions, limit, offset and values of the query hold. Records bear their score as
        `_rrf_score`; of equal ones that comes first which was seen first. Raises QueryException;
        ValueError for what is no pair.

        One command; more where records of the lists are gone or meet no condition.
        """
        return self._run(fuse(self._spec, ranked_lists, k, limit, post_filter, weights))

    async def async_fuse(
        self,
        k: float = 60,
        limit: int = 10,
        post_filter: Accepts | None = None,
        weights: Mapping[str, float] | None = None,
        **ranked_lists: Iterable[tuple[str | bytes, Any]] | None,
    ) -> list[Any]:
        """`fuse` for asyncio."""
        return await self._arun(fuse(self._spec, ranked_lists, k, limit, post_filter, weights))
