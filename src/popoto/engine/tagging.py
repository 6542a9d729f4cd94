"""Values as msgpack holds them: limits, tags, and the walk over containers in both directions.

Types that msgpack lacks are maps of two entries, a marker and the payload, the layout
that popoto 1.6 reads and writes:

    Decimal("9.90")   {"__Decimal__": true, "as_encodable": "9.90"}

Whatever 1.6 can hold keeps exactly its bytes. What it refused or lost is stored so
that it still reads a value without raising:

- `Decimal`, `tuple`, `set` and dates inside containers use the same maps there;
- the offset, zone name and fold of a time are further entries, which 1.6 skips;
- a dict that looks like such a map, or has keys that 1.6 could not load, is
  `{"__dict__": true, "as_encodable": [[key, value], ...]}`;
- a set of anything but scalars is `{"__tagged_set__": true, "as_encodable": [...]}`.
"""

# Length: the two walks over containers mirror each other, marker by marker.

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack

from popoto.engine.plain import Real, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "CLOCK",
    "LONE_SURROGATE",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_LENGTH",
    "OUT_OF_RANGE",
    "PAYLOAD",
    "SCALARS",
    "STORABLE",
    "TREES",
    "DecodeError",
    "EncodeError",
    "Map",
    "decimal_from",
    "dict_of",
    "exact_scalar",
    "items_as_set",
    "looks_tagged",
    "pack",
    "tree_of",
    "unpack",
    "value_of",
    "within_length",
]

Map: TypeAlias = dict[object, object]
Clock = TypeVar("Clock", datetime, time)

MAX_DEPTH = 64
"""Containers inside each other, the outermost included."""
MAX_DIGITS = 4300
"""Characters of a number stored as text: the limit Python itself sets for `int(text)`."""
MAX_LENGTH = 512 * 1024 * 1024
"""Bytes of one stored value: the server's own limit."""
LONE_SURROGATE = "text holds a lone surrogate, which has no UTF-8 form"
OUT_OF_RANGE = "an integer lies outside -2**63 .. 2**64-1"
_TOO_DEEP = f"containers are nested more than {MAX_DEPTH} deep"


class EncodeError(ValueError):
    """A value that cannot be stored. The message is the reason and names no field."""


class DecodeError(ValueError):
    """Stored bytes that are not a value of the expected type.

    Attributes: `reason`, and `raw`, the bytes as they were read.
    """

    def __init__(self, reason: str, raw: bytes = b"") -> None:
        super().__init__(reason, raw)
        self.reason = reason
        self.raw = raw

    def __str__(self) -> str:
        shown = self.raw[:24].hex(" ") + (" …" if len(self.raw) > 24 else "")
        return f"{self.reason} (stored bytes: {shown or 'none'})"


PAYLOAD = "as_encodable"
SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})
STORABLE: tuple[type, ...] = (
    # bool is an int and datetime is a date: the narrower type comes first.
    bool, int, float, str, bytes, Decimal, list, dict, set, tuple, datetime, date, time,
)  # fmt: skip
# Conversion never rounds, but whether malformed text raises is up to the context, and
# the caller's own may have that trap switched off.
_EXACT = Context(traps=[InvalidOperation])


# --- values to what msgpack can pack ---


def pack(tree: object) -> bytes:
    """One msgpack object from scalars, lists, tuples and dicts."""
    try:
        packed = msgpack.packb(tree)
    except OverflowError as error:
        raise EncodeError(OUT_OF_RANGE) from error
    except UnicodeEncodeError as error:
        raise EncodeError(LONE_SURROGATE) from error
    except ValueError as error:
        raise EncodeError(str(error)) from error
    return within_length(packed)


def within_length(packed: bytes) -> bytes:
    """The same bytes; EncodeError when they are more than `MAX_LENGTH`."""
    if len(packed) > MAX_LENGTH:
        raise EncodeError(f"{len(packed)} bytes are more than the {MAX_LENGTH} of one stored value")
    return packed


def tree_of(value: object, depth: int = 1) -> object:
    """`value` as msgpack can pack it; `depth` is its level when it is a container."""
    kind = type(value)
    if kind in SCALARS:
        return value
    build = TREES.get(kind)
    if build is not None:
        return build(value, depth)
    for base in STORABLE:
        if isinstance(value, base):
            return TREES[base](value, depth) if base in TREES else exact_scalar(value)
    inside = unwrapped(value)
    if inside is not value:
        return tree_of(inside, depth)
    raise EncodeError(
        f"a value of type {kind.__name__} has no stored form: give text, numbers, dates, bytes, "
        "lists or dicts in its place"
    )


