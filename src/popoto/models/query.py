"""`Query` (``Model.query``) and `QueryBuilder`: asking for records.

Nothing is sent until results are used. Every method that talks to the server has
a native asyncio twin, ``async_…``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from popoto import redis_db
from popoto.engine.request import Call, Plan
from popoto.engine.run import arun, run
from popoto.exceptions import QueryException
from popoto.fields.coercion import describe
from popoto.fields.conditions import CombinedExpression, Expression, Filter, Q, as_q
from popoto.fields.field import Field
from popoto.models import expiry
from popoto.models.fetching import Fetch, Reading
from popoto.models.query_plans import (
    Execution,
    QuerySpec,
    check_count,
    check_values,
    get,
    get_many,
)

if TYPE_CHECKING:
    from popoto.models.base import Model

__all__ = ["Query", "QueryBuilder", "QueryException"]

logger = logging.getLogger("POPOTO.Query")

Row = TypeVar("Row")
Record = TypeVar("Record")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

_MODIFIERS = ("order_by", "limit", "values")


class QueryBuilder(Generic[Row]):
    """A query that is not sent yet. Every method returns a new builder.

    Iteration, ``len``, indexing, ``in`` and ``==`` evaluate it once and share the
    results; `all`, `count`, `first`, `last` and `exists` always ask the server.
    ``await builder`` gives the list of results, ``async for`` iterates over it.
    """

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, spec: QuerySpec) -> None:
        self._spec = spec
        self._results: list[Row] | None = None

    def _with(self, **changes: Any) -> Any:
        return QueryBuilder[Any](self._spec.changed(**changes))

    # Building ------------------------------------------------------------------------

    @overload
    def filter(
        self, *conditions: Filter, values: tuple[str, ...], **lookups: Any
    ) -> QueryBuilder[dict[str, Any]]: ...
    @overload
    def filter(
        self, *conditions: Filter, values: None = None, **lookups: Any
    ) -> QueryBuilder[Row]: ...
    def filter(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Any]:
        """Further conditions, which must all hold as well.

        Keywords are ``field=value`` or ``field__lookup=value``; `order_by`, `limit`
        and `values` (a tuple) are modifiers. Positional arguments are `Q` objects
        or expressions.
        """
        return self.filtered(conditions, lookups)

    def filtered(
        self, conditions: Iterable[Filter], lookups: Mapping[str, Any]
    ) -> QueryBuilder[Row]:
        """`filter`, with its arguments as they were collected."""
        lookups = dict(lookups)
        changes: dict[str, Any] = {}
        if "order_by" in lookups:
            changes["order_by"] = lookups.pop("order_by")
        if "limit" in lookups:
            changes["limit"] = lookups.pop("limit")
        if "values" in lookups:
            changes["values"] = _values_argument(self._spec, lookups.pop("values"))
        found = [_condition(condition) for condition in conditions]
        if lookups:
            found.append(Q(**lookups))
        return self._with(conditions=(*self._spec.conditions, *found), **changes)

    def exclude(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Row]:
        """Leave out the records for which all of these conditions hold."""
        found = [_condition(condition) for condition in conditions]
        if lookups:
            found.append(Q(**lookups))
        if not found:
            return self._with()
        joined = found[0]
        for condition in found[1:]:
            joined = joined & condition
        return self._with(conditions=(*self._spec.conditions, ~joined))

    def order_by(self, *names: str) -> QueryBuilder[Row]:
        """Order by these fields, the first one deciding most; ``-name`` is descending."""
        return self._with(order_by=names[0] if len(names) == 1 else names or None)

    def limit(self, number: int | None) -> QueryBuilder[Row]:
        """At most this many results; None lifts the limit."""
        return self._with(limit=number)

    def offset(self, number: int) -> QueryBuilder[Row]:
        """Leave out this many results at the beginning."""
        return self._with(offset=number)

    def values(self, *names: str) -> QueryBuilder[dict[str, Any]]:
        """Dicts of just these fields instead of records; without names, records again."""
        return self._with(values=names or None, as_tuples=False)

    @overload
    def values_list(self, a: Field[A], /) -> QueryBuilder[tuple[A]]: ...
    @overload
    def values_list(self, a: Field[A], b: Field[B], /) -> QueryBuilder[tuple[A, B]]: ...
    @overload
    def values_list(
        self, a: Field[A], b: Field[B], c: Field[C], /
    ) -> QueryBuilder[tuple[A, B, C]]: ...
    @overload
    def values_list(
        self, a: Field[A], b: Field[B], c: Field[C], d: Field[D], /
    ) -> QueryBuilder[tuple[A, B, C, D]]: ...
    @overload
    def values_list(
        self, a: Field[A], b: Field[B], c: Field[C], d: Field[D], e: Field[E], /
    ) -> QueryBuilder[tuple[A, B, C, D, E]]: ...
    @overload
    def values_list(self, *names: str | Field[Any]) -> QueryBuilder[tuple[Any, ...]]: ...
    def values_list(self, *names: Any) -> QueryBuilder[Any]:
        """Tuples of just these fields (names, or fields such as ``Restaurant.name``)."""
        found = tuple(name.name if isinstance(name, Field) else name for name in names)
        if not found:
            raise QueryException("values_list needs the fields that the tuples are made of")
        return self._with(values=found, as_tuples=True)

    def computed_sort(
        self, key: Callable[[Row], Any], reverse: bool = False
    ) -> QueryBuilder[Row]:
        """Order by what `key` makes of each result, in Python, before any limit.

        Overrides `order_by`. Reads every match.
        """
        if not callable(key):
            raise TypeError(f"computed_sort needs a function of one result, got {describe(key)}")
        return self._with(computed_sort=(key, reverse))

    def no_track(self) -> QueryBuilder[Row]:
        """Do not call the records' read hooks."""
        return self._with(tracked=False)

    def select_related(self, *names: str) -> QueryBuilder[Row]:
        """Read the records that these relationships refer to along with the results.

        One round trip for each relationship, whatever the number of results; a
        name may lead further (``restaurant__owner``).
        """
        return self._with(related=(*self._spec.related, *names))

    prefetch_related = select_related

    # Results -------------------------------------------------------------------------

    def all(self) -> list[Row]:
        """The results. One command; one more for every 2,000 records."""
        return run(self._all())

    async def async_all(self) -> list[Row]:
        """`all` for asyncio."""
        return await arun(self._all())

    def _all(self) -> Plan[list[Row]]:
        return Execution(self._spec).results()

    def first(self) -> Row | None:
        """The first result, or None. One command."""
        return run(self._first())

    async def async_first(self) -> Row | None:
        """`first` for asyncio."""
        return await arun(self._first())

    def _first(self) -> Plan[Row | None]:
        limit = check_count(self._spec.options, "limit", self._spec.limit)
        spec = self._spec.changed(limit=1 if limit is None else min(limit, 1))
        found = yield from Execution(spec).results()
        return found[0] if found else None

    def last(self) -> Row | None:
        """The last result, or None. Two commands; the keys of all matches are transferred."""
        return run(Execution(self._spec).last())

    async def async_last(self) -> Row | None:
        """`last` for asyncio."""
        return await arun(Execution(self._spec).last())

    def count(self) -> int:
        """How many records match, whatever the limit. One command."""
        return run(Execution(self._spec).count())

    async def async_count(self) -> int:
        """`count` for asyncio."""
        return await arun(Execution(self._spec).count())

    def exists(self) -> bool:
        """Whether there is any result. One command."""
        return run(Execution(self._spec).exists())

    async def async_exists(self) -> bool:
        """`exists` for asyncio."""
        return await arun(Execution(self._spec).exists())

    def keys(self) -> list[bytes]:
        """The record keys of the results. One command."""
        return run(Execution(self._spec).keys())

    async def async_keys(self) -> list[bytes]:
        """`keys` for asyncio."""
        return await arun(Execution(self._spec).keys())

    def iterator(self, chunk_size: int = 1000) -> Iterator[Row]:
        """Iterate over a large result, reading `chunk_size` records at a time.

        Memory holds one chunk of records, and the keys of those to come. A record
        that stops matching meanwhile is left out.
        """
        steps = _Chunks(self._spec, chunk_size)
        while (chunk := run(steps.next())) is not None:
            yield from chunk

    async def async_iterator(self, chunk_size: int = 1000) -> AsyncIterator[Row]:
        """`iterator` for asyncio."""
        steps = _Chunks(self._spec, chunk_size)
        while (chunk := await arun(steps.next())) is not None:
            for row in chunk:
                yield row

    # Implicit evaluation ----------------------------------------------------------------

    def _evaluated(self) -> list[Row]:
        if self._results is None:
            self._results = self.all()
        return self._results

    def __iter__(self) -> Iterator[Row]:
        return iter(self._evaluated())

    def __len__(self) -> int:
        return len(self._evaluated())

    def __bool__(self) -> bool:
        return self.exists() if self._results is None else bool(self._results)

    def __contains__(self, item: object) -> bool:
        return item in self._evaluated()

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if self._results is None and isinstance(index, slice):
            start, stop, step = index.start or 0, index.stop, index.step
            if step is None and start >= 0 and (stop is None or stop >= 0):
                return self._slice(start, stop)
        return self._evaluated()[index]

    def _slice(self, start: int, stop: int | None) -> list[Row]:
        limit = check_count(self._spec.options, "limit", self._spec.limit)
        if stop is not None:
            wanted = max(stop - start, 0)
            limit = wanted if limit is None else max(min(limit - start, wanted), 0)
        elif limit is not None:
            limit = max(limit - start, 0)
        builder: QueryBuilder[Row] = self._with(offset=self._spec.offset + start, limit=limit)
        return builder.all()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, QueryBuilder):
            return self._evaluated() == cast("QueryBuilder[Any]", other)._evaluated()
        if isinstance(other, list):
            return self._evaluated() == other
        return NotImplemented

    def __await__(self) -> Generator[Any, None, list[Row]]:
        return self.async_all().__await__()

    async def __aiter__(self) -> AsyncIterator[Row]:
        for row in await self.async_all():
            yield row

    def __repr__(self) -> str:
        spec = self._spec
        parts = [repr(condition) for condition in spec.conditions]
        parts += [
            f"{name}={value!r}"
            for name, value in (
                ("order_by", spec.order_by),
                ("limit", spec.limit),
                ("offset", spec.offset or None),
                ("values", spec.values),
            )
            if value is not None
        ]
        return f"<QueryBuilder {spec.options.model_name}({', '.join(parts)})>"


