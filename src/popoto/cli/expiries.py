"""Moments at which records and fields end, as lines of an export say them."""

from __future__ import annotations

import datetime
from typing import Final

from redis.exceptions import ResponseError

from popoto.cli.jsonlines import BadJson, Json

LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, in epoch seconds; no moment has a text that is later."""


def text_of_moment(milliseconds: int) -> str:
    """A moment (epoch milliseconds) in UTC, as ISO text; none is later than the year 9999."""
    seconds, rest = divmod(min(milliseconds, LAST_SECOND * 1000), 1000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.replace(microsecond=rest * 1000).isoformat(timespec="milliseconds")


def moment_of(text: Json) -> datetime.datetime | None:
    """The moment that a text in ISO form says; None for null. Raises BadJson."""
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise BadJson(f"{text!r} is no moment in ISO form") from error
    if moment.tzinfo is None:
        raise BadJson(f"{text!r} says no offset from UTC")
    return moment


def is_unknown_command(error: ResponseError) -> bool:
    """Whether the server is too old for a command."""
    return "unknown command" in str(error).lower()
