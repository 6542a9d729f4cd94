"""Waiting for replicas: how many, how long, and what the server says about it. No I/O.

And how long a slot of a cluster is waited for that is on its way to another node.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from popoto._connection.resp import Reply, pack
from popoto._connection.urls import BadUrl
from popoto.exceptions import ConfigurationError

__all__ = [
    "DEFAULT_MIGRATION_TIMEOUT",
    "DEFAULT_REPLICA_TIMEOUT",
    "Wait",
    "acknowledged",
    "checked_wait",
    "fewest",
    "migration_timeout_of_url",
    "take_wait",
    "wait_of_url",
]

DEFAULT_MIGRATION_TIMEOUT: Final = 30.0
"""Seconds to wait for a slot of a cluster whose keys are moved to another node, one by one."""

DEFAULT_REPLICA_TIMEOUT: Final = 1.0
"""Seconds to wait for replicas."""


@dataclass(frozen=True, slots=True)
class Wait:
    """So many replicas have to have a write, within so many seconds. None: no waiting."""

    replicas: int
    seconds: float = DEFAULT_REPLICA_TIMEOUT

    @property
    def packed(self) -> bytes:
        """The command that waits for all that was written before on the same connection."""
        return pack([("WAIT", self.replicas, max(1, round(self.seconds * 1000)))])


def checked_wait(replicas: object, timeout: object = DEFAULT_REPLICA_TIMEOUT) -> Wait:
    """Raises ConfigurationError, which is a ValueError."""
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise ConfigurationError(
            f"wait_for_replicas is a number of replicas, 0 for none, and not {replicas!r}."
        )
    seconds = 0.0
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        seconds = float(timeout)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ConfigurationError(
            f"replica_timeout is a positive number of seconds, and not {timeout!r}."
        )
    return Wait(replicas, seconds)


def take_wait(options: dict[str, Any]) -> Wait | None:
    """Take `wait_for_replicas` and `replica_timeout` out of the options of a connection."""
    replicas = options.pop("wait_for_replicas", None)
    timeout = options.pop("replica_timeout", None)
    if replicas is None and timeout is None:
        return None
    return checked_wait(_number(replicas, int, 0), _number(timeout, float, DEFAULT_REPLICA_TIMEOUT))


def wait_of_url(options: dict[str, Any]) -> Wait | None:
    """As `take_wait`. Raises BadUrl, which tells nothing of a URL."""
    try:
        return take_wait(options)
    except ConfigurationError as error:
        raise BadUrl(
            "wait_for_replicas is a number of replicas, 0 for none, and replica_timeout a positive "
            "number of seconds"
        ) from error


def migration_timeout_of_url(options: dict[str, Any]) -> float:
    """Take `migration_timeout` out of the options of a cluster. Raises BadUrl."""
    try:
        seconds = float(options.pop("migration_timeout", DEFAULT_MIGRATION_TIMEOUT))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadUrl("migration_timeout is a number of seconds, 0 or more")
    return seconds


def _number(value: object, kind: type[int | float], default: float) -> object:
    """What stands in a URL as a number; anything else as it is, to be refused by its sight."""
    if value is None:
        return default
    try:
        return kind(value) if isinstance(value, str) else value
    except ValueError:
        return value


def acknowledged(reply: Reply) -> int:
    """How many replicas have it, as far as the answer to WAIT tells."""
    return reply if isinstance(reply, int) else 0


def fewest(replies: Sequence[Reply]) -> Reply:
    """Of several answers to WAIT, the one that counts for all that was written."""
    return min(map(acknowledged, replies), default=None)
