"""Where one stored form ends and the next begins: msgpack's own library is asked."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.engine.codec import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_INT,
    MIN_INT,
    DecodeError,
    EncodeError,
    decoder_for,
    encoder_for,
    equal_encodings,
)

SIZES = [0, 1, 2, *(edge + step for edge in (32, 256, 65536) for step in (-2, -1, 0, 1, 2))]
#: Powers of two and their neighbours, both signs.
NUMBERS = sorted(
    {
        sign * (2**bits + step)
        for bits in range(64)
        for step in (-1, 0, 1)
        for sign in (1, -1)
        if sign * (2**bits + step) >= MIN_INT
    }
    | {MIN_INT, MIN_INT + 1, MAX_INT - 1, MAX_INT}
)


@pytest.mark.parametrize("size", SIZES)
def test_texts_and_bytes_of_every_length(size: int) -> None:
    for value in ("x" * size, b"x" * size):
        packed = encoder_for(type(value))(value)
        assert packed == msgpack.packb(value)
        assert decoder_for(type(value))(packed) == value


@pytest.mark.parametrize("number", NUMBERS)
def test_whole_numbers_of_every_size(number: int) -> None:
    packed = encoder_for(int)(number)
    assert packed == msgpack.packb(number)
    assert decoder_for(int)(packed) == number
    assert decoder_for(int)(msgpack.packb(str(number))) == number


@given(st.integers(-200, 70_000))
def test_small_numbers_are_as_small_as_they_can_be(number: int) -> None:
    assert encoder_for(int)(number) == msgpack.packb(number)


def test_the_limits_of_a_whole_number() -> None:
    assert (MIN_INT, MAX_INT) == (-(2**63), 2**64 - 1)
    for number in (MIN_INT - 1, MAX_INT + 1):
        with pytest.raises(EncodeError):
            encoder_for(int)(number)
        with pytest.raises(DecodeError):
            decoder_for(int)(msgpack.packb(str(number)))


def test_the_digits_of_a_number_as_text() -> None:
    longest = "0" * (MAX_DIGITS - 1) + "7"
    assert decoder_for(int)(msgpack.packb(longest)) == 7
    assert decoder_for(float)(msgpack.packb(longest)) == 7.0
    for kind in (int, float):
        with pytest.raises(DecodeError):
            decoder_for(kind)(msgpack.packb("0" + longest))


@pytest.mark.parametrize("kind", [object, list])
def test_the_depth_of_containers(kind: type) -> None:
    def nested(depth: int) -> Any:
        value: Any = []
        for _ in range(depth - 1):
            value = [value]
        return value

    deepest = nested(MAX_DEPTH)
    assert decoder_for(kind)(encoder_for(kind)(deepest)) == deepest
    with pytest.raises(EncodeError, match="64 deep"):
        encoder_for(kind)(nested(MAX_DEPTH + 1))
    with pytest.raises(DecodeError):
        decoder_for(kind)(msgpack.packb(nested(MAX_DEPTH + 1)))


# Forms of equal values --------------------------------------------------------------------------


def forms(kind: type, value: Any) -> set[Any]:
    """What each stored form is to a plain reader, with its type; singles show as floats."""
    found = equal_encodings(kind, value)
    assert found is not None
    assert found[0] == encoder_for(kind)(value) or not found
    return {(type(each), repr(each)) for each in map(msgpack.unpackb, found)}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 0, {(int, "0"), (str, "'0'"), (bool, "False"), (float, "0.0"), (float, "-0.0")}),
        (int, 1, {(int, "1"), (str, "'1'"), (bool, "True"), (float, "1.0")}),
        (int, 2, {(int, "2"), (str, "'2'"), (float, "2.0")}),
        (int, -1, {(int, "-1"), (str, "'-1'"), (float, "-1.0")}),
        (int, 2**53 + 1, {(int, str(2**53 + 1)), (str, f"'{2**53 + 1}'")}),
        (float, 0.5, {(float, "0.5"), (str, "'0.5'")}),
        (
            float,
            1.0,
            {(float, "1.0"), (int, "1"), (str, "'1'"), (str, "'1.0'"), (bool, "True")},
        ),
    ],
)
def test_every_form_of_a_number(kind: type, value: Any, expected: set[Any]) -> None:
    assert forms(kind, value) == expected
    decode = decoder_for(kind)
    for each in equal_encodings(kind, value) or ():
        assert decode(each) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, 0.5), (int, 2**64), (int, float("inf")), (int, -(2**63) - 1), (float, 2**53 + 1)],
)
def test_what_no_stored_value_equals(kind: type, value: Any) -> None:
    assert equal_encodings(kind, value) == ()


def test_a_number_beyond_all_doubles() -> None:
    assert equal_encodings(float, 10**400) == ()


def test_one_tenth_has_no_single_form() -> None:
    found = equal_encodings(float, 0.1)
    assert found is not None
    assert [each[0] for each in found] == [0xCB, 0xA3]
    half = equal_encodings(float, 0.5)
    assert half is not None
    assert [each[0] for each in half] == [0xCB, 0xCA, 0xA3]


@pytest.mark.parametrize("year", [1, 999, 1000, 1001])
def test_early_years_as_popoto_1_6_writes_them(year: int) -> None:
    """Without leading noughts, and only those that would have some."""
    for kind, value in ((date, date(year, 1, 2)), (datetime, datetime(year, 1, 2))):
        found = equal_encodings(kind, value)
        assert found is not None
        written = {msgpack.unpackb(each)["as_encodable"] for each in found}
        payloads = {each for each in written if "-" not in each}  # the others are of 1.8.2
        full = next(each for each in payloads if each.startswith(f"{year:04}"))
        assert payloads == {full, full.lstrip("0")}
        for each in found:
            assert decoder_for(kind)(each) == value
