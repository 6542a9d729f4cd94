"""What is told of a request, or of a whole plan, of which a part may have been carried out.

*Nothing was written* has to be true of all that the caller asked for. The connection knows
this of one command; here it is known of several, and of what a plan has sent before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import redis.exceptions
from redis.exceptions import NoScriptError, RedisError

from popoto._connection import policy
from popoto._connection.refusals import is_refusal, kind_after_others, refused
from popoto.engine.outcome import wrote_nothing
from popoto.engine.request import Call, Reply, Request
from popoto.exceptions import (
    NothingWrittenError,
    OutcomeUnknownError,
    OutcomeUnknownTimeoutError,
    RefusedError,
)

__all__ = [
    "DISCONNECTED",
    "Story",
    "checked",
    "in_its_own_words",
    "kind_after_others",
    "not_taught",
    "of_others",
    "told",
]

#: Errors of the connection, which concern every request on it.
DISCONNECTED = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


def checked(request: Request, replies: list[Reply]) -> list[Reply]:
    """The replies to a request. Raises the first error among them."""
    for reply in replies:
        if isinstance(reply, RedisError):
            raise told(reply, request, replies)
    return replies


def told(error: RedisError, request: Request, replies: Sequence[Reply]) -> RedisError:
    """The error of a request to whose commands this was replied.

    A command that could not be sent again has its error among the replies.
    """
    is_read = not request.writes
    if all(_came_to_nothing(reply) for reply in replies):
        return not_taught(refused(error, repeatable=is_read), request)
    return policy.after_others(error, repeatable=is_read)


def _came_to_nothing(reply: Reply) -> bool:
    return isinstance(reply, (NothingWrittenError, NoScriptError)) or is_refusal(reply)


def not_taught(error: RedisError, request: Request) -> RedisError:
    """The error for a call of a script that was unknown, and that could not be sent again."""
    if not isinstance(error, NothingWrittenError) or isinstance(error, RefusedError):
        return error
    return policy.after_refusal(error, repeatable=not request.writes)


def in_its_own_words(error: RedisError) -> RedisError:
    """A refusal as the server tells it, which is of one step, where others have been written."""
    cause = error.__cause__
    return cause if isinstance(error, RefusedError) and isinstance(cause, RedisError) else error


def of_others(error: NothingWrittenError) -> str:
    """What an error says, without that nothing was sent: that is so of its own step alone."""
    return str(policy.after_others(in_its_own_words(error), repeatable=True))


class Story:
    """What a plan has done so far, so that a later failure does not deny it.

    To the plan itself an error is that of a step. What leaves the plan is that of the whole.
    """

    __slots__ = ("_has_written",)

    def __init__(self) -> None:
        self._has_written = False

    def take(self, step: Request | Call, answer: object) -> None:
        """Take note of a step that was carried out."""
        if not self._has_written and step.writes:
            replies = cast("list[Reply]", answer)
            self._has_written = isinstance(step, Call) or not wrote_nothing(step, replies)

    def told(self, error: BaseException, step: Request | Call) -> BaseException:
        """The error for a step that failed, as the plan is to know it."""
        if isinstance(error, NothingWrittenError) or not step.writes:
            return error
        # What is not known is taken for written.
        self._has_written = True
        return _unknown(error) if isinstance(step, Request) else error

    def of_all(self, error: NothingWrittenError) -> RedisError:
        """The error that a plan has ended with, as its caller is to know it."""
        if not self._has_written:
            return error
        found = in_its_own_words(error)
        if found is error:
            found = policy.after_others(error, repeatable=False)
            found.__cause__ = error.__cause__ or error
        return found


def _unknown(error: BaseException) -> BaseException:
    """The error of a write that was repeated in vain; its caller has to look at the outcome."""
    if not isinstance(error, DISCONNECTED) or isinstance(
        error, (OutcomeUnknownError, redis.exceptions.AuthenticationError)
    ):
        return error
    late = policy.is_time_out(error)
    kind = OutcomeUnknownTimeoutError if late else OutcomeUnknownError
    found = kind(f"{str(error).rstrip('.')}. It may or may not have been carried out.")
    found.__cause__ = error.__cause__ or error
    return found