class _Chunks:
    """The steps of an iteration in bounded memory."""

    def __init__(self, spec: QuerySpec, chunk_size: int) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be 1 or more, got {chunk_size!r}")
        self._execution = Execution(spec)
        self._chunk_size = chunk_size
        self._state: tuple[Fetch, list[bytes], Reading] | None = None

    def next(self) -> Plan[list[Any] | None]:
        execution = self._execution
        if self._state is None:
            fetch, order = yield from execution.compile()
            found = yield from fetch.keys(order, execution.offset, execution.limit)
            self._state = fetch, found, execution.reading()
        fetch, found, reading = self._state
        if not found:
            return None
        head, rest = found[: self._chunk_size], found[self._chunk_size :]
        self._state = fetch, rest, reading
        rows = yield from fetch.again(head, reading)
        return (yield from execution.finished(execution.shaped(fetch, rows)))


def _condition(condition: object) -> Q:
    if isinstance(condition, (Q, Expression, CombinedExpression)):
        return as_q(condition)
    if isinstance(condition, bool):
        raise TypeError(
            f"filter() got {condition}: a comparison was decided before the query saw it. Compare "
            "a field of the class with a value (Model.rating > 4, not record.rating > 4 and not "
            "one field with another), and combine conditions with & and | and ~"
        )
    raise TypeError(
        f"filter() takes Q objects and expressions such as Model.field > 3 by position, and "
        f"field=value conditions by keyword; got {describe(condition)}"
    )


