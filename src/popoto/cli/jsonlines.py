"""Values as JSON and back, without loss.

Text, whole numbers, finite floats, booleans, null, lists, and dicts with keys of text stand as
they are. Everything else is an object whose first key tells what it is:

    {"$decimal": "9.90"}                          {"$bytes": "base64"}
    {"$datetime": "2026-01-01T09:00:00+01:00", "zone": "Europe/Berlin", "fold": 1}
    {"$date": "2026-01-01"}                       {"$time": "09:00:00", …as a datetime}
    {"$tuple": […]}   {"$set": […]}               {"$float": "nan"}
    {"$dict": [[key, value], …]}                  other keys, or a first one that begins with $
    {"$stored": "base64"}                         the stored bytes of a field without other form

What would be lost is refused: a name twice in an object, a key twice in a `$dict`, what an object
with a tag holds beside it, and finite numbers that no float holds.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias, TypeVar, cast
from zoneinfo import ZoneInfo

#: What the module `json` reads and writes.
Json: TypeAlias = Any
Clock = TypeVar("Clock", datetime.datetime, datetime.time)

#: Containers inside each other; what can be stored has fewer.
_MAX_DEPTH = 200


class NoJsonForm(ValueError):
    """A value that no JSON stands for here."""


class BadJson(ValueError):
    """JSON that stands for no value. The message is the reason."""


class Stored(bytes):
    """The stored bytes of a field whose values have no other form in JSON."""

    __slots__ = ()


def dump(value: Json) -> str:
    """One line of JSON, text in Unicode."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def load(line: str | bytes) -> Json:
    """What a line of JSON holds. Raises BadJson."""
    try:
        if isinstance(line, bytes):
            line = line.decode(json.detect_encoding(line), "surrogatepass")
        return _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise BadJson(f"no JSON: {error}") from error


def _no_constant(name: str) -> Json:
    raise ValueError(f'{name} is no JSON number; write {{"$float": "{name}"}}')


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"no float holds {text[:50]}")
    return number


def _entries(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in entries if names.count(name) > 1)
        raise ValueError(f"an object names {twice!r} twice")
    return entries


#: Made once: `json.loads` with options makes one for each line.
_DECODER: Final = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_entries
)


# Values to JSON ----------------------------------------------------------------------------


def json_of(value: object) -> Json:
    """The JSON of a value. Raises NoJsonForm."""
    if value is None or isinstance(value, bool):
        return value
    for kind, convert in _TO_JSON:
        if isinstance(value, kind):
            return convert(value)
    raise NoJsonForm(f"a value of type {type(value).__name__} has no form in JSON")


def _float(value: float) -> Json:
    return float(value) if math.isfinite(value) else {"$float": repr(float(value))}


def _list(value: list[object]) -> Json:
    return [json_of(each) for each in value]


def _dict(value: dict[object, object]) -> Json:
    plain = all(type(key) is str for key in value)
    if plain and not _looks_tagged(cast("dict[str, object]", value)):
        return {key: json_of(each) for key, each in value.items()}
    return {"$dict": [[json_of(key), json_of(each)] for key, each in value.items()]}


def _looks_tagged(value: dict[str, object]) -> bool:
    return next(iter(value), "").startswith("$")


def _set(value: set[object]) -> Json:
    # Sorted, so that equal records make equal lines.
    return {"$set": sorted((json_of(each) for each in value), key=dump)}


def _datetime(value: datetime.datetime) -> Json:
    return _zoned("$datetime", value)


def _time(value: datetime.time) -> Json:
    return _zoned("$time", value)


def _zoned(tag: str, value: datetime.datetime | datetime.time) -> Json:
    found: dict[str, Json] = {tag: value.isoformat()}
    if isinstance(value.tzinfo, ZoneInfo):
        found["zone"] = value.tzinfo.key
    if value.fold:
        found["fold"] = 1
    return found


