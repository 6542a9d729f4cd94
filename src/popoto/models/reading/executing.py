"""The plans behind `Query` and `QueryBuilder`: what one query is, and how its results come."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.codec import DecodeError
from popoto.engine.db_key import DB_key
from popoto.engine.request import Plan, Reply, Request
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.asking.operands import Operand
from popoto.fields.coercion import describe
from popoto.models.reading import ordering
from popoto.models.reading.fetching import Fetch, Reading, Row
from popoto.models.reading.ordering import Order
from popoto.models.reading.planning import Planner, key_of
from popoto.models.reading.related import attach_references
from popoto.models.record.loading import StoredView, new_instance, read_commands, stored_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record

logger = logging.getLogger("POPOTO.Query")

#: How many records one `get_many` request reads.
_GET_MANY_CHUNK = 1000


@dataclass(slots=True, frozen=True)
class QuerySpec:
    """One query as its builder describes it. Immutable; each builder method makes another."""

    model: type[Record]
    conditions: tuple[Q, ...] = ()
    order_by: Any = None
    limit: Any = None
    offset: Any = 0
    values: tuple[str, ...] | None = None
    #: rows as tuples (values_list) instead of dicts
    as_tuples: bool = False
    computed_sort: tuple[Callable[[Any], Any], bool] | None = None
    tracked: bool = True
    related: tuple[str, ...] = ()

    @property
    def options(self) -> ModelOptions:
        return self.model._meta

    def changed(self, **changes: Any) -> QuerySpec:
        return dataclasses.replace(self, **changes)


def check_count(options: ModelOptions, name: str, value: Any) -> int | None:
    """A limit or offset. Raises QueryException unless it is None or an int from 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise QueryException(
            f"{options.model_name}: {name} must be an int of 0 or more, got {describe(value)}"
        )
    return value


def check_values(options: ModelOptions, names: Sequence[Any]) -> tuple[str, ...]:
    """Names for a projection. Raises QueryException for unknown ones."""
    for name in names:
        if name not in options.fields:
            raise QueryException(
                f"{options.model_name}: values names {describe(name)}, which is no field; "
                f"fields are {', '.join(options.fields)}"
            )
    return tuple(names)


