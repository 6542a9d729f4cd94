"""A field's values to stored bytes and back: one msgpack object per value.

Encoders and decoders are chosen once per field, with `encoder_for` and `decoder_for`.
Scalars are packed here; containers, and types that msgpack lacks, in `tagging`, where
the layout is described. Decoding treats its input as hostile: no code runs, extension
types are refused, depth and digits are bounded, nothing may follow the value, and the
result has the declared type.
"""

# Length: the packing of each type stands beside its unpacking, by which it is checked.

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TypeAlias, cast

import msgpack

from popoto.engine.plain import Real

from .tagging import (
    LONE_SURROGATE,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_LENGTH,
    OUT_OF_RANGE,
    PAYLOAD,
    STORABLE,
    TREES,
    DecodeError,
    EncodeError,
    Map,
    decimal_from,
    dict_of,
    exact_scalar,
    items_as_set,
    pack,
    tree_of,
    unpack,
    value_of,
    within_length,
)
from .usual_moments import usual_moment

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_INT",
    "MAX_LENGTH",
    "MIN_INT",
    "NIL",
    "DecodeError",
    "EncodeError",
    "Stored",
    "base_type",
    "decoder_for",
    "encoder_for",
    "equal_encodings",
]

#: Stored form of one field: bytes of the record's hash, or the elements of a list of its own.
Stored: TypeAlias = bytes | tuple[bytes, ...]
Encoder: TypeAlias = Callable[[object], bytes]
Decoder: TypeAlias = Callable[[bytes], object]

NIL = b"\xc0"
"""The stored form of `None`."""
MIN_INT = -(2**63)
MAX_INT = 2**64 - 1


def base_type(type_: type) -> type:
    """The storable type that `type_` is or derives from; `object` stands for all of them.

    Raises TypeError when there is none.
    """
    if type_ is object:
        return object
    for base in STORABLE:
        if issubclass(type_, base):
            return base
    raise TypeError(f"values of type {type_.__name__} have no stored form")


def encoder_for(type_: type) -> Encoder:
    """The function that turns a value of a field of type `type_` into its stored bytes.

    The declared type decides the form, so a datetime in a date field is stored as its
    date; `object` stores each value by its own type. `None` is always `NIL`.

    The returned function raises EncodeError for a value of another type, an integer
    outside -2**63 .. 2**64-1, a lone surrogate, containers deeper than `MAX_DEPTH` or
    with a value that has no stored form, a Decimal longer than `MAX_DIGITS` characters,
    a time zone without offset and name, and more than `MAX_LENGTH` bytes. It costs about
    0.1 us for a scalar and grows with the elements of a container.

    Raises TypeError when `type_` derives from no storable type.
    """
    return _ENCODERS[base_type(type_)]


def decoder_for(type_: type) -> Decoder:
    """The function that turns stored bytes into a value of a field of type `type_`.

    `None` comes back for `NIL`, whatever the type. A subclass of a storable type decodes
    to the storable type itself. Accepted besides what `encoder_for` gives is what 1.6
    leaves behind: integers, single and double floats and numeric text for each other (a
    fraction is no int, and an int becomes the nearest float), 0 and 1 for a bool, list,
    tuple and set for each other, map entries in any order, and years with fewer than
    four digits. `object` gives each value the type it was stored with.

    The returned function raises DecodeError, which carries the bytes, for anything else.

    Raises TypeError when `type_` derives from no storable type.
    """
    return _DECODERS[base_type(type_)]


def equal_encodings(type_: type, value: object) -> tuple[bytes, ...] | None:
    """Every stored form that a value equal to `value` can have in a field of type `type_`.

    The first is what `encoder_for(type_)` gives. Numbers are compared as Python does,
    and their forms are integer, double and single float, bool, and plain decimal text;
    other spellings of a number as text ("05") are not covered, and neither is a time
    whose zone has a name but no offset of its own, which Python calls equal to the same
    time without a zone. Empty when no stored value can be equal, as for NaN. None when
    the forms cannot be listed: Decimals, containers, and times with an offset.

    Raises EncodeError when `value` is not of the type, TypeError as `encoder_for`.
    """
    base = base_type(type_)
    if value is None:
        return (NIL,)
    if value.is_nan() if isinstance(value, Decimal) else value != value:  # noqa: PLR0124
        return ()
    equal = _EQUAL.get(base)
    return None if equal is None else equal(base, value)


# By hand, because a fresh packer per value costs twice as much, and one kept for all
# would be state that threads share.

# Negative numbers come last, where a negative index finds them.
_SMALL_INTS = [bytes([number % 256]) for number in (*range(128), *range(-32, 0))]
_SHORT_TEXT_HEADS = [bytes([0xA0 + size]) for size in range(32)]
_FALSE, _TRUE = b"\xc2", b"\xc3"
_pack_uint16 = struct.Struct(">BH").pack
_pack_uint32 = struct.Struct(">BI").pack
_pack_uint64 = struct.Struct(">BQ").pack
_pack_double = struct.Struct(">Bd").pack
_pack_single = struct.Struct(">Bf").pack
_unpack_single = struct.Struct(">xf").unpack


