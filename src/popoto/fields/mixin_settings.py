"""Settings of mixins that a class gives itself: checked when the class is made."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real

from popoto.exceptions import ModelException
from popoto.fields.describing import describe

__all__ = ["check_kind", "check_numbers"]


def check_numbers(model: type, *names: str) -> None:
    """Raise ModelException for a setting that is no number. Infinity is one: always, or never."""
    for name in names:
        value: object = getattr(model, name)
        if not _is_computed(value) and not _is_number(value):
            raise ModelException(f"{model.__name__}.{name} must be a number, got {describe(value)}")


def check_kind(model: type, name: str, kind: type, what: str) -> None:
    """Raise ModelException for a setting of another type, and for an empty name."""
    value: object = getattr(model, name)
    if not _is_computed(value) and (not isinstance(value, kind) or value == ""):
        raise ModelException(f"{model.__name__}.{name} must be {what}, got {describe(value)}")


def _is_computed(value: object) -> bool:
    """Whether each record computes the setting: by a property, or another descriptor."""
    return hasattr(type(value), "__get__")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        return False
    return value == value  # noqa: PLR0124 - NaN is not
