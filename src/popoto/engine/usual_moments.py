"""Datetimes in their usual forms, read at a glance: as popoto writes those of UTC or of no zone.

All of such a map is fixed but for the digits, so it need not be taken apart. Whatever looks
otherwise is left to `tagging`, which knows every form and says what is wrong with the rest.
"""

from __future__ import annotations

import re
from datetime import datetime

from popoto.engine.plain import Real

from .tagging import CLOCK

__all__ = ["usual_moment"]

_TAG_AND_TEXT = rb"\xac__datetime__\xc3\xacas_encodable\xb8([0-9]{8}T%b)" % CLOCK.encode()
_usual = re.compile(rb"\x82%b|\x83%b\xaautc_offset\x00" % (_TAG_AND_TEXT, _TAG_AND_TEXT)).fullmatch


def usual_moment(raw: bytes) -> datetime | None:
    """The datetime that these stored bytes hold in a usual form; None for all that is not one."""
    usual = _usual(raw)
    if usual is None:
        return None
    of_no_zone, of_utc = usual.groups()
    text = f"{of_utc.decode()}+00:00" if of_no_zone is None else of_no_zone.decode()
    try:
        return Real.datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return None
