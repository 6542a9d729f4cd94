"""How popoto 1.9 and later name moments in keys: in UTC, in the ISO form, with microseconds.

Here and in popoto 1.6 it is `str()`. What follows from the values of a record is written so, and
looked for under both names.
"""

from __future__ import annotations

import datetime
from typing import Any


def later_text(value: Any) -> str | None:
    """The text by which these versions name a moment; None for what they name as we do.

    A moment without a zone has the same one as that moment in UTC.
    """
    if not isinstance(value, datetime.datetime):
        return None
    try:
        naive = in_utc(value)
    except OverflowError:
        return None
    return naive.isoformat(timespec="microseconds") + "Z"


def in_utc(value: datetime.datetime) -> datetime.datetime:
    """A moment in UTC, without a zone. One that has none is taken as it is."""
    if value.utcoffset() is None:
        return value.replace(tzinfo=None, fold=0)
    return value.astimezone(datetime.UTC).replace(tzinfo=None, fold=0)