def _mismatch(type_: type, value: object) -> EncodeError:
    return EncodeError(f"expected {type_.__name__}, got {type(value).__name__}")


def _encode_str(value: object) -> bytes:
    if not isinstance(value, str):
        if value is None:
            return NIL
        raise _mismatch(str, value)
    try:
        text = str.encode(value)
    except UnicodeEncodeError as error:
        raise EncodeError(LONE_SURROGATE) from error
    size = len(text)
    if size < 32:
        return _SHORT_TEXT_HEADS[size] + text
    if size < 256:
        return b"\xd9" + size.to_bytes(1, "big") + text
    if size < 65536:
        return _pack_uint16(0xDA, size) + text
    return _pack_uint32(0xDB, size) + within_length(text)


def _encode_bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        if value is None:
            return NIL
        raise _mismatch(bytes, value)
    size = len(value)
    if size < 256:
        return b"\xc4" + size.to_bytes(1, "big") + value
    if size < 65536:
        return _pack_uint16(0xC5, size) + value
    return _pack_uint32(0xC6, size) + within_length(value)


def _encode_int(value: object) -> bytes:
    if not isinstance(value, int):
        if value is None:
            return NIL
        raise _mismatch(int, value)
    if isinstance(value, bool):  # True stays True in an int field
        return _TRUE if value else _FALSE
    if -32 <= value < 128:
        return _SMALL_INTS[value]
    if value < 0:
        return pack(exact_scalar(value))
    if value < 65536:
        return b"\xcc" + value.to_bytes(1, "big") if value < 256 else _pack_uint16(0xCD, value)
    if value <= MAX_INT:
        return _pack_uint32(0xCE, value) if value < 2**32 else _pack_uint64(0xCF, value)
    raise EncodeError(OUT_OF_RANGE)


def _encode_float(value: object) -> bytes:
    if isinstance(value, float):
        return _pack_double(0xCB, value)
    if value is None:
        return NIL
    raise _mismatch(float, value)


def _encode_bool(value: object) -> bytes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if value is None:
        return NIL
    raise _mismatch(bool, value)


def _encode_any(value: object) -> bytes:
    return pack(tree_of(value, 1))


def _tree_encoder(type_: type) -> Encoder:
    build = TREES[type_]

    def encode(value: object) -> bytes:
        if isinstance(value, type_):
            return pack(build(value, 1))
        if value is None:
            return NIL
        raise _mismatch(type_, value)

    return encode


_ENCODERS: dict[type, Encoder] = {
    object: _encode_any,
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: _encode_bytes,
    **{type_: _tree_encoder(type_) for type_ in TREES},
}


# Decoding. msgpack's own reader is faster than anything written here, also for scalars.

_UNPACK_ERRORS = (ValueError, TypeError, OverflowError, msgpack.UnpackException)


def _scalar_decoder(type_: type, convert: Callable[[object], object]) -> Decoder:
    def decode(raw: bytes) -> object:
        try:
            value = msgpack.unpackb(raw)
        except _UNPACK_ERRORS as error:
            raise DecodeError(f"not one msgpack value: {error}", raw) from error
        if type(value) is type_ or value is None:
            return value
        return _converted(type_, convert, value, raw)

    return decode


def _tree_decoder(
    type_: type,
    convert: Callable[[object], object],
    read: Callable[[object], object] = value_of,
) -> Decoder:
    def decode(raw: bytes) -> object:
        try:
            value = read(unpack(raw))
        except DecodeError as error:
            raise DecodeError(error.reason, raw) from error
        except _UNPACK_ERRORS as error:
            raise DecodeError(f"not one stored value: {error}", raw) from error
        if type(value) is type_ or value is None:
            return value
        return _converted(type_, convert, value, raw)

    return decode


def _moment_decoder(decode_any: Decoder) -> Decoder:
    def decode(raw: bytes) -> object:
        moment = usual_moment(raw)
        return decode_any(raw) if moment is None else moment

    return decode


def _converted(
    type_: type, convert: Callable[[object], object], value: object, raw: bytes
) -> object:
    try:
        return convert(value)
    except (ValueError, OverflowError) as error:
        found = type(value).__name__
        raise DecodeError(f"expected {type_.__name__}, found {found}", raw) from error


def _no_conversion(_: object) -> object:
    raise ValueError("no other stored type becomes this one")


def _to_str(value: object) -> object:
    # A raw update of popoto 1.6 stores a number as it is, and its get() reads the text.
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("no text")


def _to_int(value: object) -> object:
    if isinstance(value, str):
        value = int(value) if len(value) <= MAX_DIGITS else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and MIN_INT <= value <= MAX_INT:
        return value
    raise ValueError("no integer of 64 bits")


