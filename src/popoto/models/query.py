"""`Query` (``Model.query``): asking for records of one model.

Every method that talks to the server has a native asyncio twin, ``async_…``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar, cast, overload

from popoto import redis_db
from popoto._unknown_names import tell
from popoto.engine.keys import text_of
from popoto.engine.request import Call, Plan
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Filter, Q
from popoto.fields.given import flag_in
from popoto.models.beside.leftovers import sweep_missing
from popoto.models.query_builder import QueryBuilder, TypedTuples
from popoto.models.query_operations import QueryOperations
from popoto.models.reading.asked_of_index import asked_of_index
from popoto.models.reading.executing import Execution
from popoto.models.reading.getting import get, get_by_key, get_many
from popoto.models.reading.given import as_condition, is_condition
from popoto.models.reading.spec import Nulls, QuerySpec
from popoto.models.record.further import refuses_unknown
from popoto.models.record.record import Record
from popoto.models.record.record_keys import key_value, one_key
from popoto.redis_db import POPOTO_REDIS_DB

__all__ = ["POPOTO_REDIS_DB", "Query", "QueryBuilder", "QueryException"]

logger = logging.getLogger("POPOTO.Query")

Row = TypeVar("Row")


class Query(TypedTuples, QueryOperations, Generic[Row]):
    """Asks for records of one model. Holds no state of any query.

    It has what a `QueryBuilder` has, for all records, but shares no evaluation: iteration, ``len``,
    ``in``, indexing and truth ask the server each time.
    """

    def __init__(self, model: type[Record]) -> None:
        self.model_class = model
        self._spec = QuerySpec(model)

    @property
    def options(self) -> Any:
        """The model's `ModelOptions`."""
        return self.model_class._meta

    @property
    def _everything(self) -> QueryBuilder[Row]:
        return QueryBuilder(self._spec)

    def _results_of(self) -> QueryBuilder[Row]:
        return self._everything

    # One record --------------------------------------------------------------------------

    def get(
        self, *given: Any, db_key: Any = None, redis_key: Any = None, **lookups: Any
    ) -> Row | None:
        """The one record that matches, or None.

        By its key (text with the model's name and a colon in front, bytes, `DB_key`), by the
        value of its key field where there is just one (``get("ann")``), by the values of all
        key fields, or by any other conditions. `db_key` and `redis_key` are keys, never
        values. Raises QueryException for several matches, without any lookup, and for a value
        where several fields make the key. One command.
        """
        return self._run(self._get(given, db_key, redis_key, lookups, attach=False))

    async def async_get(
        self, *given: Any, db_key: Any = None, redis_key: Any = None, **lookups: Any
    ) -> Row | None:
        """`get` for asyncio. Referenced records are read at once, in one more round trip."""
        return await self._arun(self._get(given, db_key, redis_key, lookups, attach=True))

    def get_untracked(self, key: str) -> Row | None:
        """The record with this key, or None, without calling its read hook. One command."""
        self.options.isolation.check_keys_tell("get_untracked()")
        found: Row | None = self._run(
            get_by_key(self.model_class, key, attach=False, tracked=False)
        )
        return found

    def _get(
        self,
        given: tuple[Any, ...],
        db_key: Any,
        redis_key: Any,
        lookups: dict[str, Any],
        *,
        attach: bool,
    ) -> Plan[Row | None]:
        conditions: list[Q] = []
        keys: list[Any] = []
        for each in given:
            if len(keys) < 2 and not is_condition(each, self.options):
                keys.append(each)
            else:
                conditions.append(as_condition(each, self.options))
        # By position, they are a key or a value, and a `redis_key`.
        value, second, *_ = (*keys, None, None)
        key = one_key(self.options, (redis_key, second, db_key, value))
        if key is value and value is not None:
            lookup = key_value(self.options, value)
            if lookup is not None:
                key = None
                if lookup.keys() & lookups.keys():
                    conditions.append(Q(**lookup))
                else:
                    lookups = {**lookup, **lookups}
        return get(self.model_class, key, conditions, lookups, attach=attach)

    @overload
    def get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[False] = False
    ) -> list[Row | None]: ...
    @overload
    def get_many(self, redis_keys: Iterable[Any] | None, skip_none: Literal[True]) -> list[Row]: ...
    @overload
    def get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Row] | list[Row | None]: ...
    def get_many(self, redis_keys: Iterable[Any] | None, skip_none: bool = False) -> list[Any]:
        """The records with these keys, in their order; None for missing ones.

        With `skip_none` missing ones are left out. One round trip per 1,000 keys.
        """
        return self._run(get_many(self.model_class, redis_keys, skip_none))

    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[False] = False
    ) -> list[Row | None]: ...
    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: Literal[True]
    ) -> list[Row]: ...
    @overload
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Row] | list[Row | None]: ...
    async def async_get_many(
        self, redis_keys: Iterable[Any] | None, skip_none: bool = False
    ) -> list[Any]:
        """`get_many` for asyncio."""
        return await self._arun(get_many(self.model_class, redis_keys, skip_none, attach=True))

    # Several records ---------------------------------------------------------------------

    @overload
    def filter(
        self, *conditions: Filter, values: tuple[str, ...], **lookups: Any
    ) -> QueryBuilder[dict[str, Any]]: ...
    @overload
    def filter(
        self, *conditions: Filter, values: None = None, **lookups: Any
    ) -> QueryBuilder[Row]: ...
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
    ) -> list[Row]: ...
    async def async_filter(self, *conditions: Filter, **lookups: Any) -> list[Any]:
        """The list of records that match all conditions."""
        return await self._everything.filtered(conditions, lookups).async_all()

    def filtered(
        self, conditions: Iterable[Filter], lookups: Mapping[str, Any]
    ) -> QueryBuilder[Row]:
        """`filter`, with its arguments as they were collected."""
        return self._everything.filtered(conditions, lookups)

    def exclude(self, *conditions: Filter, **lookups: Any) -> QueryBuilder[Row]:
        """The records for which not all of these conditions hold."""
        return self._everything.exclude(*conditions, **lookups)

    @overload
    def all(
        self, order_by: Any = None, limit: int | None = None, *, values: tuple[str, ...]
    ) -> list[dict[str, Any]]: ...
    @overload
    def all(
        self, order_by: Any = None, limit: int | None = None, values: None = None
    ) -> list[Row]: ...
    def all(
        self, order_by: Any = None, limit: Any = None, values: Any = None, **unknown: Any
    ) -> list[Any]:
        """All records, evaluated at once."""
        return self._all(order_by, limit, values, unknown).all()

    @overload
    async def async_all(
        self, order_by: Any = None, limit: int | None = None, *, values: tuple[str, ...]
    ) -> list[dict[str, Any]]: ...
    @overload
    async def async_all(
        self, order_by: Any = None, limit: int | None = None, values: None = None
    ) -> list[Row]: ...
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
        )

    def no_track(self) -> QueryBuilder[Row]:
        """All records, without calling their read hooks."""
        return self._everything.no_track()

    def order_by(self, *names: str, nulls: Nulls | None = None) -> QueryBuilder[Row]:
        """All records in this order; see `QueryBuilder.order_by`."""
        return self._everything.order_by(*names, nulls=nulls)

    def limit(self, n: int | None) -> QueryBuilder[Row]:
        """At most this many records."""
        return self._everything.limit(n)

    def offset(self, n: int) -> QueryBuilder[Row]:
        """All records but so many at the beginning."""
        return self._everything.offset(n)

    def computed_sort(self, fn: Callable[[Row], Any], reverse: bool = False) -> QueryBuilder[Row]:
        """All records in an order worked out in Python; see `QueryBuilder.computed_sort`."""
        return self._everything.computed_sort(fn, reverse)

    def select_related(self, *names: str) -> QueryBuilder[Row]:
        """All records, with those that they refer to; see `QueryBuilder.select_related`."""
        return self._everything.select_related(*names)

    prefetch_related = select_related

    def values(self, *names: str) -> QueryBuilder[dict[str, Any]]:
        """Dicts of just these fields, of all records."""
        return self._everything.values(*names)

    def only(self, *names: str) -> QueryBuilder[Row]:
        """All records, loaded with just these fields; see `QueryBuilder.only`."""
        return self._everything.only(*names)

    def _tuples_of(self, names: tuple[Any, ...], *, flat: bool) -> QueryBuilder[Any]:
        return self._everything._tuples_of(names, flat=flat)

    def first(self) -> Row | None:
        """The first record, or None."""
        return self._everything.first()

    async def async_first(self) -> Row | None:
        """`first` for asyncio."""
        return await self._everything.async_first()

    def last(self) -> Row | None:
        """The last record, or None."""
        return self._everything.last()

    async def async_last(self) -> Row | None:
        """`last` for asyncio."""
        return await self._everything.async_last()

    def exists(self) -> bool:
        """Whether there is any record."""
        return self._everything.exists()

    async def async_exists(self) -> bool:
        """`exists` for asyncio."""
        return await self._everything.async_exists()

    def iterator(self, chunk_size: int = 1000) -> Iterator[Row]:
        """All records, `chunk_size` at a time; see `QueryBuilder.iterator`."""
        return self._everything.iterator(chunk_size)

    async def async_iterator(self, chunk_size: int = 1000) -> AsyncIterator[Row]:
        """`iterator` for asyncio."""
        async for each in self._everything.async_iterator(chunk_size):
            yield each

    def __iter__(self) -> Iterator[Row]:
        return iter(self._everything)

    def __aiter__(self) -> AsyncIterator[Row]:
        return self._everything.__aiter__()

    def __await__(self) -> Generator[Any, None, list[Row]]:
        return self._everything.__await__()

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return self.exists()

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, QueryBuilder)):
            return self._everything == cast("object", other)
        return NotImplemented

    def __contains__(self, item: object) -> bool:
        return item in self._everything

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._everything[index]

    def __repr__(self) -> str:
        return f"<Query {self.options.model_name}>"

    def count(self, *conditions: Filter, **lookups: Any) -> int:
        """How many records match; without conditions, how many there are. One command."""
        return self._everything.filtered(conditions, lookups).count()

    async def async_count(self, *conditions: Filter, **lookups: Any) -> int:
        """`count` for asyncio."""
        return await self._everything.filtered(conditions, lookups).async_count()

    # Keys ----------------------------------------------------------------------------------

    def keys(self, catchall: bool = False, clean: bool = False, **unknown: Any) -> list[bytes]:
        """The keys of all records.

        `catchall`  every key on the server that contains the model's name (on a cluster
                    with its hash tag), found by scanning the whole keyspace: for debugging
        `clean`     deprecated for `clean_indexes()`: first remove what missing records left
        """
        return self._run(self._keys(catchall, clean, unknown))

    async def async_keys(
        self, catchall: bool = False, clean: bool = False, **unknown: Any
    ) -> list[bytes]:
        """`keys` for asyncio."""
        return await self._arun(self._keys(catchall, clean, unknown))

    def _keys(self, catchall: bool, clean: bool, unknown: Iterable[str]) -> Plan[list[bytes]]:
        options = self.options
        for name in unknown:
            tell(
                f"{options.model_name}.query.keys() takes no {name!r}, which is ignored; "
                "filter(…).keys() takes conditions",
                refuse=refuses_unknown(options),
            )
        if flag_in(catchall, "keys(catchall=…)"):
            options.isolation.check_at_large("keys(catchall=True)", "filter(…).keys()")
            logger.warning("keys(catchall=True) scans every key of the server")
            pattern = f"*{options.model_name}*"
            found: list[bytes] = yield Call(
                lambda: list(dict.fromkeys(redis_db.scan_keys(pattern))),
                lambda: _unique_scan(pattern),
            )
            return found
        if flag_in(clean, "keys(clean=…)"):
            self._check_writes("keys(clean=True)")
            logger.warning("keys(clean=True) is deprecated, use clean_indexes()")
            yield from sweep_missing(options)
        return (yield from Execution(QuerySpec(self.model_class)).keys())

    def keys_of(self, conditions: Iterable[tuple[str, Any]]) -> Plan[list[str]]:
        """The keys of the records that match, for other plans."""
        found = tuple(Q(**{name: value}) for name, value in conditions)
        matches = yield from Execution(QuerySpec(self.model_class, found)).keys()
        return [text_of(key) for key in matches]

    def filter_for_keys_set(self, **lookups: Any) -> set[bytes]:
        """The keys of the records that match, as a set."""
        return set(self._everything.filtered((), lookups).keys())

    def answered_by_index(self, field_name: str, lookups: Mapping[str, Any]) -> list[bytes]:
        """What a field's index says to its lookups, whatever its `filter_query` says."""
        return self._run(asked_of_index(self.model_class, field_name, lookups))


async def _unique_scan(pattern: str) -> list[bytes]:
    return list(dict.fromkeys(await redis_db.async_scan_keys(pattern)))