def exact_scalar(value: object) -> object:
    """The plain value inside an instance of a scalar's subclass, whatever it overrides."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return bytes(memoryview(cast(bytes, value)))


def _list_tree(value: object, depth: int) -> object:
    items = cast("list[object] | tuple[object, ...]", value)
    if depth > MAX_DEPTH:
        raise EncodeError(_TOO_DEEP)
    # Most containers hold scalars only; finding that out this way never leaves C.
    if set(map(type, items)) <= SCALARS:
        # A copy of a subclass: msgpack would write its own ExtType, which is a tuple.
        return items if type(items) in (list, tuple) else list(items)
    return [item if type(item) in SCALARS else tree_of(item, depth + 1) for item in items]


def _tuple_tree(value: object, depth: int) -> object:
    return {"__tuple__": True, PAYLOAD: _list_tree(value, depth)}


def _set_tree(value: object, depth: int) -> object:
    items = cast("list[object]", _list_tree(list(cast("set[object]", value)), depth))
    plain = set(map(type, items)) <= SCALARS
    # Sorted, because equal sets should have equal bytes: that is how a change is noticed.
    return {"__set__" if plain else "__tagged_set__": True, PAYLOAD: sorted(items, key=pack)}


def _dict_tree(value: object, depth: int) -> object:
    mapping = cast("Map", value)
    values = cast("list[object]", _list_tree(list(mapping.values()), depth))
    needs_pairs = looks_tagged(mapping)
    keys = list(mapping)
    if not set(map(type, keys)) <= SCALARS:
        keys = cast("list[object]", _list_tree(keys, depth))
        needs_pairs = needs_pairs or not set(map(type, keys)) <= SCALARS
    if needs_pairs:
        return {"__dict__": True, PAYLOAD: list(zip(keys, values, strict=True))}
    return dict(zip(keys, values, strict=True))


def looks_tagged(mapping: Mapping[object, object]) -> bool:
    """Whether a user's dict could be taken for a tagged map."""
    return PAYLOAD in mapping and not _TAGS.isdisjoint(mapping)


def _decimal_tree(value: object, _: int) -> object:
    text = Decimal.__str__(cast(Decimal, value))
    if "s" in text:
        raise EncodeError("a signaling NaN (sNaN) can be compared with nothing")
    if len(text) > MAX_DIGITS:
        raise EncodeError(f"a Decimal of {len(text)} characters is longer than {MAX_DIGITS}")
    return {"__Decimal__": True, PAYLOAD: text}


def _date_tree(value: object, _: int) -> object:
    # isoformat, unlike strftime, gives every year four digits.
    return {"__date__": True, PAYLOAD: date.isoformat(cast(date, value)).replace("-", "")}


def _datetime_tree(value: object, _: int) -> object:
    moment = cast(datetime, value)
    wall = moment if moment.tzinfo is None else moment.replace(tzinfo=None)
    text = datetime.isoformat(wall, "T", "microseconds").replace("-", "")
    return {"__datetime__": True, PAYLOAD: text, **_zone_entries(moment)}


def _time_tree(value: object, _: int) -> object:
    clock = cast(time, value)
    wall = clock if clock.tzinfo is None else clock.replace(tzinfo=None)
    text = time.isoformat(wall, "microseconds")
    return {"__time__": True, PAYLOAD: text, **_zone_entries(clock)}


def _zone_entries(value: datetime | time) -> dict[str, object]:
    """What 1.6 loses: offset from UTC in seconds, name of the zone, and fold."""
    entries: dict[str, object] = {}
    if value.tzinfo is not None:
        try:
            offset = value.utcoffset()
        except (ArithmeticError, TypeError, ValueError) as error:
            raise EncodeError(f"its time zone gives no offset: {error}") from error
        if offset is not None:
            seconds = offset.total_seconds()
            entries["utc_offset"] = int(seconds) if seconds.is_integer() else seconds
        name = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
        if isinstance(name, str) and _ZONE_NAME.fullmatch(name):
            entries["zone"] = name
        elif offset is None:
            raise EncodeError("its time zone has neither an offset nor a name to store")
    if value.fold:
        entries["fold"] = 1
    return entries


TREES: dict[type, Callable[[object, int], object]] = {
    Decimal: _decimal_tree,
    list: _list_tree,
    dict: _dict_tree,
    set: _set_tree,
    tuple: _tuple_tree,
    datetime: _datetime_tree,
    date: _date_tree,
    time: _time_tree,
}


# --- what msgpack unpacked to values ---


def unpack(raw: bytes) -> object:
    """The tree that `value_of` takes. Raises ValueError, TypeError or msgpack's own errors."""
    try:
        return msgpack.unpackb(raw, strict_map_key=False)
    except TypeError:
        # Arrays as map keys: 1.6 writes a dict with tuple keys that way.
        return msgpack.unpackb(raw, strict_map_key=False, object_pairs_hook=_hashable_keys)


