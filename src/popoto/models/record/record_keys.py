"""Record keys: as callers give them, and what they tell of the key fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine import keys
from popoto.engine.db_key import DB_key
from popoto.engine.moments import later_text
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.record.options import ModelOptions


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
        raise QueryException(
            f"{options.model_name}: {describe(key)} is the key of another model; keys of "
            f"{options.model_name} start with {options.model_name + keys.SEPARATOR!r}"
        )
    return key


def record_keys(options: ModelOptions, values: Mapping[str, Any]) -> list[str]:
    """The keys under which a record with these key values may be stored: ours comes first.

    Others only where popoto 1.9 and later name a value in another way.
    """
    own = options.record_key(values)
    others = [later_text(values[name]) for name in options.key_names]
    if not any(others):
        return [own]
    parts = own.split(keys.SEPARATOR)
    for place, text in enumerate(others, 1):
        if text is not None:
            parts[place] = keys.escape(text)
    return [own, keys.SEPARATOR.join(parts)]


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
