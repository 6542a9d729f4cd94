"""Checking an instance's values, before anything is written."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable
from typing import Any

from popoto.engine.codec import EncodeError
from popoto.exceptions import ModelException, ValidationError
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.models.record.record import Record

logger = logging.getLogger("POPOTO.model_base")

#: Longest `_ttl` in seconds (31,688 years): what is added to it stays an exact double.
MAX_TTL = 10**12


def invalid(field: Field[Any], value: Any, reason: str) -> ValidationError:
    """The error for a value that its field cannot hold."""
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
                and name not in instance._deferred
                and name not in values.get("_references", ())
            ):
                # A record that was stored before there was the field has its default.
                default = field.make_default()
                reason = field.problem(default)
                if reason is not None:
                    problem = problem or invalid(field, default, reason)
            continue
        value = values[name]
        if type(value) is field.type and field.passes is not None and field.passes(value):
            continue
        found = _problem_of(instance, field, value, null_check=null_check)
        if found is not None and not _is_as_stored(instance, field):
            problem = problem or found
    if problem is None and (instance._ttl is not None or instance._expire_at is not None):
        problem = _expiry_problem(instance)
    return problem


def _problem_of(
    instance: Record, field: Field[Any], value: Any, *, null_check: bool
) -> ValidationError | None:
    """Convert one value, in place, and say what is wrong with it."""
    try:
        coerced = field.coerce(value)
    except CoercionError as error:
        return invalid(field, value, str(error))
    if coerced is not value:
        vars(instance)[field.name] = value = coerced
    reason = field.problem(value, null_check=null_check)
    if reason is not None:
        return invalid(field, value, reason)
    if field.has_own_check and not field.is_valid(field, value, null_check=null_check):
        return invalid(field, value, f"{type(field).__name__} refuses it")
    return None


def _is_as_stored(instance: Record, field: Field[Any]) -> bool:
    """Whether a value is the one that was loaded: that is kept, however old the rules it obeys."""
    before = instance._stored.get(field.name)
    if before is None:
        return False
    value = vars(instance)[field.name]
    if field.type is datetime.date and isinstance(value, datetime.datetime):
        # It is encoded as the date that it falls on, and was not loaded.
        return False
    try:
        return bool(field.encode(value) == before)
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
    seconds = ttl.total_seconds() if isinstance(ttl, datetime.timedelta) else ttl
    if seconds is not None and abs(seconds) > MAX_TTL:
        return ValidationError(
            f"{type(instance).__name__}._ttl: invalid value {describe(seconds)}: at most {MAX_TTL} "
            "seconds; None is for ever",
            model_name=type(instance).__name__,
            field_name="_ttl",
            value=seconds,
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


def not_instantiated(instance: Record) -> ModelException:
    """The error for a new instance that an `is_valid()` of its class's own refuses."""
    name = type(instance).__name__
    return ModelException(
        f"Could not instantiate class {name}: {name}.is_valid() says that {instance!r} is invalid"
    )