def _hashable_keys(pairs: Iterable[tuple[object, object]]) -> Map:
    return {_hashable(key, 1): value for key, value in pairs}


def _hashable(value: object, depth: int) -> object:
    """`value` with lists turned into tuples, as 1.6 turned tuples into lists."""
    if not isinstance(value, list):
        hash(value)
        return value
    if depth > MAX_DEPTH:
        raise DecodeError(_TOO_DEEP)
    return tuple([_hashable(item, depth + 1) for item in cast("list[object]", value)])


def value_of(tree: object, depth: int = 1) -> object:
    """The value that an unpacked tree stands for; lists and dicts are changed in place."""
    if type(tree) in SCALARS:
        return tree
    if isinstance(tree, dict):
        return _dict_value(cast("Map", tree), depth)
    if isinstance(tree, list):
        return _list_value(cast("list[object]", tree), depth)
    if type(tree) is tuple and depth > 1:  # only as a key, made by _hashable
        return tuple(_list_value(list(cast("tuple[object, ...]", tree)), depth))
    raise DecodeError("extension types are not accepted")


def _list_value(items: list[object], depth: int) -> list[object]:
    if depth > MAX_DEPTH:
        raise DecodeError(_TOO_DEEP)
    if not set(map(type, items)) <= SCALARS:
        for position, item in enumerate(items):
            if type(item) not in SCALARS:
                items[position] = value_of(item, depth + 1)
    return items


def _dict_value(tree: Map, depth: int) -> object:
    if PAYLOAD in tree:
        for tag in tree:  # the marker comes first, unless a script has rewritten the map
            if tag in _UNTAG and _is_tagged(tree, tag):
                return _UNTAG[tag](tree, depth)
    return _plain_dict(tree, depth)


def _plain_dict(tree: Map, depth: int) -> Map:
    values = _list_value(list(tree.values()), depth)
    if set(map(type, tree)) <= SCALARS:
        tree.update(zip(tree, values, strict=True))
        return tree
    return dict(zip(_list_value(list(tree), depth), values, strict=True))


def dict_of(tree: Map) -> Map:
    """The value of a whole dict field.

    1.6 tags by the field's type, so here only the escape is a tag: any other look-alike
    is a dict that 1.6 wrote as its user gave it.
    """
    return _untag_dict(tree, 1) if _is_tagged(tree, "__dict__") else _plain_dict(tree, 1)


def _is_tagged(tree: Map, tag: object) -> bool:
    """Whether the map has this marker, a payload, and no entry that such a map never has."""
    if tree.get(tag) is not True or PAYLOAD not in tree:
        return False
    return len(tree) == 2 or (tag in _ZONED and tree.keys() <= {tag, PAYLOAD, *_ZONE_KEYS})


def _items(payload: object, depth: int) -> list[object]:
    if not isinstance(payload, list):
        raise DecodeError("a tagged container holds no list")
    return _list_value(cast("list[object]", payload), depth)


def items_as_set(items: list[object]) -> set[object]:
    """A set of the items, lists among them as tuples; DecodeError for unhashable ones."""
    try:
        return {_hashable(item, 1) for item in items}
    except TypeError as error:
        raise DecodeError("a set holds an unhashable value") from error


def _untag_tuple(tree: Map, depth: int) -> object:
    return tuple(_items(tree[PAYLOAD], depth))


def _untag_set(tree: Map, depth: int) -> object:
    return items_as_set(_items(tree[PAYLOAD], depth))


def _untag_dict(tree: Map, depth: int) -> Map:
    pairs = tree[PAYLOAD]
    if not isinstance(pairs, list):
        raise DecodeError("a tagged dict holds no list")
    result: Map = {}
    for pair in cast("list[object]", pairs):
        if not isinstance(pair, list) or len(cast("list[object]", pair)) != 2:
            raise DecodeError("a tagged dict holds something other than pairs")
        key, value = _list_value(cast("list[object]", pair), depth)
        try:
            result[_hashable(key, 1)] = value
        except TypeError as error:
            raise DecodeError("a dict holds an unhashable key") from error
    return result


def _text(tree: Map, form: re.Pattern[str]) -> str:
    text = tree[PAYLOAD]
    if not isinstance(text, str) or form.fullmatch(text) is None:
        raise DecodeError("a tagged value holds malformed text")
    return text


def decimal_from(text: object) -> Decimal:
    """The exact Decimal that a text of at most `MAX_DIGITS` characters spells."""
    if isinstance(text, str) and len(text) <= MAX_DIGITS:
        try:
            return Decimal(text, _EXACT)
        except InvalidOperation:
            pass
    raise DecodeError("not the text of a Decimal")


def _untag_decimal(tree: Map, _: int) -> object:
    return decimal_from(tree[PAYLOAD])


