"""Types that are stored as values of another type: UUID, timedelta, and the classes of an Enum.

A UUID and a timedelta stand as their text, as popoto 1.6 stores them in a field of texts, and a
member of an Enum as its value. That is what keys and conditions are made of, too; what a field
gives back is of its own type.
"""

from __future__ import annotations

import datetime
import functools
import re
import uuid
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, NamedTuple

from popoto.engine.codec import DecodeError, EncodeError, Stored, decoder_for, encoder_for
from popoto.fields.coercion import CoercionError, tell_of_nanoseconds
from popoto.fields.describing import describe
from popoto.fields.spelling import FORMS

#: Types that a field may be declared with, besides those that the codec knows. `Enum` stands for
#: every class derived from it.
ADAPTED_TYPES: frozenset[type] = frozenset({uuid.UUID, datetime.timedelta, Enum})

_encode, _decode = encoder_for(object), decoder_for(object)
_DURATION = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{6}))?")


class Adapted(NamedTuple):
    """How values of one type are stored as others, and made of them again."""

    type: type[Any]
    plain: Callable[[Any], Any]
    #: raises ValueError for what stands for no value
    value: Callable[[Any], Any]
    #: why not all values can be stored; None where they can
    problem: str | None = None

    def encode(self, value: Any) -> bytes:
        """The stored bytes of a value, or of what it is stored as."""
        if value is None or isinstance(value, self.type):
            return _encode(None if value is None else self.plain(value))
        try:
            return _encode(self.plain(self.value(value)))
        except ValueError as error:
            found = type(value).__name__
            raise EncodeError(f"expected {self.type.__name__}, got {found}") from error

    def decode(self, raw: Stored) -> Any:
        """The value that stored bytes stand for. Raises DecodeError."""
        if isinstance(raw, tuple):
            raise DecodeError(f"a list is no {self.type.__name__}")
        plain = _decode(raw)
        try:
            return None if plain is None else self.value(plain)
        except ValueError as error:
            raise DecodeError(str(error), raw) from error


def adapted(kind: type[Any]) -> Adapted | None:
    """How a field of this type stores its values; None where the codec knows the type."""
    if kind is uuid.UUID:
        return Adapted(kind, str, _to_uuid)
    if kind is datetime.timedelta:
        return Adapted(kind, _text_of_duration, _to_timedelta)
    if isinstance(kind, type) and issubclass(kind, Enum):
        value = functools.partial(_to_member, kind)
        return Adapted(kind, _value_of_member, value, _problem_of(kind))
    return None


def is_field_type(kind: Any, valid: Collection[type]) -> bool:
    """Whether a field that takes these types may have this one."""
    if not isinstance(kind, type):
        return False
    if kind in valid:
        return kind is not Enum
    return Enum in valid and issubclass(kind, Enum) and len(kind) > 0


def names_of(valid: Collection[type]) -> str:
    """The types that a field takes, for a message."""
    return ", ".join(sorted(each.__name__ for each in valid))


def text_in_key(value: Any) -> str:
    """The text by which any value stands in a key: a member of an Enum by its value.

    Equal values have one, as in a field of their type. Of Decimals it is as it was given.
    """
    form = FORMS.get(value.__class__)
    if form is not None:
        return str(form(value))
    if isinstance(value, datetime.timedelta):
        return datetime.timedelta.__str__(value)
    return str(value.value if isinstance(value, Enum) else value)


def _problem_of(kind: type[Enum]) -> str | None:
    for member in kind:
        try:
            _encode(member.value)
        except EncodeError as error:
            return f"the value of {member} has no stored form: {error}"
    return None


def _value_of_member(member: Enum) -> Any:
    return member.value


def _refusal(kind: type, value: object, reason: str = "") -> CoercionError:
    message = f"expected {kind.__name__}, got {type(value).__name__} {describe(value)}"
    return CoercionError(f"{message}: {reason}" if reason else message)


def _to_uuid(value: object) -> uuid.UUID:
    if not isinstance(value, str):
        raise _refusal(uuid.UUID, value)
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise _refusal(uuid.UUID, value) from error


def _text_of_duration(value: datetime.timedelta) -> str:
    """The text of a duration, also of one that has a text of its own, such as a pandas one."""
    tell_of_nanoseconds(value, getattr(value, "nanoseconds", 0))
    return datetime.timedelta.__str__(value)


def _to_timedelta(value: object) -> datetime.timedelta:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return datetime.timedelta(seconds=value)
        except (ValueError, OverflowError) as error:
            raise _refusal(datetime.timedelta, value, str(error)) from error
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _refusal(datetime.timedelta, value, "give a timedelta, or a number of seconds")
    days, hours, minutes, seconds, micros = (int(part or 0) for part in found.groups())
    try:
        return datetime.timedelta(days, seconds, micros, 0, minutes, hours)
    except OverflowError as error:
        raise _refusal(datetime.timedelta, value, str(error)) from error


def _to_member(kind: type[Enum], value: Any) -> Enum:
    plain = value.value if isinstance(value, Enum) else value
    try:
        return kind(plain)
    except ValueError:
        pass
    if isinstance(plain, str):
        # A value that came as text, and what 1.6 stores of a member: 'Colour.RED'.
        for member in kind:
            if plain in (str(member.value), f"{kind.__name__}.{member.name}"):
                return member
    allowed = ", ".join(describe(member.value) for member in kind)
    raise _refusal(kind, value, f"the values are {allowed}")
