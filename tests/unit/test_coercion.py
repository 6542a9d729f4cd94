"""What users hand in becomes a value of the field's type, or is refused with a reason."""

from __future__ import annotations

import array
import itertools
from collections import UserDict
from datetime import UTC, date, datetime, time
from decimal import Decimal, FloatOperation, localcontext
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.engine.codec import MAX_DIGITS, encoder_for
from popoto.fields.coercion import CoercionError, coerce
from popoto.fields.describing import describe

TYPES = (
    bool, int, float, str, bytes, Decimal, list, dict, set, tuple, datetime, date, time,
)  # fmt: skip
IDENTIFIER = UUID("12345678123456781234567812345678")


class Level(IntEnum):
    LOW = 1


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (int, "5", 5),
        (int, " -5 ", -5),
        (int, 5.0, 5),
        (int, b"7", 7),
        (int, bytearray(b"7"), 7),
        (int, Decimal("5.00"), 5),
        (int, Fraction(4, 2), 2),
        (float, 3, 3.0),
        (float, "1.5", 1.5),
        (float, b"1.5", 1.5),
        (float, Decimal("1.5"), 1.5),
        (float, True, 1.0),
        (float, "-inf", float("-inf")),
        (float, Decimal("Infinity"), float("inf")),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, 3, Decimal(3)),
        (Decimal, 1.1, Decimal("1.1")),
        (str, 5, "5"),
        (str, 1.5, "1.5"),
        (str, True, "True"),
        (str, IDENTIFIER, "12345678-1234-5678-1234-567812345678"),
        (str, Decimal("1.10"), "1.10"),
        (str, date(2020, 1, 2), "2020-01-02"),
        (date, "2020-01-02", date(2020, 1, 2)),
        (date, "2020-01-02T00:00:00", date(2020, 1, 2)),
        (date, b"2020-01-02", date(2020, 1, 2)),
        (date, datetime(2020, 1, 2), date(2020, 1, 2)),
        (datetime, "2020-01-02T03:04:05.5", datetime(2020, 1, 2, 3, 4, 5, 500000)),
        (datetime, "2020-01-02 03:04", datetime(2020, 1, 2, 3, 4)),
        (datetime, "2020-01-02T03:04Z", datetime(2020, 1, 2, 3, 4, tzinfo=UTC)),
        (datetime, "2020-01-02", datetime(2020, 1, 2)),
        (time, "07:30", time(7, 30)),
        (time, "07:30:01.25+00:00", time(7, 30, 1, 250000, tzinfo=UTC)),
        (str, PurePosixPath("a/b"), "a/b"),
        (bool, "true", True),
        (bool, "FALSE", False),
        (bool, "1", True),
        (bool, "0", False),
        (bool, b"true", True),
        (bool, 1, True),
        (bool, 0.0, False),
        (bytes, bytearray(b"ab"), b"ab"),
        (bytes, memoryview(b"ab"), b"ab"),
        (bytes, array.array("B", [1, 2]), b"\x01\x02"),
        (bytes, [1, 2], b"\x01\x02"),
        (list, (1, 2), [1, 2]),
        (list, range(2), [0, 1]),
        (list, {1}, [1]),
        (list, (n for n in (1, 2)), [1, 2]),
        (tuple, [1, 2], (1, 2)),
        (set, [1, 1], {1}),
        (set, frozenset({1}), {1}),
        (dict, [("a", 1), ["b", 2]], {"a": 1, "b": 2}),
        (dict, UserDict(a=1), {"a": 1}),
        (dict, MappingProxyType({"a": 1}), {"a": 1}),
        (dict, [], {}),
        (time, 7, time(7)),
    ],
)
def test_what_cannot_mean_anything_else_is_converted(
    type_: type, value: object, expected: object
) -> None:
    converted = coerce(type_, value)
    assert converted == expected
    assert type(converted) is type_


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (int, 5.7),
        (int, "2.5"),
        (int, "abc"),
        (int, ""),
        (int, [1]),
        (int, Decimal("2.5")),
        (int, Decimal("NaN")),
        (int, Decimal("sNaN")),
        (int, Decimal("1E+999999999")),
        (int, float("nan")),
        (int, float("inf")),
        (int, Fraction(1, 2)),
        (int, IDENTIFIER),
        (int, "1" * (MAX_DIGITS + 1)),
        (int, 2**64),
        (int, str(2**64)),
        (int, -(2**63) - 1),
        (float, "x"),
        (float, b"\xff"),
        (float, 10**400),
        (float, "1e999"),
        (float, Decimal("1e999")),
        (float, Decimal("sNaN")),
        (float, 1j),
        (float, []),
        (Decimal, "x"),
        (Decimal, ""),
        (Decimal, (0, (1, 2), -1)),
        (Decimal, "1" * (MAX_DIGITS + 1)),
        (Decimal, b"1"),
        (str, b"x"),
        (str, bytearray(b"x")),
        (str, [1]),
        (str, {"a": 1}),
        (str, object()),
        (str, int),
        (bool, "yes"),
        (bool, ""),
        (bool, b"\xff"),
        (bool, [1]),
        (bool, {}),
        (bool, object()),
        (bytes, 3),
        (bytes, True),
        (bytes, "x"),
        (bytes, [256]),
        (bytes, ["a"]),
        (bytes, {1: 2}),
        (list, "abc"),
        (list, b"abc"),
        (list, {"a": 1}),
        (list, 5),
        (tuple, "ab"),
        (set, "ab"),
        (set, [[]]),
        (dict, "ab"),
        (dict, ""),
        (dict, ["ab"]),
        (dict, [(1, 2, 3)]),
        (dict, [([], 1)]),
        (dict, 5),
        (date, "yesterday"),
        (date, "2020-13-02"),
        (date, "2020-01-02T09:00"),
        (date, "2020-01-02T00:00Z"),
        (date, datetime(2020, 1, 2, 3)),
        (date, datetime(2020, 1, 2, tzinfo=UTC)),
        (date, 5),
        (datetime, "2020-01-32"),
        (datetime, "now"),
        (datetime, ""),
        (datetime, date(2020, 1, 2)),
        (datetime, 0),
        (time, "7 o'clock"),
        (time, "25:00"),
        (time, "2020-01-02T07:30"),
        (time, 24),
        (time, True),
        (Level, "1"),
        (complex, "1"),
    ],
)
def test_what_loses_something_or_happens_by_accident_is_refused(type_: type, value: object) -> None:
    with pytest.raises(CoercionError) as caught:
        coerce(type_, value)
    message = str(caught.value)
    assert message.startswith(f"expected {type_.__name__}, got {type(value).__name__}")
    assert len(message) < 250


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (int, True),
        (int, Level.LOW),
        (str, Colour.RED),
        (float, float("inf")),
        (Level, Level.LOW),
        (object, object()),
    ],
)
def test_instances_of_the_type_or_a_subclass_stay_themselves(type_: type, value: object) -> None:
    assert coerce(type_, value) is value


