"""Expiry of single fields, on servers that have it (Redis 7.4, Valkey 9)."""

from __future__ import annotations

import datetime
import math

import redis.exceptions

from popoto._blocks import tell_of_write
from popoto.engine.looking_up import asked
from popoto.engine.request import Argument, Plan, Request
from popoto.exceptions import ModelException, NotStoredError, ValidationError
from popoto.fields.describing import describe
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.stored import named_field, stored_key

_NO_SUCH_FIELD = -2


def expire_field(instance: Record, name: str, ttl: int | datetime.timedelta | None) -> Plan[None]:
    """The plan of `Model.expire_field`."""
    key = _checked(instance, name)
    if ttl is None:
        yield from _asked(instance._meta, key, name, "HPERSIST")
        return
    milliseconds = _milliseconds(instance, name, ttl)
    yield from _asked(instance._meta, key, name, "HPEXPIRE", milliseconds)


def field_ttl(instance: Record, name: str) -> Plan[float | None]:
    """The plan of `Model.field_ttl`."""
    key = _checked(instance, name)
    remaining = yield from _asked(instance._meta, key, name, "HPTTL")
    return None if remaining < 0 else remaining / 1000


def _checked(instance: Record, name: str) -> str:
    """The record's key. Raises for a field that cannot expire alone."""
    options = instance._meta
    key = stored_key(instance, f"{named_field(options, name).label} cannot expire")
    check_expires_alone(options, name)
    return key


def check_expires_alone(options: ModelOptions, name: str) -> None:
    """Raises ModelException for a field that expires with its record only."""
    field = named_field(options, name)
    if not field.in_hash:
        raise ModelException(f"{field.label} is a capped list, which expires with its record only")
    if name in options.index_names:
        raise ModelException(
            f"{field.label} is part of the key or of an index, so its value cannot expire without "
            "the record; use _ttl to let the whole record expire"
        )


def _milliseconds(instance: Record, name: str, ttl: object) -> int:
    if isinstance(ttl, datetime.timedelta):
        ttl = ttl.total_seconds()
    elif isinstance(ttl, bool) or not isinstance(ttl, int):
        ttl = 0
    if ttl <= 0:
        raise ValidationError(
            f"{type(instance).__name__}.{name}: the time to live must be positive: seconds as an "
            f"int, or a timedelta; got {describe(ttl)}",
            model_name=type(instance).__name__,
            field_name=name,
            value=ttl,
        )
    return math.ceil(ttl * 1000)


def _asked(
    options: ModelOptions, key: str, name: str, command: str, *arguments: Argument
) -> Plan[int]:
    """The answer for the one field; a record that is gone has none, or an empty list."""
    try:
        writes = command != "HPTTL"
        if writes:
            tell_of_write(options.model_name)
        request = Request.of(
            (command, key, *arguments, "FIELDS", 1, name),
            shard=options.shard,
            repeatable=not writes,
            replicates=writes,
            wait=options.wait,
        )
        (reply,) = yield from asked(request, [(key, "hash")], writes=writes)
    except redis.exceptions.ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        raise ModelException(
            f"{options.model_name}.{name}: this server has no expiry of single fields (it lacks "
            f"{command}); it takes Redis 7.4 or Valkey 9"
        ) from error
    of_fields: list[int] | None = reply
    found = of_fields[0] if of_fields else _NO_SUCH_FIELD
    if found == _NO_SUCH_FIELD:
        raise NotStoredError(f"{key!r} has no stored value of {name!r} (or is not stored any more)")
    return found
