"""Values become the bytes that the contract names, and come back as they were."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from enum import IntEnum, StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.engine.codec import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_INT,
    MIN_INT,
    NIL,
    DecodeError,
    EncodeError,
    base_type,
    decoder_for,
    encoder_for,
    equal_encodings,
)

TYPES = (
    bool, int, float, str, bytes, Decimal, list, dict, set, tuple, datetime, date, time,
)  # fmt: skip
BERLIN = ZoneInfo("Europe/Berlin")

# ── What there is to store ──────────────────────────────────────────────────────────────────────

offsets = st.timedeltas(
    min_value=timedelta(hours=-23, minutes=-59), max_value=timedelta(hours=23, minutes=59)
).map(timezone)
zones = st.none() | st.just(UTC) | offsets | st.sampled_from([BERLIN, ZoneInfo("UTC")])
folds = st.sampled_from([0, 1])
datetimes = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    zones,
    folds,
)
times = st.builds(
    lambda clock, zone, fold: clock.replace(tzinfo=zone, fold=fold), st.times(), zones, folds
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars: dict[type, st.SearchStrategy[object]] = {
    bool: st.booleans(),
    int: st.integers(MIN_INT, MAX_INT),
    float: st.floats(allow_nan=False),
    str: texts | st.sampled_from(["as_encodable", "__set__", "__dict__", "x" * 300, "x" * 70000]),
    bytes: st.binary(max_size=300),
    Decimal: st.decimals(allow_nan=False),
    datetime: datetimes,
    date: st.dates(),
    time: times,
}
# Each by its own type: 1, True and 1.0 are one key.
keys = st.recursive(
    texts | st.sampled_from(["as_encodable", "__set__", "__Decimal__", "__dict__"])
    | st.integers(MIN_INT, MAX_INT) | st.binary(max_size=5) | st.none() | scalars[Decimal]
    | scalars[date],
    lambda inner: st.tuples(inner, inner),
    max_leaves=3,
)  # fmt: skip
values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.one_of(*scalars.values()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(keys, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
look_alikes = st.fixed_dictionaries(
    {"as_encodable": values},
    optional={name: st.just(True) for name in ("__set__", "__dict__", "__Decimal__", "__time__")},
)
fields: dict[type, st.SearchStrategy[object]] = {
    **scalars,
    list: st.lists(values | look_alikes, max_size=5),
    dict: st.dictionaries(keys, values | look_alikes, max_size=5) | look_alikes,
    set: st.sets(keys, max_size=5),
    tuple: st.lists(values | look_alikes, max_size=5).map(tuple),
}
typed_values = st.sampled_from(TYPES).flatmap(
    lambda type_: st.tuples(st.just(type_), fields[type_])
)


def shape(value: object) -> object:
    """A value with what `==` overlooks: types, the sign of zero, offsets and folds."""
    if isinstance(value, list | tuple):
        return (type(value), [shape(item) for item in value])
    if isinstance(value, dict):
        return [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, set):
        return {repr(item): shape(item) for item in value}
    if isinstance(value, datetime | time):
        return (type(value), value.isoformat(), value.utcoffset(), value.fold)
    return (type(value), repr(value))


def stored(type_: type, value: object) -> object:
    return decoder_for(type_)(encoder_for(type_)(value))


# ── The published bytes ─────────────────────────────────────────────────────────────────────────


def tagged(marker: str, rest: str) -> bytes:
    return b"\x82" + msgpack.packb(marker) + b"\xc3\xac" + b"as_encodable" + bytes.fromhex(rest)


PUBLISHED: list[tuple[type, object, bytes]] = [
    (str, "cat/dog", bytes.fromhex("a7 63 61 74 2f 64 6f 67")),
    (int, -7, b"\xf9"),
    (str, None, b"\xc0"),
    (str, "s", b"\xa1s"),
    (float, 4.25, bytes.fromhex("cb 40 11 00 00 00 00 00 00")),
    (float, 4.0, bytes.fromhex("cb 40 10 00 00 00 00 00 00")),
    (int, 4, b"\x04"),
    (bool, True, b"\xc3"),
    (bool, False, b"\xc2"),
    (int, True, b"\xc3"),
    (bytes, b"\x00\xff", bytes.fromhex("c4 02 00 ff")),
    (list, ["ball", 1], bytes.fromhex("92 a4 62 61 6c 6c 01")),
    (dict, {"a": 1}, bytes.fromhex("81 a1 61 01")),
    (dict, {1: None, b"k": 2.5}, bytes.fromhex("82 01 c0 c4 01 6b cb 40 04 00 00 00 00 00 00")),
    (Decimal, Decimal("9.90"), tagged("__Decimal__", "a4 39 2e 39 30")),
    (set, {"r"}, tagged("__set__", "91 a1 72")),
    (tuple, (1, 2.5), tagged("__tuple__", "92 01 cb 40 04 00 00 00 00 00 00")),
    (
        tuple,
        (52.5, 13.4),
        tagged("__tuple__", "92 cb 40 4a 40 00 00 00 00 00 cb 40 2a cc cc cc cc cc cd"),
    ),
    (date, date(2020, 2, 29), tagged("__date__", "a8 32 30 32 30 30 32 32 39")),
    (date, datetime(2020, 2, 29, 7, 8), tagged("__date__", "a8 32 30 32 30 30 32 32 39")),
    (time, time(7, 30), tagged("__time__", "af" + b"07:30:00.000000".hex())),
    (
        datetime,
        datetime(2024, 5, 6, 7, 8, 9, 123456),
        tagged("__datetime__", "b8" + b"20240506T07:08:09.123456".hex()),
    ),
    (int, 0, b"\x00"),
    (int, 127, b"\x7f"),
    (int, 128, bytes.fromhex("cc 80")),
    (int, -1, b"\xff"),
    (int, -32, b"\xe0"),
    (int, -33, bytes.fromhex("d0 df")),
    (int, 256, bytes.fromhex("cd 01 00")),
    (int, 65536, bytes.fromhex("ce 00 01 00 00")),
    (int, 2**32, bytes.fromhex("cf 00 00 00 01 00 00 00 00")),
    (int, -(2**63), bytes.fromhex("d3 80 00 00 00 00 00 00 00")),
    (int, 2**64 - 1, b"\xcf" + b"\xff" * 8),
    (str, "x" * 40, b"\xd9\x28" + b"x" * 40),
    (str, "x" * 300, b"\xda\x01\x2c" + b"x" * 300),
    (bytes, b"x" * 300, b"\xc5\x01\x2c" + b"x" * 300),
    (str, "", b"\xa0"),
    (bytes, b"", b"\xc4\x00"),
    (list, [], b"\x90"),
    (dict, {}, b"\x80"),
    (
        object,
        (1, 2),
        bytes.fromhex("82 a9 5f5f7475706c655f5f c3 ac 61735f656e636f6461626c65 92 01 02"),
    ),
]


@pytest.mark.parametrize(("type_", "value", "raw"), PUBLISHED)
def test_stored_bytes_are_the_published_ones(type_: type, value: object, raw: bytes) -> None:
    assert encoder_for(type_)(value) == raw
    expected = value.date() if type_ is date and isinstance(value, datetime) else value
    assert decoder_for(type_)(raw) == expected


@given(st.sampled_from([int, float, str, bytes, bool]).flatmap(lambda type_: scalars[type_]))
def test_scalars_have_the_bytes_of_msgpack(value: object) -> None:
    assert encoder_for(type(value))(value) == msgpack.packb(value)


@given(st.sampled_from(TYPES))
def test_none_has_one_form_in_every_type(type_: type) -> None:
    assert encoder_for(type_)(None) == NIL
    assert decoder_for(type_)(NIL) is None
    assert equal_encodings(type_, None) == (NIL,)


# ── Round trips ─────────────────────────────────────────────────────────────────────────────────


@given(typed_values)
def test_every_value_comes_back_as_it_was(typed: tuple[type, object]) -> None:
    type_, value = typed
    expected = value.date() if type_ is date and isinstance(value, datetime) else value
    assert shape(stored(type_, value)) == shape(expected)


@given(values | look_alikes)
def test_a_value_stored_by_its_own_type_comes_back(value: object) -> None:
    assert shape(stored(object, value)) == shape(value)


@given(typed_values)
def test_encoding_does_not_change_the_value(typed: tuple[type, object]) -> None:
    type_, value = typed
    before = shape(value)
    encoder_for(type_)(value)
    assert shape(value) == before


@given(st.lists(keys, max_size=6, unique=True))
def test_equal_sets_have_equal_bytes(items: list[object]) -> None:
    assert encoder_for(set)(set(items)) == encoder_for(set)(
        dict.fromkeys(reversed(items)).keys() | set()
    )


def test_nan_is_stored() -> None:
    restored = stored(float, math.nan)
    assert isinstance(restored, float)
    assert math.isnan(restored)
    assert str(stored(Decimal, Decimal("NaN"))) == "NaN"


def test_a_signaling_nan_is_read_where_it_was_stored_and_not_stored_any_more() -> None:
    raw = encoder_for(Decimal)(Decimal("NaN")).replace(b"\xa3NaN", b"\xa4sNaN")
    assert str(decoder_for(Decimal)(raw)) == "sNaN"
    for value in (Decimal("sNaN"), Decimal("-sNaN7")):
        with pytest.raises(EncodeError, match="signaling"):
            encoder_for(Decimal)(value)


def test_a_zone_keeps_its_name_where_its_offset_still_holds() -> None:
    summer = datetime(2024, 7, 1, 12, tzinfo=BERLIN)
    assert stored(datetime, summer).tzinfo is BERLIN  # type: ignore[attr-defined]
    raw = encoder_for(datetime)(summer).replace(b"\xcd\x1c\x20", b"\xcd\x0e\x10")
    moved = decoder_for(datetime)(raw)
    assert moved == datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=1)))


def test_a_zone_unknown_here_leaves_the_offset() -> None:
    raw = encoder_for(datetime)(datetime(2024, 7, 1, 12, tzinfo=BERLIN))
    restored = decoder_for(datetime)(raw.replace(b"Europe/Berlin", b"Europe/Nowher"))
    assert restored == datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def test_a_time_keeps_a_zone_that_gives_it_no_offset() -> None:
    assert stored(time, time(7, 30, tzinfo=BERLIN)).tzinfo is BERLIN  # type: ignore[attr-defined]


def test_both_sides_of_a_repeated_hour_stay_apart() -> None:
    early = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
    late = early.replace(fold=1)
    assert encoder_for(datetime)(early) != encoder_for(datetime)(late)
    assert stored(datetime, late).utcoffset() == timedelta(hours=1)  # type: ignore[attr-defined]


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


def test_subclasses_are_stored_as_the_type_they_extend() -> None:
    assert encoder_for(str)(Colour.RED) == b"\xa3red"
    assert encoder_for(int)(Level.LOW) == b"\x01"
    assert encoder_for(Level)(Level.LOW) == b"\x01"
    assert encoder_for(dict)({Colour.RED: [Level.LOW]}) == encoder_for(dict)({"red": [1]})
    assert stored(Point, Point(1, 2)) == (1, 2)
    assert stored(list, [Point(1, 2)]) == [(1, 2)]


def test_the_context_of_the_caller_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        for trap in context.traps:
            context.traps[trap] = False
        assert stored(Decimal, Decimal("12345.678")) == Decimal("12345.678")
        with pytest.raises(DecodeError):
            decoder_for(Decimal)(tagged("__Decimal__", "a1 78"))


# ── What cannot be stored ───────────────────────────────────────────────────────────────────────


def nested(levels: int, innermost: object = 1) -> object:
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


cycle: list[object] = []
cycle.append(cycle)


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        (int, 2**64, "outside"),
        (int, -(2**63) - 1, "outside"),
        (list, [2**64], "outside"),
        (dict, {"a": {2**64}}, "outside"),
        (str, "\ud800", "surrogate"),
        (list, ["\ud800"], "surrogate"),
        (list, nested(MAX_DEPTH + 1), "deep"),
        (list, cycle, "deep"),
        (list, [object()], "object"),
        (dict, {"a": frozenset()}, "frozenset"),
        (Decimal, Decimal("1" * (MAX_DIGITS + 1)), "longer"),
        (int, "5", "expected int, got str"),
        (int, 1.5, "expected int, got float"),
        (float, 1, "expected float"),
        (bool, 1, "expected bool"),
        (str, 5, "expected str"),
        (bytes, "x", "expected bytes"),
        (datetime, date(2020, 1, 1), "expected datetime"),
        (list, (1,), "expected list"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_a_reason(
    type_: type, value: object, reason: str
) -> None:
    with pytest.raises(EncodeError, match=reason):
        encoder_for(type_)(value)


def test_an_extension_object_of_msgpack_is_stored_as_the_tuple_it_is() -> None:
    assert stored(list, [msgpack.ExtType(1, b"")]) == [(1, b"")]


@pytest.mark.parametrize("innermost", [1, (1,), {(1,): 2}, {(1,)}])
def test_the_deepest_container_that_is_stored_can_be_read(innermost: object) -> None:
    value = nested(MAX_DEPTH - 2, innermost)
    assert stored(list, value) == value


def test_a_type_without_a_stored_form_has_no_codec() -> None:
    for choose in (encoder_for, decoder_for, base_type):
        with pytest.raises(TypeError, match="complex"):
            choose(complex)


# ── What 1.6 leaves behind ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        (float, b"\x04", 4.0),
        (float, bytes.fromhex("ca 41 28 00 00"), 10.5),
        (float, b"\xa31.5", 1.5),
        (int, bytes.fromhex("cb 40 10 00 00 00 00 00 00"), 4),
        (int, bytes.fromhex("ca 40 80 00 00"), 4),
        (int, b"\xa212", 12),
        (bool, b"\x01", True),
        (Decimal, b"\xa41.10", Decimal("1.10")),
        (Decimal, b"\x05", Decimal(5)),
        (
            Decimal,
            b"\x82\xacas_encodable\xa511.75\xab__Decimal__\xc3",
            Decimal("11.75"),
        ),
        (tuple, b"\x92\x01\x02", (1, 2)),
        (list, tagged("__tuple__", "92 01 02"), [1, 2]),
        (set, b"\x92\x01\x02", {1, 2}),
        (set, tagged("__set__", "91 92 01 02"), {(1, 2)}),
        (dict, b"\x81\x92\x01\x02\x03", {(1, 2): 3}),
        (dict, tagged("__set__", "91 01"), {"__set__": True, "as_encodable": [1]}),
        (date, tagged("__date__", "a7" + b"9991001".hex()), date(999, 10, 1)),
        (date, tagged("__date__", "a5" + b"50102".hex()), date(5, 1, 2)),
        (
            datetime,
            tagged("__datetime__", "b7" + b"9990102T03:04:05.000000".hex()),
            datetime(999, 1, 2, 3, 4, 5),
        ),
    ],
)
def test_what_the_published_package_leaves_is_read(type_: type, raw: bytes, value: object) -> None:
    decoded = decoder_for(type_)(raw)
    assert decoded == value
    assert type(decoded) is type(value)


# ── Corrupt and planted bytes ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (str, b""),
        (str, b"\xa5ab"),
        (str, b"\xa1ab"),
        (str, b"\x90"),
        (str, b"\xa1\xff"),
        (str, b"\xc4\x01a"),
        (bytes, b"\xa1a"),
        (int, b"\xa3abc"),
        (int, b"\xd9\xff" + b"1" * 255),
        (int, b"\xda\x20\x00" + b"1" * 8192),
        (int, msgpack.packb(10.5)),
        (int, msgpack.packb(math.inf)),
        (int, msgpack.packb(math.nan)),
        (int, msgpack.packb(1e19 * 2)),
        (float, b"\x90"),
        (float, b"\xa1x"),
        (bool, b"\x02"),
        (list, b"\x05"),
        (list, b"\x91" * 100 + b"\x01"),
        (list, b"\x91" * 100_000 + b"\x01"),
        (list, b"\xdd\xff\xff\xff\xff\x01"),
        (list, b"\xc7\x01\x05a"),
        (list, b"\x91\xc7\x01\x05a"),
        (list, b"\x91\xd6\xff\x00\x00\x00\x00"),
        (dict, b"\x81\xa1a\xd6\xff\x00\x00\x00\x00"),
        (dict, b"\x81\xd6\xff\x00\x00\x00\x00\x01"),
        (dict, b"\x81" + b"\x91" * 900 + b"\x01\x01"),
        (dict, b"\x81\x80\x01"),
        (dict, tagged("__dict__", "91 93 01 02 03")),
        (dict, tagged("__dict__", "91 92 80 01")),
        (dict, tagged("__dict__", "05")),
        (dict, b"\x90"),
        (set, tagged("__set__", "91 80")),
        (set, tagged("__set__", "a1 61")),
        (object, b"\xd6\xff\x00\x00\x00\x00"),
        (Decimal, tagged("__Decimal__", "a1 78")),
        (Decimal, tagged("__Decimal__", "05")),
        (Decimal, tagged("__Decimal__", "da 20 00" + "31" * 8192)),
        (Decimal, b"\x82\xab__Decimal__\xc2\xacas_encodable\xa11"),
        (Decimal, b"\x83\xab__Decimal__\xc3\xacas_encodable\xa11\xa1x\x01"),
        (date, tagged("__date__", "a8" + b"20241301".hex())),
        (date, tagged("__date__", "a8" + b"00000101".hex())),
        (date, tagged("__date__", "a8" + b"2024W011".hex())),
        (date, tagged("__datetime__", "b8" + b"20240506T07:08:09.123456".hex())),
        (datetime, tagged("__datetime__", "b8" + b"20240506T24:00:00.000000".hex())),
        (datetime, tagged("__date__", "a8" + b"20240506".hex())),
        (time, tagged("__time__", "a5" + b"07:30".hex())),
        (list, tagged("__dataframe__", "a0")),
    ],
)
def test_bytes_that_are_no_such_value_are_refused_and_kept(type_: type, raw: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decoder_for(type_)(raw)
    assert caught.value.raw == raw
    assert caught.value.reason in str(caught.value)


@pytest.mark.parametrize(
    "entries",
    [
        {"utc_offset": 86400},
        {"utc_offset": math.nan},
        {"utc_offset": 10**19},
        {"utc_offset": "2"},
        {"utc_offset": 0, "zone": "../../etc/passwd"},
        {"utc_offset": 0, "zone": "/etc/passwd"},
        {"utc_offset": 0, "zone": "a\x00b"},
        {"utc_offset": 0, "zone": "a" * 65},
        {"zone": "Europe/Nowhere"},
        {"zone": "Europe"},
        {"tz": 1},
    ],
)
def test_planted_time_zones_are_refused(entries: dict[str, object]) -> None:
    tree = {"__datetime__": True, "as_encodable": "20240506T07:08:09.123456", **entries}
    with pytest.raises(DecodeError):
        decoder_for(datetime)(msgpack.packb(tree))


@given(st.sampled_from((*TYPES, object)), st.binary(max_size=60))
def test_arbitrary_bytes_give_a_value_of_the_type_or_a_decode_error(
    type_: type, raw: bytes
) -> None:
    try:
        value = decoder_for(type_)(raw)
    except DecodeError:
        return
    assert value is None or isinstance(value, type_)


@given(st.sampled_from(TYPES), typed_values, st.data())
def test_damaged_values_give_a_value_of_the_type_or_a_decode_error(
    type_: type, typed: tuple[type, object], data: st.DataObject
) -> None:
    raw = bytearray(encoder_for(typed[0])(typed[1]))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        value = decoder_for(type_)(bytes(raw))
    except DecodeError:
        return
    assert value is None or isinstance(value, type_)
    encoder_for(type_)(value)


# ── Forms of equal values ───────────────────────────────────────────────────────────────────────

countable = st.sampled_from([bool, int, float, str, bytes, date, datetime, time]).flatmap(
    lambda type_: st.tuples(st.just(type_), fields[type_])
)
LEFT_BEHIND = [
    msgpack.packb,
    lambda number: msgpack.packb(float(number)),
    lambda number: msgpack.packb(float(number), use_single_float=True),
    lambda number: msgpack.packb(str(number)),
]


@given(countable)
def test_the_listed_forms_are_decoded_as_equal_values(typed: tuple[type, object]) -> None:
    type_, value = typed
    forms = equal_encodings(type_, value)
    if forms is None:
        assert isinstance(value, datetime | time)
        assert value.tzinfo is not None
        return
    assert len(set(forms)) == len(forms) <= 9
    expected = value.date() if type_ is date and isinstance(value, datetime) else value
    assert all(decoder_for(type_)(form) == expected for form in forms)
    assert encoder_for(type_)(value) in forms


@given(
    st.sampled_from([int, float, bool]),
    st.integers(-3, 3) | st.integers(MIN_INT, MAX_INT) | st.floats(allow_nan=False, width=32)
    | st.floats(allow_nan=False),
    st.integers(-3, 3) | st.sampled_from([-0.0, 1.5, math.inf, 2.0**53, 2**53, 2**53 + 1]),
)  # fmt: skip
def test_no_form_of_an_equal_number_is_missing(type_: type, operand: float, number: float) -> None:
    for other in (number, operand):
        for pack in LEFT_BEHIND:
            try:
                raw = pack(other)
                decoded = decoder_for(type_)(raw)
            except (DecodeError, OverflowError):
                continue
            if type_ is float and isinstance(other, int) and decoded != other:
                continue  # rounded on the way in
            try:
                forms = equal_encodings(type_, operand)
            except EncodeError:
                continue
            assert forms is not None
            assert (raw in forms) == (decoded == operand)


def test_nan_equals_nothing_stored() -> None:
    assert equal_encodings(float, math.nan) == ()
    assert equal_encodings(Decimal, Decimal("NaN")) == ()
    assert equal_encodings(Decimal, Decimal("sNaN")) == ()


def test_what_cannot_be_stored_equals_nothing_stored() -> None:
    assert equal_encodings(str, "\ud800") == ()
    assert equal_encodings(int, 2**64) == ()
    assert equal_encodings(int, 1.5) == ()
    assert equal_encodings(bool, 2) == ()


def test_both_zeros_and_both_folds_are_listed() -> None:
    assert encoder_for(float)(-0.0) in (equal_encodings(float, 0.0) or ())
    late = datetime(2024, 1, 1, fold=1)
    assert encoder_for(datetime)(late) in (equal_encodings(datetime, late.replace(fold=0)) or ())


def test_years_as_the_published_package_writes_them_are_listed() -> None:
    forms = equal_encodings(date, date(999, 10, 1)) or ()
    assert tagged("__date__", "a7" + b"9991001".hex()) in forms


@pytest.mark.parametrize(
    ("type_", "value"),
    [(Decimal, Decimal(1)), (list, []), (dict, {}), (set, set()), (tuple, ()), (object, 1)],
)
def test_forms_without_a_short_list_are_not_listed(type_: type, value: object) -> None:
    assert equal_encodings(type_, value) is None


@pytest.mark.parametrize(("type_", "value"), [(int, "5"), (str, 5), (date, "x"), (bool, [])])
def test_an_operand_of_another_type_is_refused(type_: type, value: object) -> None:
    with pytest.raises(EncodeError, match="expected"):
        equal_encodings(type_, value)