@given(st.sampled_from(TYPES))
def test_none_passes(type_: type) -> None:
    assert coerce(type_, None) is None


def test_the_missing_time_of_pandas_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    for type_ in (date, datetime):
        with pytest.raises(CoercionError, match="point in time"):
            coerce(type_, pandas.NaT)


def test_the_decimal_context_of_the_caller_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        for trap in context.traps:
            context.traps[trap] = False
        assert coerce(Decimal, "1.2345") == Decimal("1.2345")
        with pytest.raises(CoercionError):
            coerce(Decimal, "x")
        with pytest.raises(CoercionError):
            coerce(int, Decimal("NaN"))
        context.traps[FloatOperation] = True
        assert coerce(Decimal, 0.5) == Decimal("0.5")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals() | st.dates() | st.datetimes() | st.times() | st.fractions() | st.uuids()
    | st.complex_numbers() | st.timedeltas() | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.sampled_from(TYPES), anything)
def test_the_result_has_the_type_and_nothing_but_a_coercion_error_leaks(
    type_: type, value: object
) -> None:
    try:
        result = coerce(type_, value)
    except CoercionError:
        return
    assert result is None or isinstance(result, type_)
    assert coerce(type_, result) is result


@given(st.sampled_from([int, float, bool, Decimal, bytes, datetime, date, time]), anything)
def test_what_is_accepted_for_a_scalar_can_be_stored(type_: type, value: object) -> None:
    try:
        result = coerce(type_, value)
    except CoercionError:
        return
    encoder_for(type_)(result)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Wide:
    def __repr__(self) -> str:
        return "line\nline\x00" * 1000


@given(anything)
def test_a_description_is_short_and_printable(value: object) -> None:
    text = describe(value)
    assert 0 < len(text) <= 80
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "5"),
        ("abc", "'abc'"),
        ([1, "a"], "[1, 'a']"),
        (b"ab", "b'ab'"),
        (None, "None"),
        (Broken(), "Broken"),
        pytest.param(10**5000, "bits", id="huge"),
        (Wide(), "line line"),
    ],
)
def test_a_description_shows_the_value(value: object, expected: str) -> None:
    text = describe(value)
    assert expected in text
    assert len(text) <= 80


@pytest.mark.parametrize(
    "value", ["x" * 10**7, b"x" * 10**7, [0] * 10**6, "\ud800", itertools.count(), {Broken(): 1}]
)
def test_a_description_of_anything_is_short(value: object) -> None:
    assert 0 < len(describe(value)) <= 80