class Execution:
    """A `QuerySpec` being evaluated, once."""

    def __init__(self, spec: QuerySpec, *, eager_references: bool = False) -> None:
        self.spec = spec
        self.options = spec.options
        self.eager_references = eager_references
        self.limit = check_count(self.options, "limit", spec.limit)
        self.offset = check_count(self.options, "offset", spec.offset) or 0

    def compile(self) -> Plan[tuple[Fetch, Order]]:
        spec = self.spec
        if spec.values is not None:
            check_values(self.options, spec.values)
        order_by = spec.order_by
        if order_by is not None:
            ordering.parse(self.options, order_by)
        operand: Operand = yield from Planner(spec.model).compile(spec.conditions)
        if spec.computed_sort is not None:
            if order_by is not None:
                logger.warning(
                    "%s: computed_sort overrides order_by=%r", self.options.model_name, order_by
                )
            return Fetch(self.options, operand), ordering.by_key(self.options)
        return Fetch(self.options, operand), ordering.choose(self.options, operand, order_by)

    def count(self) -> Plan[int]:
        fetch, _ = yield from self.compile()
        return (yield from fetch.count())

    def exists(self) -> Plan[bool]:
        if self.limit == 0:
            return False
        fetch, _ = yield from self.compile()
        if self.offset:
            return (yield from fetch.count()) > self.offset
        return (yield from fetch.exists())

    def keys(self) -> Plan[list[bytes]]:
        fetch, order = yield from self.compile()
        return (yield from fetch.keys(order, self.offset, self.limit))

    def reading(self) -> Reading:
        if self.spec.values is None:
            return Reading.everything(self.options)
        return Reading.of(self.options, self.spec.values)

    def results(self) -> Plan[list[Any]]:
        """The rows: instances, dicts or tuples."""
        if self.limit == 0:
            yield from self.compile()
            return []
        fetch, order = yield from self.compile()
        computed = self.spec.computed_sort
        if computed is not None:
            rows = yield from fetch.rows(self.reading(), order)
            found = self.shaped(fetch, rows)
            found.sort(key=computed[0], reverse=computed[1])
            end = None if self.limit is None else self.offset + self.limit
            return (yield from self.finished(found[self.offset : end]))
        rows = yield from fetch.rows(self.reading(), order, self.offset, self.limit)
        return (yield from self.finished(self.shaped(fetch, rows)))

    def last(self) -> Plan[Any]:
        """The last row, or None."""
        if self.spec.computed_sort is not None or self.limit is not None or self.offset:
            found = yield from self.results()
            return found[-1] if found else None
        fetch, order = yield from self.compile()
        rows = yield from fetch.last(self.reading(), order)
        found = yield from self.finished(self.shaped(fetch, rows))
        return found[-1] if found else None

    def shaped(self, fetch: Fetch, rows: list[Row]) -> list[Any]:
        """Rows as instances, dicts or tuples."""
        spec = self.spec
        if spec.values is not None:
            return [self._projected(row, spec.values) for row in rows]
        unit = fetch.operand.extra.get("distance_unit")
        instances: list[Any] = []
        for row in rows:
            instance = new_instance(
                spec.model, row.key, row.stored, resolves_references=self.eager_references
            )
            if unit is not None and row.distance is not None:
                instance._geo_distance = row.distance
                instance._geo_distance_unit = unit
            instances.append(instance)
        return instances

    def _projected(self, row: Row, names: tuple[str, ...]) -> Any:
        fields = self.options.fields
        values: list[Any] = []
        for name in names:
            field = fields[name]
            raw = row.stored.get(name)
            if raw is None:
                values.append(None if field.auto else field.make_default())
                continue
            try:
                value = field.decode(raw)
                values.append(field.loaded_value(None, value) if field.in_hash else value)
            except DecodeError as error:
                logger.warning("%s of record %r cannot be decoded: %s", field.label, row.key, error)
                values.append(None)
        return tuple(values) if self.spec.as_tuples else dict(zip(names, values, strict=True))

    def finished(self, found: list[Any]) -> Plan[list[Any]]:
        """Related records and read hooks, for the rows that are returned."""
        if self.spec.values is None and found:
            if self.spec.related:
                yield from attach_references(found, self.spec.related)
            if self.spec.tracked:
                yield from read_hooks(self.spec.model, found)
        return found


def read_hooks(model: type[Record], instances: Iterable[Any]) -> Plan[None]:
    """Call `on_read` of instances that have it, all in one round trip."""
    if not hasattr(model, "on_read") or getattr(model, "_track_reads", True) is False:
        return
    batch = Batch()
    for instance in instances:
        instance.on_read(pipeline=batch)
    if len(batch):
        yield Request.of(batch.call(), shard=model._meta.shard)


# One record ------------------------------------------------------------------------------


def record_key(options: ModelOptions, key: Any) -> str | None:
    """A record key of this model as text; None for text that is no record key.

    Raises QueryException for another model's key.
    """
    if isinstance(key, DB_key):
        key = key.redis_key
    if hasattr(key, "_meta") and hasattr(key, "pk"):
        key = key.pk
    try:
        if isinstance(key, bytes):
            key = key.decode("utf-8")
        elif isinstance(key, str):
            key.encode("utf-8")
    except UnicodeError as error:
        raise QueryException(
            f"{options.model_name}: {describe(key)} is no record key: record keys are UTF-8"
        ) from error
    if not isinstance(key, str):
        raise QueryException(
            f"{options.model_name}: {describe(key)} is no record key; give text, bytes or a DB_key"
        )
    name, separator, _ = key.partition(keys.SEPARATOR)
    if not separator:
        return None
    if name != options.model_name:
        raise QueryException(
            f"{options.model_name}: {describe(key)} is the key of another model; keys of "
            f"{options.model_name} start with {options.model_name + keys.SEPARATOR!r}"
        )
    return key


def read_record(options: ModelOptions, key: str) -> Plan[dict[str, Any] | None]:
    """The stored bytes of one record, or None."""
    try:
        replies: list[Reply] = yield Request(
            read_commands(options, key), options.shard, repeatable=True
        )
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            raise QueryException(
                f"{key!r} is no record of {options.model_name}: {error}"
            ) from error
        raise
    return stored_of(options, replies[0], replies[1:])


