"""The stored form of a record: what a save writes, and what stored bytes say."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from popoto.engine.codec import NIL, DecodeError, EncodeError, Stored
from popoto.fields.field import Field
from popoto.models.record.checking import invalid
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record

logger = logging.getLogger("POPOTO.model_base")


def encoded(instance: Record, name: str) -> Stored:
    """The bytes that a save would write for one field. Raises ValidationError."""
    return encoded_values(instance, (name,))[name]


def encoded_values(instance: Record, names: Iterable[str]) -> dict[str, Stored]:
    """The bytes that a save would write for these fields. Raises ValidationError."""
    values, stored = vars(instance), instance._stored
    references: dict[str, str] = values.get("_references", {})
    fields = instance._meta.by_name
    found: dict[str, Stored] = {}
    for name in names:
        field = fields[name]
        if name in values:
            value = values[name]
        elif name in references:
            value = references[name]
        elif stored.get(name) is not None:
            found[name] = stored[name]
            continue
        elif name in instance._deferred:
            # It is as it is stored, whatever that is.
            continue
        else:
            value = getattr(instance, name)
        try:
            found[name] = NIL if value is None and field.in_hash else field.encode(value)
        except EncodeError as error:
            raise invalid(field, value, str(error)) from error
    return found


def changed_values(instance: Record, names: Iterable[str]) -> dict[str, Stored]:
    """What a save has to write: fields whose encoded value differs from the stored one."""
    values = vars(instance)
    stored, deferred = instance._stored, instance._deferred
    references: dict[str, str] = values.get("_references", {})
    fields = instance._meta.by_name
    touched = [
        name
        for name in names
        if name in values
        # But not a list that nobody looked at.
        or (fields[name].in_hash and (name in references or name not in stored))
    ]
    return {
        name: now
        for name, now in encoded_values(instance, touched).items()
        if now != (before := stored.get(name))
        and (name in deferred or not _same(fields[name], now, before))
    }


#: Types whose values other writers encode in another way.
_MANY_FORMED = (int, float, set, dict, datetime.datetime, datetime.time)

#: How many bytes a float takes.
_DOUBLE = 9


def _same(field: Field[Any], now: Stored, before: Stored | None) -> bool:
    """Whether two different encodings say the same (another writer's numbers and sets)."""
    if before is None:
        return not field.in_hash and not now
    # Of floats in the form that popoto writes each has bytes of its own.
    is_told = field.type is float and len(now) == len(before) == _DOUBLE and now[0] == before[0]
    if is_told or field.type not in _MANY_FORMED:
        return False
    try:
        old, new = field.decode(before), field.decode(now)
    except ValueError:
        return False
    # Equal is not enough: 1 is True, and 0.0 is -0.0.
    if type(old) is not type(new):
        return False
    if field.type is set:
        return sorted(map(repr, old)) == sorted(map(repr, new))
    return repr(old) == repr(new)


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


def _same_value(field: Field[Any], theirs: Stored, mine: Stored) -> bool:
    try:
        return bool(field.decode(theirs) == field.decode(mine))
    except ValueError:
        return True


def decoded_values(
    options: ModelOptions, stored: Mapping[str, Stored], names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Values from stored bytes, as far as they can be decoded: what entries follow from.

    A record that was stored before it had a field has its default, unless that is computed.
    """
    fields = options.by_name
    values: dict[str, Any] = {}
    for name in options.index_names if names is None else names:
        raw = stored.get(name)
        try:
            if raw is not None:
                values[name] = fields[name].decode(raw)
            else:
                values[name] = fields[name].fixed_default() if stored else None
        except DecodeError as error:
            values[name] = None
            logger.warning("%s: stored bytes make no entry: %s", fields[name].label, error)
    return values
