"""What can be done with the results of a query besides reading them.

`Query` and `QueryBuilder` share these methods. Each has a native asyncio twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Never

from popoto.fields.describing import describe
from popoto.fields.field import LEFT_OUT
from popoto.models.query_rankings import QueryRankings
from popoto.models.reading import aggregating
from popoto.models.reading.aggregating import field_name
from popoto.models.reading.explaining import Explanation, explain
from popoto.models.writing.keywords import Lifetime, Moment
from popoto.models.writing.renewing import renew_all


class QueryOperations(QueryRankings):
    """Aggregates, changes and explanation of the query that `_spec` describes.

    Fields are given by name or as ``Restaurant.rating``. Aggregates respect a limit,
    read only the field they are about, and raise QueryException for a field that has no
    such values. One command; one more for every 2,000 records.
    """

    # Aggregates ------------------------------------------------------------------------

    def sum(self, field: Any) -> int | float | Decimal:
        """The exact sum of a field of type int, float or Decimal; nulls do not count.

        Floats are added without intermediate rounding, Decimals keep every digit.
        """
        return self._run(aggregating.total(self._spec, field_name(field)))

    async def async_sum(self, field: Any) -> int | float | Decimal:
        """`sum` for asyncio."""
        return await self._arun(aggregating.total(self._spec, field_name(field)))

    def avg(self, field: Any) -> float | Decimal | None:
        """The mean of a field of type int, float or Decimal; None without any value.

        A Decimal for Decimals (to the precision of the current context), else a float.
        """
        return self._run(aggregating.average(self._spec, field_name(field)))

    async def async_avg(self, field: Any) -> float | Decimal | None:
        """`avg` for asyncio."""
        return await self._arun(aggregating.average(self._spec, field_name(field)))

    def min(self, field: Any) -> Any:
        """The least value of a field; None without any. O(log n) for a sorted field."""
        return self._run(aggregating.extreme(self._spec, field_name(field), greatest=False))

    async def async_min(self, field: Any) -> Any:
        """`min` for asyncio."""
        return await self._arun(aggregating.extreme(self._spec, field_name(field), greatest=False))

    def max(self, field: Any) -> Any:
        """The greatest value of a field; None without any. O(log n) for a sorted field."""
        return self._run(aggregating.extreme(self._spec, field_name(field), greatest=True))

    async def async_max(self, field: Any) -> Any:
        """`max` for asyncio."""
        return await self._arun(aggregating.extreme(self._spec, field_name(field), greatest=True))

    def group_count(self, field: Any) -> dict[Any, int]:
        """How many results have each value of a field (None included), most frequent first."""
        return self._run(aggregating.group_count(self._spec, field_name(field)))

    async def async_group_count(self, field: Any) -> dict[Any, int]:
        """`group_count` for asyncio."""
        return await self._arun(aggregating.group_count(self._spec, field_name(field)))

    # Changes ------------------------------------------------------------------------------

    def delete(self, batch_size: int = 1000) -> int:
        """Delete the results, with all their entries; returns how many. See `bulk_delete`.

        A record that has stopped matching is left out.
        """
        self._check_writes("delete()")
        number: int = self._model.bulk_delete(self._results_of(), batch_size=batch_size)
        return number

    async def async_delete(self, batch_size: int = 1000) -> int:
        """`delete` for asyncio."""
        self._check_writes("delete()")
        results = self._results_of()
        number: int = await self._model.async_bulk_delete(results, batch_size=batch_size)
        return number

    def update(self, *given: Never, **changes: Any) -> int:
        """Set these fields of the results; returns how many were changed. See `bulk_update`.

        A value may be ``F("stock") - 1``, of the number that is stored then. A record that has
        stopped matching is left out.
        """
        self._check_changes(given)
        self._check_writes("update()")
        number: int = self._model.bulk_update(self._results_of(), **changes)
        return number

    async def async_update(self, *given: Never, **changes: Any) -> int:
        """`update` for asyncio."""
        self._check_changes(given)
        self._check_writes("update()")
        number: int = await self._model.async_bulk_update(self._results_of(), **changes)
        return number

    def renew_ttl(
        self,
        ttl: Lifetime = LEFT_OUT,
        *,
        expire_at: Moment = LEFT_OUT,
        batch_size: int = 1000,
    ) -> int:
        """Let the time of the results begin anew; returns how many were renewed.

        A record that has stopped matching is left out. See `Model.renew_ttl`. Two round trips,
        and one for each further batch.
        """
        self._check_writes("renew_ttl()")
        query = self._results_of()
        return self._run(renew_all(self._model, query, ttl, expire_at, batch_size))

    async def async_renew_ttl(
        self,
        ttl: Lifetime = LEFT_OUT,
        *,
        expire_at: Moment = LEFT_OUT,
        batch_size: int = 1000,
    ) -> int:
        """`renew_ttl` for asyncio."""
        self._check_writes("renew_ttl()")
        query = self._results_of()
        return await self._arun(renew_all(self._model, query, ttl, expire_at, batch_size))

    def _check_changes(self, given: Sequence[object]) -> None:
        """Raises TypeError for values without names, such as a whole dict."""
        if given:
            raise TypeError(
                f"{self._spec.options.model_name}: update() takes values by keyword, as "
                f"update(field=value), or update(**values) of a dict; got {describe(given[0])}"
            )

    @property
    def _model(self) -> Any:
        """The model, with the methods that users call; one of its own is called then."""
        return self._spec.model

    def _results_of(self) -> Any:
        """The builder whose results are meant."""
        return self

    # Explanation --------------------------------------------------------------------------

    def explain(self) -> Explanation:
        """How this query is answered: indexes, order, what is left to Python, round trips.

        Reads no record. Sends nothing, unless a condition asks for related records first.
        """
        return self._run(explain(self._spec))

    async def async_explain(self) -> Explanation:
        """`explain` for asyncio."""
        return await self._arun(explain(self._spec))
