"""Stored bytes that nothing of ours has written, and those that were damaged."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from popoto.engine.codec import DecodeError, EncodeError, decoder_for, encoder_for

TYPES: list[type] = [
    *(object, bool, int, float, str, bytes, Decimal, list, dict, set, tuple),
    *(datetime.datetime, datetime.date, datetime.time),
]  # fmt: skip

_TAGS = [
    *("__datetime__", "__date__", "__time__", "__decimal__", "__set__", "__tuple__", "__dict__"),
    *("as_encodable", "utc_offset", "zone", "fold", "tz", "__type__", "items", "__escaped__"),
]  # fmt: skip
_payloads = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.binary(max_size=9),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=9),
    st.sampled_from(["20240506T07:08:09.123456", "20240506", "07:08:09.000001", "1e999", "NaN"]),
)
#: Maps that look like tagged values, and almost are.
planted = st.recursive(
    _payloads,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_TAGS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=6,
).map(lambda tree: msgpack.packb(tree, unicode_errors="surrogatepass"))


@given(st.sampled_from(TYPES), st.binary(max_size=80) | planted)
def test_bytes_are_a_value_of_the_type_that_can_be_stored_again_or_an_error(
    type_: type, raw: bytes
) -> None:
    try:
        value: Any = decoder_for(type_)(raw)
    except DecodeError:
        return
    assert value is None or isinstance(value, type_)
    try:
        again = encoder_for(type_)(value)
    except EncodeError:
        # What only older versions wrote, such as an empty zone.
        return
    assert encoder_for(type_)(decoder_for(type_)(again)) == again
