"""Containers and tagged values at their limits, and bytes that only look like them."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

import msgpack
import pytest

from popoto.engine.codec import DecodeError, EncodeError, decoder_for, encoder_for
from popoto.engine.tagging import MAX_DEPTH, MAX_DIGITS, MAX_LENGTH, within_length


def test_the_limits() -> None:
    assert (MAX_DEPTH, MAX_DIGITS, MAX_LENGTH) == (64, 4300, 536_870_912)


class Sized(bytes):
    """Bytes that say how many they are."""

    size = 0

    def __len__(self) -> int:
        return self.size


def test_a_value_may_be_as_long_as_the_server_allows() -> None:
    value = Sized()
    value.size = MAX_LENGTH
    assert within_length(value) is value
    value.size = MAX_LENGTH + 1
    with pytest.raises(EncodeError, match="536870913 bytes are more than the 536870912"):
        within_length(value)


def test_a_decimal_may_be_as_long_as_a_number() -> None:
    longest = Decimal("9" * MAX_DIGITS)
    assert decoder_for(Decimal)(encoder_for(Decimal)(longest)) == longest
    with pytest.raises(EncodeError, match="4301 characters"):
        encoder_for(Decimal)(Decimal("9" * (MAX_DIGITS + 1)))


class Temperature(float):
    def __repr__(self) -> str:
        return "warm"


class Blob(bytes):
    pass


class Word(str):
    def __str__(self) -> str:
        return "another"


class Count(int):
    def __int__(self) -> int:
        return 99


def test_subclasses_of_scalars_are_stored_as_what_they_hold() -> None:
    given = [Temperature(1.5), Blob(b"x"), Word("text"), Count(5)]
    found: Any = decoder_for(list)(encoder_for(list)(given))
    assert found == [1.5, b"x", "text", 5]
    assert [type(each) for each in found] == [float, bytes, str, int]


@pytest.mark.parametrize(
    "tag", ["__dataframe__", "__set__", "__tuple__", "__Decimal__", "__dict__"]
)
def test_a_dict_that_looks_tagged_is_none(tag: str) -> None:
    """popoto 1.6 would take it for the tagged value, so it is written in another form."""
    value = {tag: True, "as_encodable": [1]}
    for kind in (dict, object, list):
        given: Any = [value] if kind is list else value
        packed = encoder_for(kind)(given)
        plain = msgpack.unpackb(packed)
        assert (plain[0] if kind is list else plain) == {
            "__dict__": True,
            "as_encodable": [[tag, True], ["as_encodable", [1]]],
        }
        assert decoder_for(kind)(packed) == given


class Nowhere(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None


class Broken(Nowhere):
    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        raise ValueError("no idea")


@pytest.mark.parametrize(
    ("zone", "reason"), [(Nowhere(), "neither an offset nor a name"), (Broken(), "no idea")]
)
def test_a_zone_that_says_nothing_cannot_be_stored(zone: tzinfo, reason: str) -> None:
    for value in (datetime(2024, 1, 1, tzinfo=zone), time(1, tzinfo=zone)):
        with pytest.raises(EncodeError, match=reason):
            encoder_for(type(value))(value)


def tagged(tag: str, payload: Any, **more: Any) -> bytes:
    return msgpack.packb({tag: True, "as_encodable": payload, **more})


MOMENT = "20240102T03:04:05.000006"
WRONG: list[tuple[type, bytes, str]] = [
    (dict, tagged("__dict__", 5), "holds no list"),
    (dict, tagged("__dict__", [[1, 2, 3]]), "other than pairs"),
    (dict, tagged("__dict__", [5]), "other than pairs"),
    (dict, tagged("__dict__", [[{}, 1]]), "unhashable key"),
    (object, tagged("__tuple__", 5), "holds no list"),
    (object, tagged("__set__", [{}]), "unhashable"),
    (set, msgpack.packb([{}]), "expected set, found list"),
    (Decimal, tagged("__Decimal__", "1e"), "not the text of a Decimal"),
    (Decimal, tagged("__Decimal__", "1" * 4301), "not the text of a Decimal"),
    (datetime, tagged("__datetime__", MOMENT + "0"), "malformed text"),
    (datetime, tagged("__datetime__", MOMENT[1:6]), "malformed text"),
    (datetime, tagged("__datetime__", MOMENT, utc_offset=True), "no number of seconds"),
    (datetime, tagged("__datetime__", MOMENT, utc_offset="1"), "no number of seconds"),
    (datetime, tagged("__datetime__", MOMENT, utc_offset=86400), "no number of seconds"),
    (datetime, tagged("__datetime__", MOMENT, utc_offset=-86400), "no number of seconds"),
    (datetime, tagged("__datetime__", MOMENT, zone="../etc/passwd"), "malformed name"),
    (datetime, tagged("__datetime__", MOMENT, zone="x" * 65), "malformed name"),
    (datetime, tagged("__datetime__", MOMENT, zone=5), "malformed name"),
    (datetime, tagged("__datetime__", MOMENT, zone="No/Where"), "unknown here"),
    (list, msgpack.packb(msgpack.ExtType(5, b"x")), "extension types"),
    (list, msgpack.packb([msgpack.ExtType(5, b"x")]), "extension types"),
]


@pytest.mark.parametrize(("kind", "raw", "reason"), WRONG)
def test_what_only_looks_like_a_value_is_refused(kind: type, raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decoder_for(kind)(raw)
    assert caught.value.raw == raw
    assert raw[:24].hex(" ") in str(caught.value)


@pytest.mark.parametrize("offset", [86399, -86399, 0.5, 0])
def test_offsets_within_a_day(offset: float) -> None:
    found: Any = decoder_for(datetime)(tagged("__datetime__", MOMENT, utc_offset=offset))
    assert found.utcoffset() == timedelta(seconds=offset)
    assert found.replace(tzinfo=None) == datetime(2024, 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("fold", [1, 0, 2, None])
def test_only_one_is_a_fold(fold: int | None) -> None:
    found: Any = decoder_for(datetime)(tagged("__datetime__", MOMENT, fold=fold))
    assert found.fold == (1 if fold == 1 else 0)


def nested(depth: int, empty: Any) -> Any:
    """Containers inside each other, all of the kind of the innermost."""
    value: Any = empty
    for _ in range(depth - 1):
        value = type(empty)([value])
    return value


def test_keys_that_are_tuples() -> None:
    for depth in (1, 2, 30):
        value = {nested(depth, ()): 1, (1, (2, "x")): 2}
        assert decoder_for(dict)(encoder_for(dict)(value)) == value
        assert decoder_for(dict)(msgpack.packb(value)) == value  # as popoto 1.6 writes it
    with pytest.raises(DecodeError, match="64 deep"):
        decoder_for(dict)(msgpack.packb({nested(65, ()): 1}))
    with pytest.raises(EncodeError, match="64 deep"):
        encoder_for(dict)({nested(65, ()): 1})


@pytest.mark.parametrize(
    "made",
    [
        lambda depth: {"x": nested(depth, [])},
        lambda depth: {nested(depth, ()): 1},
        lambda depth: {"__set__": True, "as_encodable": nested(depth, [])},
        lambda depth: {"__set__": True, "as_encodable": {nested(depth, ())}},
        lambda depth: {nested(depth, ()): {nested(depth, ())}},
    ],
)
def test_what_is_deep_and_can_be_stored_can_be_read(made: Any) -> None:
    stored = 0
    for depth in range(50, 66):
        value = made(depth)
        try:
            packed = encoder_for(dict)(value)
        except EncodeError:
            break
        stored += 1
        assert decoder_for(dict)(packed) == value
    assert 0 < stored < 16
