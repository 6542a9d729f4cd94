"""What users hand in, turned into a value of a field's type, or refused with a reason.

A conversion happens where nobody can mean anything else and nothing is lost: `"5"` and
`5.0` are the integer 5, `(1, 2)` is a list, `"2024-01-02"` a date. One that loses something,
or that Python performs by accident, is refused: 5.7 for an int, noon for a date, text split
into the characters of a list, a number as the length of some bytes, the `b'...'` of bytes as
text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from enum import Enum
from typing import Any, SupportsFloat, SupportsIndex, SupportsInt, TypeGuard, cast

from popoto._unknown_names import warn_caller
from popoto.engine.codec import MAX_DIGITS, MAX_INT, MIN_INT
from popoto.engine.plain import unwrapped
from popoto.fields.describing import describe
from popoto.fields.given import is_mapping
from popoto.fields.stored_number import F

__all__ = [
    "CHECKED_TYPES",
    "CoercionError",
    "coerce",
    "describe",
    "is_list",
    "look_at_exact",
    "tell_of_nanoseconds",
]

#: Digits of a second beyond the sixth, of which one is no nought.
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
#: What Python takes for a time with a fraction and no dot: a moment in seconds, say.
_MORE_THAN_A_TIME = re.compile(r"T?\d{7,}")
#: One byte an item: other memory is the inside of a machine.
_BYTE_FORMATS = frozenset("Bbc")
_BOOLEAN_TEXTS = {"true": True, "1": True, "false": False, "0": False}
# What the caller's own context traps must not decide what is accepted.
_EXACT = Context(traps=[InvalidOperation])
_CONVERSION_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class CoercionError(ValueError):
    """A value that is not, and does not become, one of the expected type.

    The message is the reason. It names no field: the caller adds model and field.
    """


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether a value is a list or a tuple: where a few things are listed, both are meant."""
    return isinstance(value, (list, tuple))


def is_falsy(value: object) -> bool:
    """Whether a value counts as none; what has no truth of its own, such as an array, does not."""
    try:
        return not value
    except (TypeError, ValueError):
        return False


def coerce(type_: type, value: object) -> object:
    """`value` itself when it is an instance of `type_`, else what it stands for as one.

    `None` passes. Instances of subclasses stay as they are, True in an int field, but for a
    datetime in a date field: midnight is a date, and any other time is refused. A type that is
    not in the table of conversions below takes its instances only.

    Raises CoercionError when the value does not fit; errors of Python's own conversions
    never leak. Refused although they are instances of the type, because they have no
    stored form: an integer outside -2**63 .. 2**64-1, a signaling NaN, and pandas' "not a
    time".
    """
    if isinstance(value, type_):
        check = _CHECKS.get(type_)
        return value if check is None else check(value)
    if value is None:
        return None
    if isinstance(value, F):
        raise CoercionError(
            f"{value!r} is a number that is stored already: it has a meaning in update(), and in "
            "a field of a stored record that is saved"
        )
    if isinstance(value, Enum):
        # Its value is meant: the text of a member is `Colour.RED`.
        return coerce(type_, value.value)
    convert = _CONVERSIONS.get(type_)
    if convert is None:
        inside = unwrapped(value)
        if isinstance(inside, type_):
            return inside
        raise _refusal(type_.__name__, value)
    try:
        converted = convert(value)
        check = _CHECKS.get(type_)
        return converted if check is None else check(converted)
    except CoercionError:
        raise
    except _CONVERSION_ERRORS as error:
        raise _refusal(type_.__name__, value) from error


def _refusal(expected: str, value: object, reason: str = "") -> CoercionError:
    message = f"expected {expected}, got {type(value).__name__} {describe(value)}"
    return CoercionError(f"{message}: {reason}" if reason else message)


def _text(value: object) -> str | None:
    """The text that a str or bytes-like value holds; None for other values."""
    if isinstance(value, str):
        return value
    return bytes(cast("bytes", value)).decode() if _is_bytes_like(value) else None


