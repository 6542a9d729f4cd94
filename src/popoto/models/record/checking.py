"""Checking and encoding of an instance's values, before anything is written."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from popoto.engine.codec import NIL, EncodeError
from popoto.exceptions import ModelException, ValidationError
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.models.record.record import Record

logger = logging.getLogger("POPOTO.model_base")

#: Stored form of one field: bytes of the hash, or the elements of a list of its own.
Stored = Any

#: Longest `_ttl` in seconds (31,688 years): what is added to it stays an exact double.
MAX_TTL = 10**12


def _invalid(field: Field[Any], value: Any, reason: str) -> ValidationError:
    return ValidationError(
        f"{field.label}: invalid value {describe(value)}: {reason}",
        model_name=field.model_name,
        field_name=field.name,
        value=value,
    )


def coerce_and_check(
    instance: Record, names: Iterable[str], *, null_check: bool
) -> ValidationError | None:
    """Convert values to their fields' types, in place, and return the first problem.

    Values that are still those that were loaded pass: what the server holds may be older
    than the rules.
    """
    values = vars(instance)
    fields = instance._meta.by_name
    problem: ValidationError | None = None
    for name in names:
        field = fields[name]
        if name not in values:
            if (
                null_check
                and not field.null
                and name not in instance._stored
                and name not in values.get("_references", ())
            ):
                reason = field.problem(None)
                if reason is not None:
                    problem = problem or _invalid(field, None, reason)
            continue
        value = values[name]
        if field.takes_every_instance and type(value) is field.type:
            continue
        found = _problem_of(instance, field, value, null_check=null_check)
        if found is not None and not _is_as_stored(instance, field):
            problem = problem or found
    return problem or _expiry_problem(instance)


def _problem_of(
    instance: Record, field: Field[Any], value: Any, *, null_check: bool
) -> ValidationError | None:
    """Convert one value, in place, and say what is wrong with it."""
    try:
        coerced = field.coerce(value)
    except CoercionError as error:
        return _invalid(field, value, str(error))
    if coerced is not value:
        vars(instance)[field.name] = value = coerced
    reason = field.problem(value, null_check=null_check)
    if reason is not None:
        return _invalid(field, value, reason)
    if field.has_own_check and not field.is_valid(field, value, null_check=null_check):
        return _invalid(field, value, f"{type(field).__name__} refuses it")
    return None


def _is_as_stored(instance: Record, field: Field[Any]) -> bool:
    """Whether a value is the one that was loaded: that is kept, however old the rules it obeys."""
    before = instance._stored.get(field.name)
    if before is None:
        return False
    try:
        return bool(field.encode(vars(instance)[field.name]) == before)
    except EncodeError:
        return False


def _expiry_problem(instance: Record) -> ValidationError | None:
    ttl, expire_at = instance._ttl, instance._expire_at
    if ttl and expire_at:
        return ValidationError(
            f"{type(instance).__name__}: invalid expiry: ttl and expire_at are both set; "
            "set _ttl = None to use _expire_at",
            model_name=type(instance).__name__,
        )
    if ttl is not None and (
        isinstance(ttl, bool) or not isinstance(ttl, (int, datetime.timedelta))
    ):
        return ValidationError(
            f"{type(instance).__name__}._ttl: invalid value {describe(ttl)}: give seconds as an "
            "int, a timedelta, or None",
            model_name=type(instance).__name__,
            field_name="_ttl",
            value=ttl,
        )
    if isinstance(ttl, datetime.timedelta):
        ttl = ttl.total_seconds()
    if ttl is not None and abs(ttl) > MAX_TTL:
        return ValidationError(
            f"{type(instance).__name__}._ttl: invalid value {describe(ttl)}: at most {MAX_TTL} "
            "seconds; None is for ever",
            model_name=type(instance).__name__,
            field_name="_ttl",
            value=ttl,
        )
    if expire_at is not None and not _is_moment(expire_at):
        return ValidationError(
            f"{type(instance).__name__}._expire_at: invalid value {describe(expire_at)}: give a "
            "datetime with a time stamp, or None",
            model_name=type(instance).__name__,
            field_name="_expire_at",
            value=expire_at,
        )
    return None


def _is_moment(expire_at: object) -> bool:
    if not isinstance(expire_at, datetime.datetime):
        return False
    try:
        expire_at.timestamp()
    except (ValueError, OverflowError):
        return False
    return True


def encoded(instance: Record, name: str) -> Stored:
    """The bytes that a save would write for one field. Raises ValidationError."""
    values = vars(instance)
    field = instance._meta.by_name[name]
    if name not in values:
        stored = instance._stored.get(name)
        references: dict[str, str] = values.get("_references", {})
        if name in references:
            return field.encode(references[name])
        if stored is not None:
            return stored
        value = getattr(instance, name)
    else:
        value = values[name]
    if value is None and field.in_hash:
        return NIL
    try:
        return field.encode(value)
    except EncodeError as error:
        raise _invalid(field, value, str(error)) from error


def changed_values(instance: Record, names: Iterable[str]) -> dict[str, Stored]:
    """What a save has to write: fields whose encoded value differs from the stored one."""
    values = vars(instance)
    stored = instance._stored
    references: dict[str, str] = values.get("_references", {})
    fields = instance._meta.by_name
    changed: dict[str, Stored] = {}
    for name in names:
        if name in values or name in references or name not in stored:
            if name not in values and not fields[name].in_hash:
                continue  # a list that nobody looked at
            now = encoded(instance, name)
            before = stored.get(name)
            if now != before and not _same(fields[name], now, before):
                changed[name] = now
    return changed


def _same(field: Field[Any], now: Stored, before: Stored) -> bool:
    """Whether two different encodings say the same (another writer's numbers and sets)."""
    if before is None:
        return not field.in_hash and not now
    if field.type not in (int, float, set, dict):
        return False
    try:
        old, new = field.decode(before), field.decode(now)
    except ValueError:
        return False
    return (
        type(old) is type(new) and repr(old) == repr(new) if field.type is not set else old == new
    )


def key_field_that_differs(instance: Record, stored: Mapping[str, Stored]) -> Field[Any] | None:
    """A key field in which a record stored under the instance's key is another record.

    None and "None" make the same record key, and so do ":" and its escape.
    """
    for key_field in instance._meta.key_fields:
        theirs, mine = stored.get(key_field.name), encoded(instance, key_field.name)
        if theirs is None or theirs == mine:
            continue
        if NIL in (theirs, mine) or not _same_value(key_field, theirs, mine):
            return key_field
    return None


def _same_value(field: Field[Any], theirs: bytes, mine: bytes) -> bool:
    try:
        return bool(field.decode(theirs) == field.decode(mine))
    except ValueError:
        return True


def refusal(instance: Record, names: Iterable[str], what: str) -> ModelException:
    """The error for an instance that `is_valid()` refuses."""
    problem = coerce_and_check(instance, names, null_check=True)
    if problem is not None:
        return ValidationError(
            f"{problem} ({what})",
            model_name=problem.model_name,
            field_name=problem.field_name,
            value=problem.value,
        )
    return ModelException(
        f"{type(instance).__name__}.is_valid() says that {instance!r} is invalid ({what})"
    )
