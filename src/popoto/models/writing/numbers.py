"""Adding to a stored number, exactly: what may be added, and what comes of it."""

from __future__ import annotations

import math
import operator
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, SupportsIndex

from popoto.engine.codec import MAX_DIGITS, MAX_INT, MIN_INT, NIL, DecodeError, Stored
from popoto.engine.plain import unwrapped
from popoto.exceptions import NumberOverflowError, StoredDataError, ValidationError
from popoto.fields.describing import describe
from popoto.models.record.options import AnyField

#: Sums of Decimals are exact: one that does not fit is an error, never rounded.
EXACT_DECIMALS = Context(
    prec=MAX_DIGITS,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, Overflow],
)


def checked_delta(field: AnyField, delta: Any) -> Any:
    """The delta in the field's type. Raises TypeError, or ValidationError for a wrong amount."""
    delta = unwrapped(delta)
    if isinstance(delta, bool) or not isinstance(delta, (float, Decimal, SupportsIndex)):
        raise TypeError(
            f"{field.label}: the delta must be an int, float or Decimal, got {describe(delta)}"
        )
    if isinstance(delta, SupportsIndex):
        delta = operator.index(delta)
    if field.type not in (int, float, Decimal) or not field.in_hash:
        raise TypeError(
            f"{field.label} holds {field.type.__name__}: only int, float and Decimal fields "
            "can be incremented"
        )
    if field.key:
        raise TypeError(
            f"{field.label} is part of the record key, which does not change in place; "
            "save(migrate_key=True) moves a record"
        )
    if not isinstance(delta, int) and not math.isfinite(delta):
        raise _wrong_delta(field, delta, "it is no amount")
    return _converted(field, delta)


def _converted(field: AnyField, delta: Any) -> Any:
    if field.type is Decimal:
        # The digits that a float shows are those that are meant: 0.1 and not its binary form.
        return Decimal(float.__repr__(delta)) if isinstance(delta, float) else Decimal(delta)
    if field.type is float:
        try:
            return float(delta)
        except OverflowError as error:
            raise _overflow(field, delta) from error
    if delta != int(delta):
        raise _wrong_delta(field, delta, "an int field takes whole numbers only")
    return int(delta)


def _wrong_delta(field: AnyField, delta: Any, reason: str) -> ValidationError:
    return ValidationError(
        f"{field.label} cannot be incremented by {describe(delta)}: {reason}; nothing was written",
        model_name=field.model_name,
        field_name=field.name,
        value=delta,
    )


def _overflow(field: AnyField, value: Any) -> NumberOverflowError:
    return NumberOverflowError(
        f"{field.label}: {describe(value)} is beyond what the field can hold; nothing was written",
        model_name=field.model_name,
        field_name=field.name,
        value=value,
    )


def added(field: AnyField, raw: Stored | None, delta: Any) -> Any:
    """The exact sum of a stored number (none counts as 0) and a delta in the field's type."""
    try:
        current = 0 if raw is None or raw == NIL else field.decode(raw)
    except DecodeError as error:
        raise StoredDataError(f"{field.label} holds bytes that are no number: {error}") from error
    try:
        total = (
            EXACT_DECIMALS.add(Decimal(current), delta)
            if field.type is Decimal
            else current + delta
        )
    except (Inexact, InvalidOperation, Overflow) as error:
        raise _overflow(field, delta) from error
    fits = MIN_INT <= total <= MAX_INT if field.type is int else math.isfinite(total)
    if not fits:
        raise _overflow(field, total)
    reason = field.problem(total)
    if reason is not None or not field.is_valid(field, total):
        raise ValidationError(
            f"{field.label}: invalid value {describe(total)}: {reason or 'the field refuses it'}; "
            "nothing was written",
            model_name=field.model_name,
            field_name=field.name,
            value=total,
        )
    return total
