"""Values of exactly a stored type, whatever class of their own they come in.

numpy and pandas, freezegun, and enumerations make subclasses of float, str, int or datetime whose
texts are their own. What is stored, compared and made part of a key is the value inside.
"""

from __future__ import annotations

import datetime as _datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast


def _original(type_: Any) -> Any:
    return next((base for base in type_.__mro__ if base.__module__ == "datetime"), type_)


class Real:
    """The classes themselves: attributes of a class are not replaced as names of modules are."""

    date: type[_datetime.date] = _original(_datetime.date)
    datetime: type[_datetime.datetime] = _original(_datetime.datetime)
    time: type[_datetime.time] = _original(_datetime.time)


def real_type(type_: Any) -> Any:
    """The class of `datetime` that a date, datetime or time class stands for; others as they are.

    While freezegun has stopped the time, the names of these classes lead to classes of its own.
    """
    if isinstance(type_, type) and issubclass(type_, (Real.date, Real.time)):
        return _original(cast("Any", type_))
    return cast("Any", type_)


def _date(value: Any) -> Any:
    return Real.date(value.year, value.month, value.day)


def _datetime_of(value: Any) -> Any:
    return Real.datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.tzinfo,
        fold=value.fold,
    )


def _time(value: Any) -> Any:
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return Real.time(*clock, value.tzinfo, fold=value.fold)


def _int(value: Any) -> Any:
    # True stays True in an int field.
    return value if value is True or value is False else int.__pos__(value)


_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: _int,
    float: float.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    Decimal: Decimal,
    Real.date: _date,
    Real.datetime: _datetime_of,
    Real.time: _time,
}


def plain(type_: type, value: Any) -> Any:
    """A value of this type in exactly this type; what is of another one stays as it is."""
    if type(value) is type_ or not isinstance(value, type_):
        return value
    convert = _PLAIN.get(type_)
    return value if convert is None else convert(value)


def unwrapped(value: object) -> object:
    """The Python value of a scalar of numpy (or of what is like it); others as they are."""
    item = getattr(value, "item", None)
    if item is None or getattr(value, "ndim", None) != 0:
        return value
    return cast("object", item())
