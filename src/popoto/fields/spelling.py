"""Equal values under one text, and the other texts under which an equal value may stand.

Keys and entries are made of the text of a value. Python calls values equal whose texts differ: one
moment in two zones, 0.0 and -0.0, True and 1. Each has one text here, which is what is written. Of
Decimals the text is part of the layout of popoto 1.6 as it was given (`Decimal("1.50")` is
`1.50`), so there lookups, claims and keys know all of them. What was written by popoto 1.6, or
before there was one text, stands under another one of `spellings`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, DecimalException
from typing import Any, Final

from popoto.engine.plain import Real

__all__ = ["FORMS", "SPELLED", "decimal_text", "has_others", "spellings"]

#: So many noughts may stand at the end of a Decimal's text: what sums and products have in the
#: usual context. One with more stands under its text without any.
_MOST_NOUGHTS: Final = 28
_UTC: Final = datetime.UTC
#: Exact: neither rounds nor lets the caller's traps decide.
_EXACT: Final = Context(traps=[])
_MINUTE: Final = datetime.timedelta(minutes=1)
_DAY: Final = datetime.timedelta(days=1)


# One form --------------------------------------------------------------------------------


def _int(value: Any) -> Any:
    return int(value) if value is True or value is False else value


def _float(value: Any) -> Any:
    return 0.0 if value == 0 and isinstance(value, float) else value


def _datetime(value: Any) -> Any:
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        return value
    try:
        # A zone without an offset makes it a local time, as no zone does.
        return value if value.utcoffset() is None else value.astimezone(_UTC)
    except OverflowError:
        # In the first and the last hours of time there is no UTC twin.
        return value


def _time(value: Any) -> Any:
    offset = value.utcoffset() if isinstance(value, datetime.time) else None
    if not offset:
        return value if offset is None else value.replace(tzinfo=_UTC, fold=0)
    since = datetime.timedelta(
        hours=value.hour,
        minutes=value.minute,
        seconds=value.second,
        microseconds=value.microsecond,
    )
    since -= offset
    # Times of another day in UTC have no twin there: they keep the shortest offset.
    away = datetime.timedelta()
    if since < away:
        away = _minutes(-since)
    elif since >= _DAY:
        away = -_minutes(since - _DAY + Real.time.resolution)
    if abs(away) >= _DAY:
        return value
    zone = datetime.timezone(away) if away else _UTC
    moment = Real.datetime.min + (since + away)
    return moment.time().replace(tzinfo=zone)


def _minutes(least: datetime.timedelta) -> datetime.timedelta:
    """The least number of whole minutes that is not below."""
    return -(-least // _MINUTE) * _MINUTE


#: By type, how the equal values of different texts become one.
FORMS: Final[dict[type, Callable[[Any], Any]]] = {
    int: _int,
    float: _float,
    Real.datetime: _datetime,
    Real.time: _time,
}
#: The types whose equal values may stand under several texts.
SPELLED: Final = frozenset({*FORMS, Decimal})


# All texts -------------------------------------------------------------------------------


def decimal_text(value: Any) -> str:
    """The text of a Decimal: as it was given, unless there is no end of noughts in it."""
    text = str(value)
    if not isinstance(value, Decimal) or (len(text) <= _MOST_NOUGHTS and "E" not in text):
        return text
    if not value.is_finite():
        return text
    sign, digits, exponent = value.as_tuple()
    if not value:
        return text if -_MOST_NOUGHTS <= int(exponent) <= 0 else "0"
    noughts = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if noughts <= _MOST_NOUGHTS:
        return text
    return str(Decimal((sign, digits[:-noughts], int(exponent) + noughts)))


def has_others(type_: type, value: Any) -> bool:
    """Whether an equal value may stand under another text; quickly told."""
    if value is None:
        return False
    if type_ is int or type_ is float:
        return value in (0, 1) if type_ is int else value == 0
    return type_ is Decimal or getattr(value, "tzinfo", None) is not None


def spellings(type_: type, value: Any) -> Sequence[str]:
    """Every text under which a value equal to this one may stand in a field of the type.

    `value` is as it was given; its own text comes among the first. None for NaN, which equals
    nothing. Of moments with a zone these are that in UTC and that in the zone given.
    """
    if value is None:
        return ("None",)
    if isinstance(value, Decimal):
        return () if value.is_nan() else _decimals(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ()
        return (str(value),) if value else ("0.0", "-0.0")
    if type_ is int and value in (0, 1):
        return (str(int(value)), str(bool(value)))
    form = FORMS.get(type_)
    text = str(value)
    one = text if form is None else str(form(value))
    return (one,) if one == text else (one, text)


def _decimals(value: Decimal) -> Sequence[str]:
    if not value.is_finite():
        return (str(value),)
    if not value:
        noughts = [Decimal((0, (0,), -count)) for count in range(_MOST_NOUGHTS + 1)]
        return [f"{sign}{each}" for each in noughts for sign in ("", "-")]
    sign, digits, exponent = value.as_tuple()
    while digits[-1] == 0:
        digits, exponent = digits[:-1], int(exponent) + 1
    found: dict[str, None] = {decimal_text(value): None}
    for count in range(_MOST_NOUGHTS + 1):
        try:
            each = Decimal((sign, digits + (0,) * count, int(exponent) - count), _EXACT)
        except DecimalException:
            break
        found[str(each)] = None
    return tuple(found)