def _values_argument(spec: QuerySpec, values: Any) -> tuple[str, ...] | None:
    if values is None:
        return None
    if not isinstance(values, tuple):
        raise QueryException(
            f"{spec.options.model_name}: values takes a tuple of field names, such as "
            f"values=('name',), got {describe(values)}"
        )
    return check_values(spec.options, values) or None  # pyright: ignore[reportUnknownArgumentType]


class Query(Generic[Record]):
    """Asks for records of one model. Holds no state of any query."""

    def __init__(self, model: type[Model]) -> None:
        self.model_class = model

    @property
    def options(self) -> Any:
        """The model's `ModelOptions`."""
        return self.model_class._meta

    @property
    def _everything(self) -> QueryBuilder[Record]:
        return QueryBuilder(QuerySpec(self.model_class))

    # One record --------------------------------------------------------------------------

    def get(
        self, db_key: Any = None, redis_key: Any = None, *conditions: Any, **lookups: Any
    ) -> Record | None:
        """The one record that matches, or None.

        By its key (text, bytes, `DB_key`), by the values of all key fields, or by
        any other conditions. Raises QueryException for several matches, and without
        any lookup. One command.
        """
        return run(self._get(db_key, redis_key, conditions, lookups, attach=False))

    async def async_get(
        self, db_key: Any = None, redis_key: Any = None, *conditions: Any, **lookups: Any
    ) -> Record | None:
        """`get` for asyncio. Referenced records are read at once, in one more round trip."""
        return await arun(self._get(db_key, redis_key, conditions, lookups, attach=True))

    def _get(
        self,
        db_key: Any,
        redis_key: Any,
        conditions: tuple[Any, ...],
        lookups: dict[str, Any],
        *,
        attach: bool,
    ) -> Plan[Record | None]:
        found = [_condition(condition) for condition in conditions]
        for position in (db_key, redis_key):
            if isinstance(position, (Q, Expression, CombinedExpression)):
                found.append(as_q(position))
        given = [
            key
            for key in (redis_key, db_key)
            if key is not None and not isinstance(key, (Q, Expression, CombinedExpression))
        ]
        key = given[0] if given else None
        return get(self.model_class, key, found, lookups, attach=attach)

    def get_plan(self, lookups: dict[str, Any]) -> Plan[Any]:
        """The plan of `get`, for other plans."""
        return get(self.model_class, None, (), lookups)

    @overload
    def get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[False] = False
    ) -> list[Record | None]: ...
    @overload
    def get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[True]
    ) -> list[Record]: ...
    @overload
    def get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Record] | list[Record | None]: ...
    def get_many(self, redis_keys: Iterable[Any] | None, skip_none: bool = False) -> list[Any]:
        """The records with these keys, in their order; None for missing ones.

        With `skip_none` missing ones are left out. One round trip per 1,000 keys.
        """
        return run(get_many(self.model_class, redis_keys, skip_none))

    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[False] = False
    ) -> list[Record | None]: ...
    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[True]
    ) -> list[Record]: ...
    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Record] | list[Record | None]: ...
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Any]:
        """`get_many` for asyncio."""
        return await arun(get_many(self.model_class, redis_keys, skip_none, attach=True))

    # Several records ---------------------------------------------------------------------

    @overload
    def filter(
        self, *conditions: Filter, values: tuple[str, ...], **lookups: Any
    ) -> QueryBuilder[dict[str, Any]]: ...
    @overload
    def filter(
        self, *conditions: Filter, values: None = None, **lookups: Any
    ) -> QueryBuilder[Record]: ...
    def filter(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Any]:
        """The records that match all conditions; see `QueryBuilder.filter`."""
        return self._everything.filtered(conditions, lookups)

    @overload
    async def async_filter(
        self, *conditions: Filter, values: tuple[str, ...], **lookups: Any
    ) -> list[dict[str, Any]]: ...
    @overload
    async def async_filter(
        self, *conditions: Filter, values: None = None, **lookups: Any
    ) -> list[Record]: ...
    async def async_filter(self, *conditions: Filter, **lookups: Any) -> list[Any]:
        """The list of records that match all conditions."""
        return await self._everything.filtered(conditions, lookups).async_all()

    def exclude(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Record]:
        """The records for which not all of these conditions hold."""
        return self._everything.exclude(*conditions, **lookups)

    @overload
    def all(
        self, order_by: Any = None, limit: int | None = None, *, values: tuple[str, ...]
    ) -> list[dict[str, Any]]: ...
    @overload
    def all(
        self, order_by: Any = None, limit: int | None = None, values: None = None
    ) -> list[Record]: ...
    def all(
        self, order_by: Any = None, limit: Any = None, values: Any = None, **unknown: Any
    ) -> list[Any]:
        """All records, evaluated at once; read hooks are not called."""
        return self._all(order_by, limit, values, unknown).all()

    @overload
    async def async_all(
        self, order_by: Any = None, limit: int | None = None, *, values: tuple[str, ...]
    ) -> list[dict[str, Any]]: ...
    @overload
    async def async_all(
        self, order_by: Any = None, limit: int | None = None, values: None = None
    ) -> list[Record]: ...
    async def async_all(
        self, order_by: Any = None, limit: Any = None, values: Any = None, **unknown: Any
    ) -> list[Any]:
        """`all` for asyncio."""
        return await self._all(order_by, limit, values, unknown).async_all()

    def _all(
        self, order_by: Any, limit: Any, values: Any, unknown: dict[str, Any]
    ) -> QueryBuilder[Any]:
        if unknown:
            raise QueryException(
                f"{self.options.model_name}.query.all() takes no conditions "
                f"({', '.join(unknown)}); use filter()"
            )
        return self._everything.filtered(
            (), {"order_by": order_by, "limit": limit, "values": values}
        ).no_track()

    def order_by(self, *names: str) -> QueryBuilder[Record]:
        """All records in this order; see `QueryBuilder.order_by`."""
        return self._everything.order_by(*names)

    def limit(self, number: int | None) -> QueryBuilder[Record]:
        """At most this many records."""
        return self._everything.limit(number)

    def values(self, *names: str) -> QueryBuilder[dict[str, Any]]:
        """Dicts of just these fields, of all records."""
        return self._everything.values(*names)

    def values_list(self, *names: Any) -> QueryBuilder[Any]:
        """Tuples of just these fields, of all records."""
        return self._everything.values_list(*names)

    def first(self) -> Record | None:
        """The first record, or None."""
        return self._everything.first()

    async def async_first(self) -> Record | None:
        """`first` for asyncio."""
        return await self._everything.async_first()

    def last(self) -> Record | None:
        """The last record, or None."""
        return self._everything.last()

    async def async_last(self) -> Record | None:
        """`last` for asyncio."""
        return await self._everything.async_last()

    def exists(self) -> bool:
        """Whether there is any record."""
        return self._everything.exists()

    async def async_exists(self) -> bool:
        """`exists` for asyncio."""
        return await self._everything.async_exists()

    def __iter__(self) -> Iterator[Record]:
        return iter(self._everything)

    def __aiter__(self) -> AsyncIterator[Record]:
        return self._everything.__aiter__()

    def count(self, *conditions: Filter, **lookups: Any) -> int:
        """How many records match; without conditions, how many there are. One command."""
        return self._everything.filtered(conditions, lookups).count()

    async def async_count(self, *conditions: Filter, **lookups: Any) -> int:
        """`count` for asyncio."""
        return await self._everything.filtered(conditions, lookups).async_count()

    # Keys ----------------------------------------------------------------------------------

    def keys(self, catchall: bool = False, clean: bool = False, **ignored: Any) -> list[bytes]:
        """The keys of all records.

        `catchall`  every key on the server that contains the model's name, found by
                    scanning the whole keyspace: for debugging only
        `clean`     deprecated: first remove what missing records left; use
                    `clean_indexes()`
        """
        return run(self._keys(catchall, clean))

    async def async_keys(
        self, catchall: bool = False, clean: bool = False, **ignored: Any
    ) -> list[bytes]:
        """`keys` for asyncio."""
        return await arun(self._keys(catchall, clean))

    def _keys(self, catchall: bool, clean: bool) -> Plan[list[bytes]]:
        options = self.options
        if catchall:
            logger.warning("keys(catchall=True) scans every key of the server")
            pattern = f"*{options.model_name}*"
            return (
                yield Call(
                    lambda: list(dict.fromkeys(redis_db.scan_keys(pattern))),
                    lambda: _unique_scan(pattern),
                )
            )
        if clean:
            logger.warning("keys(clean=True) is deprecated, use clean_indexes()")
            yield from expiry.sweep_missing(options)
        return (yield from Execution(QuerySpec(self.model_class)).keys())

    def keys_of(self, conditions: Iterable[tuple[str, Any]]) -> Plan[list[str]]:
        """The keys of the records that match, for other plans."""
        found = tuple(Q(**{name: value}) for name, value in conditions)
        matches = yield from Execution(QuerySpec(self.model_class, found)).keys()
        return [key.decode("utf-8") for key in matches]

    def filter_for_keys_set(self, **lookups: Any) -> set[bytes]:
        """The keys of the records that match, as a set."""
        return set(self._everything.filtered((), lookups).keys())


async def _unique_scan(pattern: str) -> list[bytes]:
    return list(dict.fromkeys(await redis_db.async_scan_keys(pattern)))