# 1.6 writes years before 1000 with fewer than four digits; month and day always have two.
_DATE_FORM = re.compile(r"[0-9]{5,8}")
CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}"
_TIME_FORM = re.compile(CLOCK)
_DATETIME_FORM = re.compile(rf"[0-9]{{5,8}}T{CLOCK}")
# As popoto 1.8.2 and later write them: a fraction only where there is one, the offset behind it.
_ISO_CLOCK = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?"
    r"(?:[+-][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{6})?)?)?"
)
_ISO_TIME_FORM = re.compile(_ISO_CLOCK)
_ISO_DATETIME_FORM = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_ISO_CLOCK}")
_UUID_FORM = re.compile(r"[0-9a-f]{32}")
_ZONE_NAME = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_ZONE_KEYS = ("utc_offset", "zone", "fold")
_ZONED = frozenset({"__datetime__", "__time__"})


def _untag_date(tree: Map, _: int) -> object:
    return Real.date.fromisoformat(_text(tree, _DATE_FORM).zfill(8))


def _is_iso(tree: Map, length: int, form: re.Pattern[str]) -> bool:
    text = tree[PAYLOAD]
    # The length of our own form tells it apart without a look at the text.
    is_other = isinstance(text, str) and len(text) != length and len(tree) == 2
    return is_other and form.fullmatch(cast(str, text)) is not None


def _untag_datetime(tree: Map, _: int) -> object:
    if _is_iso(tree, 24, _ISO_DATETIME_FORM):
        return Real.datetime.fromisoformat(cast(str, tree[PAYLOAD]))
    wall = Real.datetime.fromisoformat(_text(tree, _DATETIME_FORM).zfill(24))
    return wall if len(tree) == 2 else _zoned(wall, tree)


def _untag_time(tree: Map, _: int) -> object:
    if _is_iso(tree, 15, _ISO_TIME_FORM):
        return Real.time.fromisoformat(cast(str, tree[PAYLOAD]))
    wall = Real.time.fromisoformat(_text(tree, _TIME_FORM))
    return wall if len(tree) == 2 else _zoned(wall, tree)


def _untag_uuid(tree: Map, _: int) -> object:
    return UUID(hex=_text(tree, _UUID_FORM))


def _untag_timedelta(tree: Map, _: int) -> object:
    parts = tree[PAYLOAD]
    if (
        not isinstance(parts, list)
        or [type(part) for part in cast("list[object]", parts)] != [int] * 3
    ):
        raise DecodeError("a tagged duration holds no days, seconds and microseconds")
    return timedelta(*cast("list[int]", parts))


def _zoned(wall: Clock, tree: Map) -> Clock:
    offset, zone, fold = _zone_of(tree)
    fixed = wall.replace(tzinfo=offset, fold=fold)
    if zone is not None:
        # The offset is the fact that was stored; the zone's rules may have changed since.
        named = fixed.replace(tzinfo=zone)
        if named.utcoffset() == fixed.utcoffset():
            return named
    if offset is None and "zone" in tree:
        raise DecodeError(f"the time zone {tree['zone']!r} is unknown here or needs an offset")
    return fixed


def _zone_of(tree: Map) -> tuple[timezone | None, tzinfo | None, int]:
    """The stored offset, zone and fold. A zone that this machine does not know is None."""
    seconds, name, fold = (tree.get(key) for key in _ZONE_KEYS)
    offset: timezone | None = None
    if seconds is not None:
        if type(seconds) not in (int, float) or not abs(cast(float, seconds)) < 86400:
            raise DecodeError("an offset from UTC is no number of seconds within a day")
        offset = timezone(timedelta(seconds=cast(float, seconds)))
    zone: ZoneInfo | None = None
    if name is not None:
        # The name becomes part of a path below the time zone database: plain parts only.
        if not isinstance(name, str) or _ZONE_NAME.fullmatch(name) is None:
            raise DecodeError("malformed name of a time zone")
        try:
            zone = ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            zone = None
    return offset, zone, 1 if fold == 1 else 0


_UNTAG: dict[object, Callable[[Map, int], object]] = {
    "__datetime__": _untag_datetime,
    "__Decimal__": _untag_decimal,
    "__tuple__": _untag_tuple,
    "__set__": _untag_set,
    "__tagged_set__": _untag_set,
    "__date__": _untag_date,
    "__time__": _untag_time,
    "__dict__": _untag_dict,
    # These two are in messages alone: fields of these types store them as text.
    "__UUID__": _untag_uuid,
    "__timedelta__": _untag_timedelta,
}
# 1.6 also takes a map with "__dataframe__" apart.
_TAGS: frozenset[object] = frozenset({*_UNTAG, "__dataframe__"})