def get_by_key(model: type[Record], key: str | None, *, attach: bool) -> Plan[Any]:
    """The record with this key, or None."""
    if key is None:
        return None
    options = model._meta
    stored = yield from read_record(options, key)
    if stored is None:
        return None
    instance = new_instance(model, key, stored, resolves_references=True)
    if attach and options.has_references:
        yield from attach_references([instance], sorted(options.relationship_field_names))
    yield from read_hooks(model, [instance])
    return instance


def get(
    model: type[Record],
    key: Any,
    conditions: Sequence[Q],
    lookup: Mapping[str, Any],
    *,
    attach: bool = False,
) -> Plan[Any]:
    """The plan of `Query.get`. `attach`: read referenced records at once (asyncio)."""
    options = model._meta
    if key is not None:
        return (yield from get_by_key(model, record_key(options, key), attach=attach))
    if not lookup and not conditions:
        raise QueryException(
            f"{options.model_name}: get() needs a lookup: a record key, or field=value conditions"
        )
    names = options.key_names
    if all(name in lookup for name in names):
        values = dict(lookup)
        wanted = key_of(options, values)
        others = {name: value for name, value in values.items() if name not in names}
        if not others and not conditions and not _is_ambiguous(values, names):
            return (yield from get_by_key(model, wanted, attach=attach))
        # The key alone would do to find it, but further conditions must hold as well.
        operand = yield from Planner(model).compile((*conditions, Q(**lookup)))
        stored = yield from read_record(options, wanted)
        if stored is None or not operand.test(StoredView(options, wanted, stored)):
            return None
        instance = new_instance(model, wanted, stored, resolves_references=True)
        found = [instance]
    else:
        spec = QuerySpec(model, (*conditions, Q(**lookup)), limit=2, tracked=False)
        found = yield from Execution(spec, eager_references=True).results()
    if len(found) > 1:
        raise QueryException(
            f"{options.model_name}.query.get() found more than one record for "
            f"{', '.join(f'{name}={value!r}' for name, value in lookup.items())}; "
            "use filter() to get several"
        )
    if found and attach and options.has_references:
        yield from attach_references(found, sorted(options.relationship_field_names))
    yield from read_hooks(model, found)
    return found[0] if found else None


def _is_ambiguous(values: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether another key value (None, an escape sequence) makes the same record key."""
    return any(
        values[name] is None
        or values[name] == "None"
        or (isinstance(values[name], str) and ":" in values[name])
        or (isinstance(values[name], str) and keys.ESCAPED_SEPARATOR in values[name])
        for name in names
    )


def get_many(
    model: type[Record], redis_keys: Iterable[Any] | None, skip_none: bool, *, attach: bool = False
) -> Plan[list[Any]]:
    """The plan of `Query.get_many`."""
    options = model._meta
    wanted: list[str | None] = [record_key(options, key) for key in redis_keys or ()]
    found: list[Any] = []
    width = 1 + len(options.list_names)
    for first in range(0, len(wanted), _GET_MANY_CHUNK):
        chunk = wanted[first : first + _GET_MANY_CHUNK]
        commands = [
            command for key in chunk if key is not None for command in read_commands(options, key)
        ]
        replies: list[Reply] = []
        if commands:
            try:
                replies = yield Request(commands, options.shard, repeatable=True)
            except redis.exceptions.ResponseError as error:
                if not str(error).startswith("WRONGTYPE"):
                    raise
                # Which of them it is, read_record says.
                for key in chunk:
                    if key is not None:
                        yield from read_record(options, key)
                raise
        position = 0
        for key in chunk:
            stored = None
            if key is not None:
                stored = stored_of(
                    options, replies[position], replies[position + 1 : position + width]
                )
                position += width
            if stored is not None and key is not None:
                found.append(new_instance(model, key, stored, resolves_references=True))
            elif not skip_none:
                found.append(None)
    living = [instance for instance in found if instance is not None]
    if living:
        if attach and options.has_references:
            yield from attach_references(living, sorted(options.relationship_field_names))
        yield from read_hooks(model, living)
    return found