def base64_of(value: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(value).decode("ascii")


#: Narrower types first: a bool is an int, a datetime is a date.
_TO_JSON: tuple[tuple[type, Callable[[Any], Json]], ...] = (
    (int, int),
    (float, _float),
    (str, str),
    (Stored, lambda value: {"$stored": base64_of(value)}),
    (bytes, lambda value: {"$bytes": base64_of(value)}),
    (Decimal, lambda value: {"$decimal": str(value)}),
    (list, _list),
    (dict, _dict),
    (set, _set),
    (tuple, lambda value: {"$tuple": _list(list(value))}),
    (datetime.datetime, _datetime),
    (datetime.date, lambda value: {"$date": value.isoformat()}),
    (datetime.time, _time),
)


# JSON to values ----------------------------------------------------------------------------


def value_of(found: Json, depth: int = 0) -> object:
    """The value that JSON stands for. Raises BadJson."""
    if depth > _MAX_DEPTH:
        raise BadJson("containers are nested too deep")
    if isinstance(found, list):
        return [value_of(each, depth + 1) for each in cast("list[object]", found)]
    if not isinstance(found, dict):
        return found
    entries = cast("dict[str, Json]", found)
    if not _looks_tagged(entries):
        return {key: value_of(each, depth + 1) for key, each in entries.items()}
    tag = next(iter(entries))
    read = _FROM_JSON.get(tag)
    if read is None:
        raise BadJson(f'{tag!r} is no tag that popoto writes; other dicts are {{"$dict": [...]}}')
    unknown = [name for name in entries if name != tag and name not in _BESIDE_TAG.get(tag, ())]
    if unknown:
        raise BadJson(
            f'nothing reads {unknown[0]!r} beside {tag!r}; other dicts are {{"$dict": [...]}}'
        )
    try:
        return read(entries, depth + 1)
    except (ValueError, TypeError, KeyError, OSError, ArithmeticError) as error:
        if isinstance(error, BadJson):
            raise
        raise BadJson(f"{tag}: {_shown(entries)} cannot be read: {error}") from error


def _shown(entries: dict[str, Json]) -> str:
    """For a message. What is nested may be so deep that it cannot be written down again."""
    is_nested = any(isinstance(each, (list, dict)) for each in entries.values())
    return "what is nested in it" if is_nested else dump(entries)[:200]


def _text(entries: dict[str, Json], tag: str) -> str:
    text = entries[tag]
    if not isinstance(text, str):
        raise TypeError("text is expected")
    return text


def _items(entries: dict[str, Json], tag: str, depth: int) -> list[Any]:
    items = entries[tag]
    if not isinstance(items, list):
        raise TypeError("a list is expected")
    return [value_of(each, depth) for each in cast("list[object]", items)]


def _bytes_of(entries: dict[str, Json], tag: str) -> bytes:
    try:
        return base64.b64decode(_text(entries, tag), validate=True)
    except binascii.Error as error:
        raise BadJson(f"{tag}: no base64: {error}") from error


def _decimal_from(entries: dict[str, Json], _: int) -> Decimal:
    try:
        return Decimal(_text(entries, "$decimal"))
    except InvalidOperation as error:
        raise BadJson("$decimal: no decimal number") from error


def _dict_from(entries: dict[str, Json], depth: int) -> dict[Any, Any]:
    pairs = _items(entries, "$dict", depth)
    found = {key: value for key, value in pairs}  # noqa: C416 - pairs are lists of two
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _datetime_from(entries: dict[str, Json], _: int) -> datetime.datetime:
    return _in_zone(datetime.datetime.fromisoformat(_text(entries, "$datetime")), entries)


def _time_from(entries: dict[str, Json], _: int) -> datetime.time:
    return _in_zone(datetime.time.fromisoformat(_text(entries, "$time")), entries)


def _in_zone(fixed: Clock, entries: dict[str, Json]) -> Clock:
    fold = entries.get("fold", 0)
    if fold not in (0, 1):
        raise ValueError("fold is 0 or 1")
    fixed = fixed.replace(fold=int(fold))
    if "zone" not in entries:
        return fixed
    # The offset is the fact; the rules of the zone may have changed since.
    try:
        named = fixed.replace(tzinfo=ZoneInfo(_text(entries, "zone")))
    except (ValueError, OSError, KeyError):
        if fixed.tzinfo is None:
            raise
        return fixed
    is_same = fixed.tzinfo is None or named.utcoffset() == fixed.utcoffset()
    return named if is_same else fixed


_FROM_JSON: dict[str, Callable[[dict[str, Json], int], object]] = {
    "$float": lambda entries, _: _finite(_text(entries, "$float")),
    "$stored": lambda entries, _: Stored(_bytes_of(entries, "$stored")),
    "$bytes": lambda entries, _: _bytes_of(entries, "$bytes"),
    "$decimal": _decimal_from,
    "$tuple": lambda entries, depth: tuple(_items(entries, "$tuple", depth)),
    "$set": lambda entries, depth: set(_items(entries, "$set", depth)),
    "$dict": _dict_from,
    "$datetime": _datetime_from,
    "$date": lambda entries, _: datetime.date.fromisoformat(_text(entries, "$date")),
    "$time": _time_from,
}

#: What stands beside some tags.
_BESIDE_TAG: Final[Mapping[str, tuple[str, ...]]] = {
    "$datetime": ("zone", "fold"),
    "$time": ("zone", "fold"),
}
