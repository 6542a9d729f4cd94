"""When a command may be sent again, and which error a failure becomes.

A reply can be lost after the server carried the command out, and the command itself can
arrive after its repetition. Repeating a read then does no harm; repeating a write may do it
twice, or undo what came between. So a write is repeated only if it surely never reached the
server whole; else the error says that the outcome is unknown. `repeatable` are reads, and what
changes nothing that anybody could miss. They too are not sent again where no reply came in time:
the server may be busy with them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

import redis.exceptions
from redis.commands import READ_COMMANDS

from popoto.exceptions import NothingWrittenError, OutcomeUnknownError, OutcomeUnknownTimeoutError

__all__ = [
    "PATIENCE",
    "REPEATS",
    "after_others",
    "after_refusal",
    "all_in_use",
    "broken_watch",
    "connect_failure",
    "connect_pause",
    "half_sent",
    "is_connect_failure",
    "is_read",
    "is_time_out",
    "lost_reply",
    "may_send_again",
    "waiting_pause",
]

REPEATS: Final = 2
"""How often a command that may be repeated is sent again after a lost reply."""

PATIENCE: Final = 5.0
"""Seconds to wait for a server that says it is loading, or a cluster that is settling."""

_REFUSED_PAUSES: Final = (0.05, 0.15)

_NOTHING_SENT: Final = "Nothing was sent."

# redis-py lists what may be sent to a replica; that leaves out reads that name no key.
_READS: Final = (
    frozenset(READ_COMMANDS)
    | {
        "BITFIELD_RO",
        "COMMAND",
        "ECHO",
        "GEORADIUS_RO",
        "GEORADIUSBYMEMBER_RO",
        "INFO",
        "LASTSAVE",
        "MEMORY",
    }
    | {"OBJECT", "PING", "PUBSUB", "ROLE", "SORT_RO", "SUBSTR", "TIME", "TOUCH", "XINFO"}
) - {"FT.PROFILE"}
_READS_OF_A_FAMILY: Final = frozenset(
    {
        ("CLIENT", "ID"),
        ("CLIENT", "INFO"),
        ("CLIENT", "LIST"),
        ("CLUSTER", "INFO"),
        ("CLUSTER", "NODES"),
        ("CLUSTER", "SHARDS"),
        ("CLUSTER", "SLOTS"),
        ("CONFIG", "GET"),
        ("SCRIPT", "EXISTS"),
        ("SCRIPT", "LOAD"),
    }
)


def is_read(command: Sequence[object]) -> bool:
    """Whether sending the command twice leaves everything as sending it once does."""
    first, _, second = _text(command[0]).upper().partition(" ")
    if first in _READS:
        return True
    if not second and len(command) > 1:
        second = _text(command[1]).upper()
    return (first, second) in _READS_OF_A_FAMILY


def _text(part: object) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


def lost_reply(error: BaseException, url: str, *, repeatable: bool) -> redis.exceptions.RedisError:
    """The error for a connection that failed after something was sent."""
    timed_out = is_time_out(error)
    what = "No reply came in time" if timed_out else "The connection failed before the reply came"
    detail = _detail(error)
    if repeatable:
        text = f"{what} from {url}: {detail}"
        return (
            redis.exceptions.TimeoutError(text)
            if timed_out
            else redis.exceptions.ConnectionError(text)
        )
    text = (
        f"{what} from {url}: {detail}. The command had been sent, so it may or may not have been "
        "carried out. Look at the stored data before repeating it."
    )
    return OutcomeUnknownTimeoutError(text) if timed_out else OutcomeUnknownError(text)


def connect_failure(error: BaseException, url: str) -> NothingWrittenError:
    """The error for a server that cannot be reached."""
    return NothingWrittenError(
        f"Cannot reach the server at {url}: {_detail(error)}. {_NOTHING_SENT} "
        "Start a server there, set REDIS_URL to another one, or use the embedded one: "
        "pip install 'popoto[embedded]' and REDIS_URL=embedded://"
    )


def brief(error: Exception) -> Exception:
    """An error of redis-py without its way through redis-py, and without the tries before it.

    They would say the same several times over. `__context__` still has what the system said.
    """
    error.__suppress_context__ = True
    return error.with_traceback(None)


def half_sent(error: BaseException, url: str) -> NothingWrittenError:
    """The error for a single command of which the server cannot have received the end."""
    return NothingWrittenError(
        f"The connection to {url} failed before the command was sent whole: {_detail(error)}. "
        "Nothing was written."
    )


def _detail(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def all_in_use(limit: int, url: str, seconds: float | None) -> NothingWrittenError:
    """The error for having waited in vain for one of the connections in use."""
    return NothingWrittenError(
        f"All {limit} connections to {url} stayed in use for {seconds or 0.0:g} s. "
        f"{_NOTHING_SENT} Raise max_connections."
    )


def is_connect_failure(error: BaseException) -> bool:
    """Whether the server was not reached, as opposed to reached and unwilling."""
    if isinstance(error, NothingWrittenError):
        return False
    refusals = (
        redis.exceptions.AuthenticationError,
        redis.exceptions.AuthorizationError,
        redis.exceptions.BusyLoadingError,
        redis.exceptions.MaxConnectionsError,
    )
    failures = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
    return isinstance(error, failures) and not isinstance(error, refusals)


def may_send_again(failures: int, *, sent: bool, repeatable: bool, timed_out: bool = False) -> bool:
    """Whether a command that has failed so often may be sent once more.

    `sent` says that the server may have carried it out the last time, `timed_out` that it may
    be carrying it out still.
    """
    return failures <= REPEATS and (not sent or (repeatable and not timed_out))


def is_time_out(error: BaseException) -> bool:
    """Whether the server took too long, as opposed to being gone."""
    return isinstance(error, (TimeoutError, redis.exceptions.TimeoutError))


def after_refusal(error: NothingWrittenError, *, repeatable: bool) -> redis.exceptions.RedisError:
    """The error for a request that a server refused, and that could not be sent again then."""
    if repeatable:
        return redis.exceptions.ConnectionError(str(error).replace(f" {_NOTHING_SENT}", ""))
    told = "It had been refused before, so nothing was written."
    return NothingWrittenError(str(error).replace(_NOTHING_SENT, told))


def after_others(
    error: redis.exceptions.RedisError, *, repeatable: bool
) -> redis.exceptions.RedisError:
    """The error for commands of which others have been carried out before it."""
    if not isinstance(error, NothingWrittenError):
        return error
    text = str(error).replace(f" {_NOTHING_SENT}", "")
    if repeatable:
        return redis.exceptions.ConnectionError(text)
    return OutcomeUnknownError(
        f"{text} A part had been sent before and may have been carried out. "
        "Look at the stored data before repeating it."
    )


def connect_pause(error: BaseException, attempt: int, deadline: float) -> float | None:
    """Seconds to wait before connecting again, or None to give up.

    A refused connection is often a server that is just restarting. A timeout has
    used up the time that there was.
    """
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return waiting_pause(attempt, deadline)
    if not is_connect_failure(error) or isinstance(
        error, (redis.exceptions.TimeoutError, TimeoutError)
    ):
        return None
    if attempt >= len(_REFUSED_PAUSES):
        return None
    pause = _REFUSED_PAUSES[attempt] * random.uniform(0.5, 1.0)
    return pause if time.monotonic() + pause < deadline else None


def waiting_pause(attempt: int, deadline: float) -> float | None:
    """Seconds to wait for a server that will be ready soon, or None when time is up."""
    pause = min(0.02 * 2**attempt, 0.5) * random.uniform(0.5, 1.0)
    return pause if time.monotonic() + pause < deadline else None


def broken_watch(error: redis.exceptions.WatchError, url: str) -> Exception:
    """What a WatchError is when redis-py made it from a failed connection: an unknown outcome.

    Callers take a WatchError as the invitation to do the transaction again.
    """
    cause = error.__context__
    if isinstance(cause, (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)):
        return lost_reply(cause, url, repeatable=False)
    return error
