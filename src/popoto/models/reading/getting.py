"""Records by their keys, or by conditions that one record alone meets."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis.exceptions

from popoto.engine import keys
from popoto.engine.codec import Stored
from popoto.engine.request import Plan, Request
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.given import flag_in
from popoto.models.reading.by_pk import PK, key_of, with_key_field
from popoto.models.reading.executing import Execution
from popoto.models.reading.fixing import check_fixed
from popoto.models.reading.planning import Planner
from popoto.models.reading.read_hooks import read_hooks
from popoto.models.reading.related import attach_references
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.loading import (
    ReadReply,
    StoredView,
    new_instance,
    read_commands,
    stored_of,
    stored_of_each,
)
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.record_keys import key_value, other_spellings, record_key
from popoto.models.record.sharding import shards_of

#: How many records one `get_many` request reads.
_GET_MANY_CHUNK = 1000


def read_record(options: ModelOptions, key: str) -> Plan[dict[str, Stored] | None]:
    """The stored bytes of one record, or None."""
    try:
        replies: list[ReadReply] = yield Request(
            read_commands(options, key), options.at(key).shard, repeatable=True
        )
    except redis.exceptions.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            raise QueryException(
                f"{key!r} is no record of {options.model_name}: {error}"
            ) from error
        raise
    return stored_of(options, replies[0], replies[1:])


def get_by_key(
    model: type[Record], key: str | None, *, attach: bool, tracked: bool = True
) -> Plan[Any]:
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
    if tracked:
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
    if PK in lookup:
        lookup = with_key_field(options, lookup)
        if key is None and not conditions and lookup.keys() == {PK}:
            key, lookup = key_of(options, lookup[PK]), {}
    if key is not None and not lookup and not conditions:
        options.isolation.check_keys_tell("get() by a record's key")
        return (yield from get_by_key(model, record_key(options, key), attach=attach))
    if key is None and not lookup and not conditions:
        raise QueryException(
            f"{options.model_name}: get() needs a lookup: a record key, or field=value conditions"
        )
    if options.isolation and (key is None or not options.isolation.is_told_by_keys):
        check_fixed(options, (*conditions, Q(**lookup)))
    names = options.key_names
    if key is not None or (all(name in lookup for name in names) and not _is_of_moments(options)):
        wanted = _key_of(options, lookup) if key is None else record_key(options, key)
        is_all = key is None and len(lookup) == len(names) and not conditions
        if is_all and not _is_ambiguous(lookup):
            return (yield from _get_at(model, wanted, lookup, attach=attach))
        # The key alone would do to find it, but further conditions must hold as well.
        operand = yield from Planner(model).compile((*conditions, Q(**lookup)))
        stored = None if wanted is None else (yield from read_record(options, wanted))
        if stored is None and key is None:
            wanted = yield from _other_place(options, lookup)
            stored = None if wanted is None else (yield from read_record(options, wanted))
        if (
            wanted is None
            or stored is None
            or not operand.test(StoredView(options, wanted, stored))
        ):
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


def _key_of(options: ModelOptions, values: Mapping[str, Any]) -> str:
    """The record key that complete key conditions stand for. Raises QueryException."""
    coerced = {
        name: options.by_name[name].coerce_key_operand(values[name]) for name in options.key_names
    }
    return options.record_key(coerced)


def _get_at(
    model: type[Record], key: str | None, lookup: Mapping[str, Any], *, attach: bool
) -> Plan[Any]:
    """The record with this key, or under that of equal key values; or None."""
    found = yield from get_by_key(model, key, attach=attach)
    if found is None and model._meta.spelled_keys:
        other = yield from _other_place(model._meta, lookup)
        found = yield from get_by_key(model, other, attach=attach)
    return found


def _other_place(options: ModelOptions, values: Mapping[str, Any]) -> Plan[str | None]:
    """The key that exists of those that equal key values make by other texts."""
    coerced = {
        name: options.by_name[name].coerce_key_operand(values[name]) for name in options.key_names
    }
    others = other_spellings(options, coerced)
    if not others:
        return None
    there = yield Request(
        [("EXISTS", each) for each in others],
        options.shard,
        repeatable=True,
        shards=shards_of(options, others),
    )
    return next((key for key, is_there in zip(others, there, strict=True) if is_there), None)


def _is_of_moments(options: ModelOptions) -> bool:
    """Whether popoto 1.9 and later may have stored a record under another key."""
    return any(field.type is datetime.datetime for field in options.key_fields)


def _is_ambiguous(values: Mapping[str, Any]) -> bool:
    """Whether other key values make the same record key."""
    return any(map(keys.is_shared, values.values()))


def _wanted(
    options: ModelOptions, given: Iterable[Any]
) -> tuple[list[str | None], dict[int, Mapping[str, Any]]]:
    """The record keys that are meant, and by position the values that a key alone cannot tell."""
    wanted: list[str | None] = []
    values: dict[int, Mapping[str, Any]] = {}
    takes_values = len(options.key_names) == 1 and not _is_of_moments(options)
    for each in given:
        value = key_value(options, each) if takes_values else None
        if value is not None and _is_ambiguous(value):
            values[len(wanted)] = value
        wanted.append(record_key(options, each) if value is None else _key_of(options, value))
    return wanted, values


def _holds(instance: Record, key: str | None, values: Mapping[str, Any]) -> Plan[bool]:
    """Whether the record with this key has these values."""
    operand = yield from Planner(type(instance)).compile((Q(**values),))
    return operand.test(StoredView(instance._meta, key or "", instance._stored))


def _read_together(model: type[Record], wanted: Sequence[str | None]) -> Plan[list[Any]]:
    """The records with these keys, in one round trip; None for missing ones."""
    options = model._meta
    given = [key for key in wanted if key is not None]
    commands = [command for key in given for command in read_commands(options, key)]
    replies: list[ReadReply] = []
    if commands:
        try:
            shards = shards_of(options, given, 1 + len(options.list_names))
            replies = yield Request(commands, options.shard, repeatable=True, shards=shards)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            # Which of them it is, read_record says.
            for key in given:
                yield from read_record(options, key)
            raise
    read = (
        None if stored is None else new_instance(model, key, stored, resolves_references=True)
        for key, stored in stored_of_each(options, given, replies)
    )
    return [None if key is None else next(read) for key in wanted]


def get_many(
    model: type[Record], redis_keys: Iterable[Any] | None, skip_none: bool, *, attach: bool = False
) -> Plan[list[Any]]:
    """The plan of `Query.get_many`."""
    options = model._meta
    options.isolation.check_keys_tell("get_many()")
    if isinstance(redis_keys, (str, bytes)):
        raise QueryException(
            f"{options.model_name}.query.get_many({redis_keys!r}): give a list of keys; "
            "get() takes a single one"
        )
    skip_none = flag_in(skip_none, f"{options.model_name}.query.get_many(skip_none=…)")
    wanted, values = _wanted(options, redis_keys or ())
    found: list[Any] = []
    for first in range(0, len(wanted), _GET_MANY_CHUNK):
        found += yield from _read_together(model, wanted[first : first + _GET_MANY_CHUNK])
    for place, value in values.items():
        instance = found[place]
        if instance is not None and not (yield from _holds(instance, wanted[place], value)):
            found[place] = None
    living = [instance for instance in found if instance is not None]
    if living:
        if attach and options.has_references:
            yield from attach_references(living, sorted(options.relationship_field_names))
        yield from read_hooks(model, living)
    return living if skip_none else found