def _is_bytes_like(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def _in_range(number: int | Decimal, value: object) -> object:
    if not MIN_INT <= number <= MAX_INT:
        raise _refusal("int", value, "integers are stored in 64 bits, -2**63 .. 2**64-1")
    return number


def _is_storable(value: object) -> object:
    return _in_range(cast("int", value), value)


def _is_moment(value: object) -> object:
    if value != value:  # noqa: PLR0124 - NaT, the only one that differs from itself
        raise _refusal("date", value, "it is no point in time")
    if type(value) is not datetime:
        tell_of_nanoseconds(value, getattr(value, "nanosecond", 0))
    return value


def tell_of_nanoseconds(value: object, lost: object) -> None:
    """Tell of what a moment or a duration has beyond its microseconds: it is not stored."""
    if lost:
        warn_caller(
            f"{describe(value)} is stored to the microsecond, and what it has beyond that is "
            "lost; round it, or keep nanoseconds in a field of ints"
        )


def _measures_time(value: object) -> bool:
    """Whether a scalar of numpy is a moment or a duration, a number of whichever unit."""
    return getattr(getattr(value, "dtype", None), "kind", "") in {"M", "m"}


def _is_number(value: object) -> object:
    if cast("Decimal", value).is_snan():
        raise _refusal("Decimal", value, "a signaling NaN can be compared with nothing")
    return value


def _is_day(value: object) -> object:
    _is_moment(value)
    return _day_of(value, value) if isinstance(value, datetime) else value


def _day_of(moment: datetime, value: object) -> date:
    if moment.tzinfo is not None or moment.time() != time():
        raise _refusal("date", value, "its time would be lost; give its date()")
    return moment.date()


def _to_int(value: object) -> object:
    text = _text(value)
    if text is not None:
        # The same limit for every interpreter setting: long digits take quadratic time.
        if len(text) > MAX_DIGITS:
            raise _refusal("int", value, f"longer than {MAX_DIGITS} digits")
        return _in_range(int(text), value)
    if isinstance(value, SupportsIndex):
        return _in_range(value.__index__(), value)
    if isinstance(value, Decimal):
        _in_range(value, value)  # first: a huge exponent would become as many digits
    number = int(cast("SupportsInt", value))
    if number != value:
        raise _refusal("int", value, "the fraction would be lost")
    return _in_range(number, value)


def _to_float(value: object) -> object:
    if _measures_time(value):
        raise _refusal("float", value)
    text = _text(value)
    number = float(cast("SupportsFloat", value) if text is None else text)
    if math.isinf(number):
        infinite = value.is_infinite() if isinstance(value, Decimal) else number == value
        if not infinite and (text is None or "inf" not in text.lower()):
            raise _refusal("float", value, "it is too large for a float")
    return number


def _to_decimal(value: object) -> object:
    if isinstance(value, str):
        if len(value) > MAX_DIGITS:
            raise _refusal("Decimal", value, f"longer than {MAX_DIGITS} characters")
        return Decimal(value, _EXACT)
    if isinstance(value, float):
        # The digits that a float shows are those that are meant: 0.1 and not its binary form.
        return Decimal(float.__repr__(value), _EXACT)
    if isinstance(value, int):
        return Decimal(value, _EXACT)
    if isinstance(unwrapped(value), float):
        return Decimal(str(value), _EXACT)
    return Decimal(cast("SupportsIndex", value).__index__(), _EXACT)


def _to_str(value: object) -> object:
    if _is_bytes_like(value):
        raise _refusal("str", value, "decode the bytes first")
    if getattr(value, "ndim", 0) or is_mapping(value):
        raise _refusal("str", value, "convert it first: a long one is cut short")
    # A class without a text of its own would be stored as its repr.
    if isinstance(value, int | float) or type(value).__str__ is not object.__str__:
        return str(value)
    raise _refusal("str", value, "it has no text of its own; convert it first")


def _to_bool(value: object) -> object:
    text = _text(value)
    if text is not None:
        if (known := _BOOLEAN_TEXTS.get(text.lower())) is not None:
            return known
        raise _refusal("bool", value, "the texts for bool are true, false, 1 and 0")
    if _measures_time(value) or isinstance(value, timedelta):
        raise _refusal("bool", value)
    # Numbers have a truth value of their own; that of a container is only its length.
    if hasattr(type(value), "__bool__") and not hasattr(type(value), "__len__"):
        return bool(value)
    raise _refusal("bool", value)


def _to_bytes(value: object) -> object:
    if isinstance(value, str):
        raise _refusal("bytes", value, "encode the text first")
    if isinstance(value, list | tuple | range) or hasattr(type(value), "__bytes__"):
        return bytes(cast("Iterable[SupportsIndex]", value))
    view = memoryview(cast("bytes", value))
    if view.format not in _BYTE_FORMATS or getattr(value, "ndim", 1) == 0:
        raise _refusal("bytes", value, "its memory would be stored; give its bytes, as tobytes()")
    return bytes(view)


def _elements(expected: str, value: object) -> Iterable[object]:
    if isinstance(value, str) or _is_bytes_like(value):
        raise _refusal(expected, value, f"put it into a {expected}")
    if isinstance(value, Mapping):
        raise _refusal(expected, cast("object", value), "its values would be lost")
    return cast("Iterable[object]", value)


def _to_list(value: object) -> object:
    return list(_elements("list", value))


def _to_tuple(value: object) -> object:
    return tuple(_elements("tuple", value))


def _to_set(value: object) -> object:
    return set(_elements("set", value))


def _to_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    result: dict[object, object] = {}
    for pair in _elements("dict", value):
        # Only real pairs: Python would take the text "ab" for one.
        if not isinstance(pair, list | tuple):
            raise _refusal("dict", value, "it takes pairs of key and value")
        key, item = cast("Iterable[object]", pair)
        result[key] = item
    return result


def _to_date(value: object) -> object:
    text = _text(value)
    if text is None:
        return _inside(date, value)
    try:
        return date.fromisoformat(text)
    except ValueError:
        return _day_of(datetime.fromisoformat(text), value)


def _to_datetime(value: object) -> object:
    text = _text(value)
    if text is None:
        return _inside(datetime, value)
    moment = datetime.fromisoformat(text)
    tell_of_nanoseconds(text, _BEYOND_MICROSECONDS.search(text))
    return moment


def _inside(type_: type, value: object) -> object:
    """The moment inside a scalar of numpy."""
    inside = unwrapped(value)
    if not isinstance(inside, type_):
        raise _refusal(type_.__name__, value)
    return inside


def _to_time(value: object) -> object:
    text = _text(value)
    if text is not None:
        if _MORE_THAN_A_TIME.match(text):
            raise _refusal("time", value, "it has more digits than hours, minutes and seconds")
        found = time.fromisoformat(text)
        tell_of_nanoseconds(text, _BEYOND_MICROSECONDS.search(text))
        return found
    if isinstance(value, int) and not isinstance(value, bool):
        return time(value)
    raise _refusal("time", value)


_CONVERSIONS: dict[type, Callable[[object], object]] = {
    int: _to_int,
    float: _to_float,
    Decimal: _to_decimal,
    str: _to_str,
    bool: _to_bool,
    bytes: _to_bytes,
    list: _to_list,
    tuple: _to_tuple,
    set: _to_set,
    dict: _to_dict,
    date: _to_date,
    datetime: _to_datetime,
    time: _to_time,  # text, or an hour, as datetime.time(hour)
}
_CHECKS: dict[type, Callable[[object], object]] = {
    int: _is_storable,
    Decimal: _is_number,
    date: _is_day,
    datetime: _is_moment,
}
#: Types with instances that have no stored form, so that being one is not enough.
CHECKED_TYPES: frozenset[type] = frozenset(_CHECKS)


def _always(_: object) -> bool:
    return True


def look_at_exact(type_: type) -> Callable[[Any], bool]:
    """What tells of a value of exactly this type, of no derived one, whether it can be stored."""
    return _LOOKS.get(type_, _always)


# Of dates and moments only what is derived from them can be no point in time.
_LOOKS: dict[type, Callable[[Any], bool]] = {
    int: lambda value: MIN_INT <= value <= MAX_INT,
    Decimal: lambda value: not value.is_snan(),
}
