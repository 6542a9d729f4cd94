"""What is done after an error, a lost connection or a pause. Once, for both sides.

The errors themselves, and how long to wait, are the business of `policy`.

===================== ====================================================================
`after_failure`       a connection failed under our own commands
`after_client_error`  the same, as redis-py's client or pipeline raises it
`connect_again`       a connection could not be made
`until_loaded`        every command of a pipeline met a server that is still loading
`after_refusal`       one command was refused by a server that loads, or that was demoted
===================== ====================================================================

What else happens on a cluster is decided in `redirections`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeVar

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ReadOnlyError,
    RedisError,
)

from popoto._connection import policy
from popoto._connection.refusals import refused, with_remedy
from popoto._connection.resp import Reply
from popoto._connection.steps import (
    AGAIN,
    SEEK_PRIMARY,
    Pause,
    Step,
    Steps,
)
from popoto.exceptions import NothingWrittenError

__all__ = [
    "Failure",
    "after_client_error",
    "after_failure",
    "after_refusal",
    "connect_again",
    "until_loaded",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """A connection that failed. `sent`: the server may have carried out what it was sent."""

    error: Exception
    sent: bool = True

    def may_be_repeated(self, failures: int, *, repeatable: bool) -> bool:
        """Whether what has failed so often may be sent once more."""
        return policy.may_send_again(
            failures,
            sent=self.sent,
            repeatable=repeatable,
            timed_out=policy.is_time_out(self.error),
        )


def after_failure(failure: Failure, url: str, *, repeatable: bool) -> Steps[list[Reply]]:
    """Send again as often as the policy allows; AGAIN is answered with replies or a Failure."""
    failures = 1
    was_sent = failure.sent
    while failure.may_be_repeated(failures, repeatable=repeatable):
        try:
            outcome: list[Reply] | Failure = yield AGAIN
        except (RedisError, OSError):
            # There is no connection to send it on, which says nothing of the time before.
            if not was_sent:
                raise
            break
        if not isinstance(outcome, Failure):
            return outcome
        failures += 1
        failure = outcome
        was_sent = was_sent or failure.sent
    if isinstance(failure.error, AuthenticationError):
        raise failure.error
    if not was_sent:
        raise policy.half_sent(failure.error, url) from failure.error
    raise policy.lost_reply(failure.error, url, repeatable=repeatable) from failure.error


def after_client_error(error: RedisError, url: str, *, repeatable: bool) -> Steps[T]:
    """As `after_failure`, where redis-py sends: it raises, and does not say how far it got.

    The pool has tried to connect already, so NothingWrittenError ends it.
    """
    deadline = time.monotonic() + policy.PATIENCE
    failures = 0
    lost: Failure | None = None
    while True:
        pause: float | None = 0.0
        if isinstance(error, BusyLoadingError):
            pause = policy.waiting_pause(failures, deadline)
        elif policy.is_connect_failure(error):
            lost = Failure(error)
            if not lost.may_be_repeated(failures + 1, repeatable=repeatable):
                pause = None
        else:
            pause = None
        if pause is None:
            raise _given_up(error, lost, url, is_first=failures == 0, repeatable=repeatable)
        failures += 1
        yield Pause(pause)
        try:
            result: T = yield AGAIN
        except (redis.ConnectionError, redis.TimeoutError) as next_error:
            error = next_error
        else:
            return result


def _given_up(
    error: RedisError, lost: Failure | None, url: str, *, is_first: bool, repeatable: bool
) -> RedisError:
    """What redis-py's last error becomes; `lost` is the last one after something was sent."""
    if lost is not None:
        found = policy.lost_reply(lost.error, url, repeatable=repeatable)
        found.__cause__ = lost.error
        return found
    if isinstance(error, NothingWrittenError) and not is_first:
        return policy.after_refusal(error, repeatable=repeatable)
    return with_remedy(error)


def connect_again(error: Exception, url: str, patience: float) -> Steps[None]:
    """Try to connect for a little longer, where a little longer is likely to help."""
    deadline = time.monotonic() + patience
    attempt = 0
    while (pause := policy.connect_pause(error, attempt, deadline)) is not None:
        attempt += 1
        yield Pause(pause)
        try:
            yield AGAIN
        except (RedisError, OSError) as next_error:
            error = next_error
        else:
            return
    if policy.is_connect_failure(error):
        raise policy.connect_failure(error, url) from policy.brief(error)
    raise with_remedy(error) if isinstance(error, RedisError) else error


def until_loaded(
    replies: list[Reply], *, repeatable: bool = True, again: Step = AGAIN
) -> Steps[list[Reply]]:
    """Wait for a server that says to every command that it is loading."""
    deadline = time.monotonic() + policy.PATIENCE
    attempt = 0
    while all(isinstance(reply, BusyLoadingError) for reply in replies):
        pause = policy.waiting_pause(attempt, deadline)
        if pause is None:
            break
        attempt += 1
        yield Pause(pause)
        try:
            replies = yield again
        except NothingWrittenError as error:
            raise policy.after_refusal(error, repeatable=repeatable) from error
    return replies


def after_refusal(
    error: RedisError,
    *,
    has_sentinels: bool,
    repeatable: bool = True,
    again: Step = AGAIN,
    told: list[Reply] | None = None,
) -> Steps[Reply]:
    """Wait for a server that is loading; look for the new primary; or raise.

    The reply to the one command that `again` sends. A second one, to WAIT, goes to `told`.
    """
    deadline = time.monotonic() + policy.PATIENCE
    attempt = 0
    while True:
        pause = policy.waiting_pause(attempt, deadline)
        demoted = has_sentinels and isinstance(error, ReadOnlyError)
        if pause is None or not (demoted or isinstance(error, BusyLoadingError)):
            raise refused(error, repeatable=repeatable)
        if demoted:
            yield SEEK_PRIMARY
        attempt += 1
        yield Pause(pause)
        try:
            replies: list[Reply] = yield again
        except NothingWrittenError as gone:
            raise policy.after_refusal(gone, repeatable=repeatable) from gone
        reply, *others = replies
        if not isinstance(reply, RedisError):
            if told is not None:
                told += others
            return reply
        error = reply
