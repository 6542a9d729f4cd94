"""The keyword `tz` of fields that fill in the present moment."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from popoto.exceptions import ModelException
from popoto.fields.describing import describe


def check_zone(field: Any) -> None:
    """Refuse a `tz` that is no time zone, such as the name of one."""
    zone: object = field.tz
    if zone is not None and not isinstance(zone, datetime.tzinfo):
        raise ModelException(
            f"{type(field).__name__}(tz={describe(zone)}) is no time zone: give datetime.UTC, or "
            "zoneinfo.ZoneInfo('Europe/Berlin')"
        )


def idle_zone(field: Any) -> Iterator[str]:
    """What is to be said of a `tz` that nothing is filled in with."""
    if field.tz is not None and not (field.auto_now or field.auto_now_add):
        yield (
            f"{field.label}: tz=… is the zone of moments that auto_now or auto_now_add fill in, "
            "so it has no effect without these; values are kept with the zone that they have"
        )
