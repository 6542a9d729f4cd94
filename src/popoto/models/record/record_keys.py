"""Record keys: as callers give them, and what they tell of the key fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.engine import keys
from popoto.engine.db_key import DB_key
from popoto.engine.moments import later_text
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.fields.key_field_mixin import VALID_KEYFIELD_TYPES
from popoto.fields.spelling import has_others
from popoto.models.record.composites import MOST_SPELLINGS
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record


def record_key(options: ModelOptions, key: Any) -> str | None:
    """A record key of this model as text; None for text that is no record key.

    Raises QueryException for another model's key.
    """
    if isinstance(key, DB_key):
        key = key.redis_key
    if hasattr(key, "_meta") and hasattr(key, "pk"):
        key = key.pk
    try:
        if isinstance(key, bytes):
            key = key.decode("utf-8")
        elif isinstance(key, str):
            key.encode("utf-8")
    except UnicodeError as error:
        raise QueryException(
            f"{options.model_name}: {describe(key)} is no record key: record keys are UTF-8"
        ) from error
    if not isinstance(key, str):
        raise QueryException(
            f"{options.model_name}: {describe(key)} is no record key; give text, bytes or a DB_key"
        )
    name, separator, _ = key.partition(keys.SEPARATOR)
    if not separator:
        return None
    if name != options.model_name:
        raise QueryException(f"{options.model_name}: {_of_another_model(options, key)}")
    return key


def one_key(options: ModelOptions, given: Sequence[Any]) -> Any:
    """The first key of those that were given. Others that are not the same are told of.

    Raises QueryException where the first is no record key either, so that nothing is found.
    """
    several = [each for each in given if each is not None]
    texts = [_text(options, each) for each in several] if len(several) > 1 else []
    if len(set(texts)) > 1:
        names = ", ".join(f"{name}=…" for name in options.key_names)
        told = (
            f"{options.model_name}: get() takes one key, got {describe(several[0])} and "
            f"{describe(several[-1])}: write get({names}), or get_many([…]) for several records"
        )
        is_key = texts[0].startswith(options.model_name + keys.SEPARATOR)
        if not is_key:
            raise QueryException(told)
        tell(f"{told}; the first one counts", refuse=is_strict(options.strict))
    return several[0] if several else None


def _text(options: ModelOptions, given: Any) -> str:
    try:
        return record_key(options, given) or str(given)
    except QueryException:
        return str(given)


def other_spellings(options: ModelOptions, values: Mapping[str, Any]) -> Sequence[str]:
    """The keys that values equal to these key values would make by other texts.

    Nobody looks at more than a thousand: that takes three Decimals in one key.
    """
    if not any(has_others(field.type, values[field.name]) for field in options.spelled_keys):
        return ()
    spelled = [field.spellings(values[field.name]) for field in options.key_fields]
    count = math.prod(map(len, spelled))
    if not 1 < count <= MOST_SPELLINGS:
        return ()
    found = [
        keys.SEPARATOR.join((options.model_name, *map(keys.escape, texts)))
        for texts in product(*spelled)
    ]
    return found[1:]


def other_keys(instance: Record) -> Sequence[str]:
    """The keys that values equal to the key values of an instance would make by other texts."""
    for field in instance._meta.spelled_keys:
        if has_others(field.type, getattr(instance, field.name)):
            return other_spellings(instance._meta, instance._key_values)
    return ()


def _of_another_model(options: ModelOptions, key: str) -> str:
    start = options.model_name + keys.SEPARATOR
    return (
        f"{describe(key)} is the key of another model; keys of {options.model_name} start with "
        f"{start!r}"
    )


#: What a key field may hold.
_VALUES = tuple(VALID_KEYFIELD_TYPES)


def key_value(options: ModelOptions, given: Any) -> dict[str, Any] | None:
    """What was given in place of a record key, as the value of the one key field.

    None for what is meant as a record key: text with a colon, bytes, a `DB_key`, a record, and
    what can be neither. Raises QueryException for a value where several fields make the key.
    """
    if not isinstance(given, _VALUES):
        return None
    names = options.key_names
    by_field = f"get({', '.join(f'{name}=…' for name in names)})"
    start = options.model_name + keys.SEPARATOR
    if isinstance(given, str) and keys.SEPARATOR in given:
        if given.startswith(start):
            return None
        raise QueryException(
            f"{options.model_name}: {_of_another_model(options, given)}. A value with a colon is "
            f"asked for by its field: {by_field}"
        )
    if len(names) > 1:
        raise QueryException(
            f"{options.model_name}: {describe(given)} alone is no record, since "
            f"{len(names)} fields make its key: write {by_field}, or a record key, which starts "
            f"with {start!r}"
        )
    return {names[0]: given}


def record_keys(options: ModelOptions, values: Mapping[str, Any]) -> list[str]:
    """The keys under which a record with these key values may be stored: ours comes first.

    Others only where equal values have other texts, or popoto 1.9 and later name a value in
    another way.
    """
    own = [options.record_key(values), *other_spellings(options, values)]
    others = [later_text(values[name]) for name in options.key_names]
    if not any(others):
        return own
    parts = own[0].split(keys.SEPARATOR)
    for place, text in enumerate(others, 1):
        if text is not None:
            parts[place] = keys.escape(text)
    return [*own, keys.SEPARATOR.join(parts)]


def told_by_key(options: ModelOptions, key: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The values of key fields in a record key; None if it may stand for others as well."""
    parts = key.split(keys.SEPARATOR)
    if len(parts) != options.db_key_length:
        return None
    told: dict[str, Any] = {}
    for name in names:
        part = parts[options.get_db_key_index_position(name)]
        is_text = options.by_name[name].type is str
        if is_text and (part == "None" or keys.ESCAPED_SEPARATOR in part):
            return None
        text = keys.unescape(part)
        if is_text:
            told[name] = text
            continue
        try:
            told[name] = None if part == "None" else int(text)
        except ValueError:
            return None
    return told
