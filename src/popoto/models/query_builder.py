"""`QueryBuilder`: a query being described, and its results.

Nothing is sent until results are used. Every method that talks to the server has
a native asyncio twin, ``async_…``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, Never, SupportsIndex, TypeVar, cast, overload

from popoto.engine.request import Plan
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Filter, Q
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.given import flag_in
from popoto.models.query_operations import QueryOperations
from popoto.models.reading.aggregating import field_name
from popoto.models.reading.chunks import Chunks
from popoto.models.reading.executing import Execution
from popoto.models.reading.given import as_condition
from popoto.models.reading.read_hooks import read_hooks
from popoto.models.reading.spec import Nulls, QuerySpec, check_count, values_argument

Row = TypeVar("Row")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


class TypedTuples(ABC):
    """`values_list`, by which checkers know what the tuples hold."""

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
    def values_list(self, a: Field[A], /, *, flat: Literal[True]) -> QueryBuilder[A]: ...
    @overload
    def values_list(self, a: str, /, *, flat: Literal[True]) -> QueryBuilder[Any]: ...
    @overload
    def values_list(
        self, *names: str | Field[Any], flat: Literal[False] = False
    ) -> QueryBuilder[tuple[Any, ...]]: ...
    def values_list(self, *names: Any, flat: bool = False) -> QueryBuilder[Any]:
        """Tuples of just these fields (names, or fields such as ``Restaurant.name``).

        With `flat` the values of the one field that is named, without tuples around them;
        TypeError where there are several.
        """
        flat = flag_in(flat, "values_list(flat=…)")
        if flat and len(names) > 1:
            raise TypeError(
                f"values_list(flat=True) gives the values of one field, got {len(names)}: leave "
                "flat out for tuples"
            )
        return self._tuples_of(names, flat=flat)

    @abstractmethod
    def _tuples_of(self, names: tuple[Any, ...], *, flat: bool) -> QueryBuilder[Any]: ...


class QueryBuilder(TypedTuples, QueryOperations, Generic[Row]):
    """A query that is not sent yet. Every method returns a new builder.

    Iteration, ``len``, indexing, ``in`` and ``==`` evaluate it once and share the
    results; `all`, `count`, `first`, `last` and `exists` always ask the server.
    ``await builder`` gives the list of results, ``async for`` iterates over it.
    """

    # What is compared with == has no hash, whatever object has.
    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __init__(self, spec: QuerySpec) -> None:
        self._spec = spec
        self._results: list[Row] | None = None
        #: Places of the shared results that nobody was handed yet: their read hooks wait.
        self._waiting: set[int] = set()

    def _with(self, **changes: Any) -> QueryBuilder[Any]:
        spec = self._spec.changed(**changes)
        if spec.values is not None and spec.related:
            raise TypeError(
                "select_related() is for records, and values() and values_list() give values of "
                "fields; leave one out"
            )
        return QueryBuilder(spec)

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
            changes |= {"order_by": lookups.pop("order_by"), "nulls": None}
        if "limit" in lookups:
            changes["limit"] = lookups.pop("limit")
        if "values" in lookups:
            changes["values"] = values_argument(self._spec.options, lookups.pop("values"))
        found = [as_condition(condition, self._spec.options) for condition in conditions]
        if lookups:
            found.append(Q(**lookups))
            changes["keywords"] = {**self._spec.keywords, **lookups}
        return self._with(conditions=(*self._spec.conditions, *found), **changes)

    def exclude(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Row]:
        """Leave out the records for which all of these conditions hold."""
        found = [as_condition(condition, self._spec.options) for condition in conditions]
        if lookups:
            found.append(Q(**lookups))
        if not found:
            return self._with()
        joined = found[0]
        for condition in found[1:]:
            joined = joined & condition
        return self._with(conditions=(*self._spec.conditions, ~joined))

    def order_by(self, *names: str, nulls: Nulls | None = None) -> QueryBuilder[Row]:
        """Order by these fields, the first one deciding most; ``-name`` is descending.

        `nulls` says where records without a value come, ``first`` or ``last``. Left out, they
        come last by a sorted field; by others first ascending and last descending.
        """
        return self._with(order_by=names[0] if len(names) == 1 else names or None, nulls=nulls)

    def limit(self, n: int | None) -> QueryBuilder[Row]:
        """At most this many results; None lifts the limit."""
        return self._with(limit=n)

    def offset(self, n: int) -> QueryBuilder[Row]:
        """Leave out this many results at the beginning."""
        return self._with(offset=n)

    def values(self, *names: str) -> QueryBuilder[dict[str, Any]]:
        """Dicts of just these fields instead of records; without names, records again."""
        return self._with(values=names or None, shape="dicts")

    def _tuples_of(self, names: tuple[Any, ...], *, flat: bool) -> QueryBuilder[Any]:
        found = tuple(name.name if isinstance(name, Field) else name for name in names)
        if not found:
            raise QueryException("values_list needs the fields that the tuples are made of")
        return self._with(values=found, shape="flat" if flat else "tuples")

    def only(self, *names: str) -> QueryBuilder[Row]:
        """Load records with just these fields, and those that saves need.

        Any other one is read when it is first looked at, one round trip each; in a running event
        loop that is a BlockingReadError. A save leaves alone what was neither loaded nor set.
        """
        if self._spec.values is not None:
            raise TypeError("only() gives records, and values() or values_list() was called before")
        if not names:
            raise QueryException("only needs the fields that are to be loaded")
        return self._with(only=tuple(field_name(name) for name in names))

    def computed_sort(self, fn: Callable[[Row], Any], reverse: bool = False) -> QueryBuilder[Row]:
        """Order by what `fn` makes of each result, in Python, before any limit.

        Overrides `order_by`. Reads every match.
        """
        if not callable(fn):
            raise TypeError(f"computed_sort needs a function of one result, got {describe(fn)}")
        return self._with(computed_sort=(fn, reverse))

    def no_track(self) -> QueryBuilder[Row]:
        """Do not call the records' read hooks."""
        return self._with(tracked=False)

    def using(self, *given: Never, replica: bool | None = None) -> QueryBuilder[Row]:
        """Ask replicas, or the primary; see `QueryRuns.using`."""
        return self._with(replica=self._asked_replica(given, replica))

    def select_related(self, *names: str) -> QueryBuilder[Row]:
        """Read the records that these relationships refer to along with the results.

        One round trip for each relationship, whatever the number of results; a
        name may lead further (``restaurant__owner``).
        """
        if not names:
            known = ", ".join(sorted(self._spec.options.relationship_field_names)) or "none"
            raise QueryException(
                f"select_related needs the relationships that are to be read; those of "
                f"{self._spec.options.model_name} are: {known}"
            )
        return self._with(related=(*self._spec.related, *names))

    prefetch_related = select_related

    # Results -------------------------------------------------------------------------

    def all(self) -> list[Row]:
        """The results. One command; one more for every 2,000 records."""
        return self._run(self._all())

    async def async_all(self) -> list[Row]:
        """`all` for asyncio."""
        return await self._arun(self._all())

    def _all(self) -> Plan[list[Row]]:
        return Execution(self._spec).results()

    def first(self) -> Row | None:
        """The first result, or None. One command."""
        return self._run(self._first())

    async def async_first(self) -> Row | None:
        """`first` for asyncio."""
        return await self._arun(self._first())

    def _first(self) -> Plan[Row | None]:
        limit = check_count(self._spec.options, "limit", self._spec.limit)
        spec = self._spec.changed(limit=1 if limit is None else min(limit, 1))
        found: list[Row] = yield from Execution(spec).results()
        return found[0] if found else None

    def last(self) -> Row | None:
        """The last result, or None. Two commands; the keys of all matches are transferred."""
        row: Row | None = self._run(Execution(self._spec).last())
        return row

    async def async_last(self) -> Row | None:
        """`last` for asyncio."""
        return await self._arun(Execution(self._spec).last())

    def count(self) -> int:
        """How many records match, whatever the limit. One command."""
        return self._run(Execution(self._spec).count())

    async def async_count(self) -> int:
        """`count` for asyncio."""
        return await self._arun(Execution(self._spec).count())

    def exists(self) -> bool:
        """Whether there is any result. One command."""
        return self._run(Execution(self._spec).exists())

    async def async_exists(self) -> bool:
        """`exists` for asyncio."""
        return await self._arun(Execution(self._spec).exists())

    def keys(self) -> list[bytes]:
        """The record keys of the results. One command."""
        return self._run(Execution(self._spec).keys())

    async def async_keys(self) -> list[bytes]:
        """`keys` for asyncio."""
        return await self._arun(Execution(self._spec).keys())

    def iterator(self, chunk_size: int = 1000) -> Iterator[Row]:
        """Iterate over a large result, reading `chunk_size` records at a time.

        Memory holds one chunk of records, and the keys of those to come. A record
        that stops matching meanwhile is left out.
        """
        steps = Chunks(self._spec, chunk_size)
        while (chunk := self._run(steps.next())) is not None:
            yield from chunk

    async def async_iterator(self, chunk_size: int = 1000) -> AsyncIterator[Row]:
        """`iterator` for asyncio."""
        steps = Chunks(self._spec, chunk_size)
        while (chunk := await self._arun(steps.next())) is not None:
            for row in chunk:
                yield row

    # Implicit evaluation ----------------------------------------------------------------

    def _evaluated(self) -> list[Row]:
        if self._results is None:
            self._results = self.all()
        else:
            self._handed_over(range(len(self._results)))
        return self._results

    def _compared(self) -> list[Row]:
        """The shared results, where nobody is handed one of them: read hooks wait."""
        if self._results is None:
            self._results = self._run(Execution(self._spec.changed(tracked=False)).results())
            if self._spec.tracked and self._spec.values is None:
                self._waiting = set(range(len(self._results)))
        return self._results

    def _handed_over(self, places: Iterable[int]) -> None:
        """Call the read hooks of shared results, of each once."""
        read = [place for place in places if place in self._waiting]
        if read and self._results is not None:
            self._waiting.difference_update(read)
            self._run(read_hooks(self._spec.model, [self._results[place] for place in read]))

    def __iter__(self) -> Iterator[Row]:
        return iter(self._evaluated())

    def __len__(self) -> int:
        return len(self._compared())

    def __bool__(self) -> bool:
        return self.exists() if self._results is None else bool(self._results)

    def __contains__(self, item: object) -> bool:
        return item in self._compared()

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if self._results is None and isinstance(index, slice):
            start, stop, step = index.start or 0, index.stop, index.step
            if step is None and start >= 0 and (stop is None or stop >= 0):
                return self._slice(start, stop)
        elif not isinstance(index, (slice, SupportsIndex)):
            raise TypeError(
                f"a query is indexed by a number or a slice, not by {describe(index)}: records "
                "are found by get(…) and filter(…)"
            )
        results = self._compared()
        found = results[index]
        places = range(len(results))[index]
        self._handed_over([places] if isinstance(places, int) else places)
        return found

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
            return self._compared() == cast("QueryBuilder[object]", other)._compared()
        if isinstance(other, list):
            return self._compared() == other
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
