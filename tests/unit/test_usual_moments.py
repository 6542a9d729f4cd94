"""Datetimes read at a glance are those that `tagging` reads, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from popoto.engine.codec import DecodeError, decoder_for, encoder_for
from popoto.engine.usual_moments import usual_moment

BERLIN = ZoneInfo("Europe/Berlin")
encode, decode, decode_any = encoder_for(datetime), decoder_for(datetime), decoder_for(object)
NAIVE, OF_UTC = encode(datetime(2026, 2, 28)), encode(datetime(2026, 2, 28, tzinfo=UTC))


@given(st.datetimes(timezones=st.sampled_from([None, UTC])))
def test_moments_of_no_zone_and_of_utc_are_usual(moment: datetime) -> None:
    moment = moment.replace(fold=0)
    read = usual_moment(encode(moment))
    assert read is not None
    assert (read, read.tzinfo) == (moment, moment.tzinfo)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 2, 28, fold=1),
        datetime(2026, 2, 28, tzinfo=UTC, fold=1),
        datetime(2026, 2, 28, tzinfo=ZoneInfo("UTC")),
        datetime(2026, 2, 28, tzinfo=BERLIN),
        datetime(2026, 2, 28, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_others_are_read_by_what_knows_every_form(moment: datetime) -> None:
    assert usual_moment(encode(moment)) is None
    read = decode(encode(moment))
    assert isinstance(read, datetime)
    assert (read, read.tzinfo, read.fold) == (moment, moment.tzinfo, moment.fold)


def read_as(raw: bytes, any_type: bool) -> object:
    try:
        read = decode_any(raw) if any_type else decode(raw)
    except DecodeError as error:
        return error.reason
    if not isinstance(read, datetime):
        return None
    return read, read.tzinfo, read.fold


@given(
    st.sampled_from([NAIVE, OF_UTC]),
    st.integers(0, len(OF_UTC)),
    st.integers(0, 2),
    st.one_of(
        st.binary(max_size=2), st.sampled_from([b"9", b"30", b"W", b"T", b"\n", b"\xd9\xa0"])
    ),
)
@example(NAIVE, NAIVE.index(b"28"), 2, b"30")
@example(NAIVE, 0, 1, b"\x83")
@example(OF_UTC, 0, 1, b"\x82")
@example(NAIVE, len(NAIVE), 0, b"\n")
def test_damaged_ones_are_read_as_without_the_glance(
    raw: bytes, start: int, length: int, instead: bytes
) -> None:
    damaged = raw[:start] + instead + raw[start + length :]
    read = read_as(damaged, any_type=True)
    if usual_moment(damaged) is not None or isinstance(read, tuple):
        assert read_as(damaged, any_type=False) == read
    else:
        assert not isinstance(read_as(damaged, any_type=False), tuple)
