"""Orders of values: which can be ordered, what they are compared by, and what index has them."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

#: Types whose values have an order.
ORDERABLE = (
    int,
    float,
    Decimal,
    str,
    bool,
    bytes,
    list,
    tuple,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
)


class OrderIndex(NamedTuple):
    """A sorted set in the order of a field's values.

    `exact_to` is the score from which on doubles do not tell values apart; 0 = they always do.
    `may_lack` says that records without a value have no entry.
    """

    key: str
    exact_to: int
    may_lack: bool = False


def sort_key(value: Any) -> tuple[Any, ...]:
    """What values are compared by: null first (it alone has a key of one part), then by value."""
    if value is None:
        return (False,)
    if isinstance(value, datetime.datetime):
        offset = value.utcoffset()
        naive = value.replace(tzinfo=None)
        return (True, True, naive - offset if offset else naive)
    # NaN is equal to nothing, itself included; it comes before all numbers.
    return (True, value == value, value)  # noqa: PLR0124