def _to_float(value: object) -> object:
    if isinstance(value, int) or (isinstance(value, str) and len(value) <= MAX_DIGITS):
        return float(value)
    raise ValueError("no number")


def _to_bool(value: object) -> object:
    if type(value) is int and value in (0, 1):
        return value == 1
    raise ValueError("neither true nor false")


def _to_decimal(value: object) -> object:
    if isinstance(value, int | float):
        return Decimal(value)
    return decimal_from(value)


def _elements(value: object) -> list[object]:
    if isinstance(value, list | tuple | set):
        return list(cast("list[object]", value))
    raise ValueError("no sequence")


def _any_value(value: object) -> object:
    return value


def _dict_or_value(tree: object) -> object:
    return dict_of(cast("Map", tree)) if isinstance(tree, dict) else value_of(tree)


_DECODERS: dict[type, Decoder] = {
    object: _tree_decoder(object, _any_value),
    bool: _scalar_decoder(bool, _to_bool),
    int: _scalar_decoder(int, _to_int),
    float: _scalar_decoder(float, _to_float),
    str: _scalar_decoder(str, _to_str),
    bytes: _scalar_decoder(bytes, _no_conversion),
    Decimal: _tree_decoder(Decimal, _to_decimal),
    list: _tree_decoder(list, _elements),
    dict: _tree_decoder(dict, _no_conversion, _dict_or_value),
    set: _tree_decoder(set, lambda value: items_as_set(_elements(value))),
    tuple: _tree_decoder(tuple, lambda value: tuple(_elements(value))),
    datetime: _moment_decoder(_tree_decoder(datetime, _no_conversion)),
    date: _tree_decoder(date, _no_conversion),
    time: _tree_decoder(time, _no_conversion),
}


# Forms of equal values.


def _equal_texts(base: type, value: object) -> tuple[bytes, ...]:
    try:
        return (_ENCODERS[base](value),)
    except EncodeError:
        if isinstance(value, base):  # it cannot be stored, so nothing stored equals it
            return ()
        raise


def _equal_bools(base: type, value: object) -> tuple[bytes, ...]:
    if not isinstance(value, int | float):
        raise _mismatch(base, value)
    return (_encode_bool(value == 1), _encode_int(int(value))) if value in (0, 1) else ()


def _equal_numbers(base: type, value: object) -> tuple[bytes, ...]:
    if not isinstance(value, int | float):
        raise _mismatch(base, value)
    whole = int(value) if isinstance(value, int) or value.is_integer() else None
    if whole is not None and not MIN_INT <= whole <= MAX_INT:
        whole = None
    floats = _float_forms(value)
    if (base is int and whole is None) or (base is float and not floats):
        return ()
    wholes: list[bytes] = []
    if whole is not None:
        wholes = [_encode_int(whole), _encode_str(str(whole))]
        if whole in (0, 1):
            wholes.append(_encode_bool(whole == 1))
    if base is float:
        texts = [repr(float(value))] if value else ["0.0", "-0.0"]
        return (*floats, *wholes, *map(_encode_str, texts))
    canonical = _encode_int(value if isinstance(value, int) else whole)
    return tuple(dict.fromkeys((canonical, *wholes, *floats)))


def _float_forms(value: float) -> list[bytes]:
    """Double and single forms of a number; none when no double equals it."""
    try:
        double = float(value)
    except OverflowError:
        return []
    if double != value:
        return []
    forms: list[bytes] = []
    for signed in (double, -double) if double == 0 else (double,):
        forms.append(_encode_float(signed))
        try:
            single = _pack_single(0xCA, signed)
        except OverflowError:
            continue
        if _unpack_single(single)[0] == double:
            forms.append(single)
    return forms


def _equal_moments(base: type, value: object) -> tuple[bytes, ...] | None:
    if not isinstance(value, base):
        raise _mismatch(base, value)
    if isinstance(value, datetime | time) and base is not Real.date and value.tzinfo is not None:
        return None
    naive = value.replace(fold=0) if isinstance(value, datetime | time) else value
    tree = cast("Map", TREES[base](naive, 1))
    trees = [tree]
    if isinstance(value, date) and value.year < 1000:  # as 1.6 writes such years
        trees.append({**tree, PAYLOAD: str(tree[PAYLOAD]).lstrip("0")})
    if base is not Real.date:  # equality ignores the fold
        trees += [{**each, "fold": 1} for each in list(trees)]
    if isinstance(naive, datetime | time) and base is not Real.date:  # as 1.8.2 and later write
        trees.append({**tree, PAYLOAD: naive.isoformat()})
    return tuple(dict.fromkeys(pack(each) for each in trees))


_EQUAL: dict[type, Callable[[type, object], tuple[bytes, ...] | None]] = {
    bool: _equal_bools,
    int: _equal_numbers,
    float: _equal_numbers,
    str: _equal_texts,
    bytes: _equal_texts,
    datetime: _equal_moments,
    date: _equal_moments,
    time: _equal_moments,
}
