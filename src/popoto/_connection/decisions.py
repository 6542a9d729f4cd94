"""What is done after an error, a redirection, a lost connection or a pause. Once, for both sides.

The errors themselves, and how long to wait, are the business of `policy`; which node serves
what is known to `routing`.

===================== ====================================================================
`after_failure`       a connection failed under our own commands
`after_client_error`  the same, as redis-py's client or pipeline raises it
`connect_again`       a connection could not be made
`until_loaded`        every command of a pipeline met a server that is still loading
`after_refusal`       one command was refused by a server that loads, or that was demoted
`follow`              a node of a cluster did not carry a command out
`transact`            a transaction on a cluster, which may meet a slot that has moved
`learn_nodes`         who serves what in a cluster
===================== ====================================================================
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from popoto._connection import policy
from popoto._connection.refusals import refused, with_remedy
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.steps import (
    AGAIN,
    REFRESH,
    SEEK_PRIMARY,
    Ask,
    Pause,
    Step,
    Steps,
)
from popoto.exceptions import NothingWrittenError

__all__ = [
    "NOT_CARRIED_OUT",
    "UNASKED",
    "Failure",
    "after_client_error",
    "after_failure",
    "after_refusal",
    "connect_again",
    "follow",
    "learn_nodes",
    "not_carried_out",
    "of_several",
    "transact",
    "until_loaded",
]

T = TypeVar("T")

NOT_CARRIED_OUT: Final = (AskError, TryAgainError, ClusterDownError, BusyLoadingError)
"""Answers of a node that is not the one, or not yet the one, to carry a command out."""

UNASKED: Final = RedisError("not sent yet")
"""In place of the reply to a command that no node has answered yet."""

_ASKING: Final = pack([("ASKING",)])
_CLUSTER_SLOTS: Final = pack([("CLUSTER", "SLOTS")])
_MOST_REDIRECTIONS: Final = 16


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


# One server ------------------------------------------------------------------------------


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


# A cluster -------------------------------------------------------------------------------


def follow(
    topology: Topology,
    slot: int | None,
    asked: Ask,
    outcome: Reply | Failure,
    deadline: float,
    moved_by: float | None = None,
) -> Steps[Reply]:
    """The reply to a command whose first node did not carry it out, for whatever reason.

    Until `moved_by` it is tried again where the keys of its slot are on their way to another
    node; until `deadline` where a node or the cluster will be ready soon.
    """
    was_refused = not isinstance(outcome, Failure)
    moved_by = deadline if moved_by is None else moved_by
    try:
        return (yield from _followed(topology, slot, asked, outcome, deadline, moved_by))
    except NothingWrittenError as error:
        if not was_refused:
            raise
        raise policy.after_refusal(error, repeatable=asked.repeatable) from error


def _followed(
    topology: Topology,
    slot: int | None,
    asked: Ask,
    outcome: Reply | Failure,
    deadline: float,
    moved_by: float,
) -> Steps[Reply]:
    first = asked
    redirections = pauses = 0
    while redirections < _MOST_REDIRECTIONS - 1:
        if isinstance(outcome, AskError):
            redirections += 1
            # The node that redirects knows best: nobody else is asked who serves what.
            asked = replace(first, address=topology.redirected(outcome, asked.address))
            if not isinstance(outcome, MovedError):
                asked = replace(asked, data=_ASKING + first.data, count=first.count + 1)
        else:
            until = moved_by if isinstance(outcome, TryAgainError) else deadline
            pause = _pause_on_cluster(topology, outcome, pauses, until)
            if pause is None:
                break
            pauses += 1
            redirections = 0
            yield Pause(pause)
            yield REFRESH
            asked = replace(first, address=topology.node(slot))
        try:
            outcome = (yield asked)[-1]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            outcome = Failure(error)
    if isinstance(outcome, Failure):
        topology.stale = True
        raise outcome.error
    if isinstance(outcome, TryAgainError):
        return TryAgainError(
            f"{outcome}. Its keys were still on their way to another node after "
            f"{topology.migration_timeout:g} s; migration_timeout in the URL gives them longer."
        )
    return outcome


def not_carried_out(replies: Sequence[Reply], indexes: Sequence[int]) -> list[int]:
    """Those of these positions whose command another node is to carry out, or none yet."""
    return [index for index in indexes if isinstance(replies[index], NOT_CARRIED_OUT)]


def of_several(*errors: BaseException, replies: Sequence[Reply], repeatable: bool) -> BaseException:
    """The error for commands that went to several nodes, by what was answered to the others."""
    for error in errors:
        if not isinstance(error, NothingWrittenError):
            return error
    nothing = cast(NothingWrittenError, errors[0])
    if all(reply is UNASKED or isinstance(reply, NOT_CARRIED_OUT) for reply in replies):
        return nothing
    return policy.after_others(nothing, repeatable=repeatable)


def _pause_on_cluster(
    topology: Topology, outcome: Reply | Failure, attempt: int, deadline: float
) -> float | None:
    """Seconds to wait before asking again who is to carry a command out; None if nobody is."""
    if isinstance(outcome, Failure):
        # The node may be gone and another one have its slots.
        topology.stale = True
        if not isinstance(outcome.error, NothingWrittenError) or attempt >= policy.REPEATS:
            return None
    elif not isinstance(outcome, NOT_CARRIED_OUT):
        return None
    elif isinstance(outcome, ClusterDownError):
        topology.stale = True
    return policy.waiting_pause(attempt, deadline)


def transact(topology: Topology, commands: Sequence[Command], url: str) -> Steps[list[Reply]]:
    """Carry commands out as one transaction on the node of their keys. Never repeated."""
    slot = next((slot for slot in map(slot_of, commands) if slot is not None), None)
    data = pack([("MULTI",), *commands, ("EXEC",)])
    moved_by = time.monotonic() + topology.migration_timeout
    redirections = pauses = 0
    yield REFRESH
    while redirections < _MOST_REDIRECTIONS:
        asked = Ask(topology.node(slot), data, len(commands) + 2, repeatable=False)
        try:
            answers: list[Reply] = yield asked
        except NothingWrittenError as error:
            if redirections + pauses == 0:
                raise
            raise policy.after_refusal(error, repeatable=False) from error
        if topology.moved_transaction(answers, asked.address):
            redirections += 1
            continue
        # Some of the keys are on their way, and nothing was carried out.
        is_moving = any(isinstance(answer, (AskError, TryAgainError)) for answer in answers)
        pause = policy.waiting_pause(pauses, moved_by) if is_moving else None
        if pause is None:
            return _transaction_replies(answers)
        pauses += 1
        yield Pause(pause)
        yield REFRESH
    raise NothingWrittenError(
        f"The cluster at {url} redirected a transaction without end. Nothing was written."
    )


def _transaction_replies(answers: list[Reply]) -> list[Reply]:
    """The replies among the answers to MULTI, the commands and EXEC. Raises the first refusal."""
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    replies = answers[-1]
    if not isinstance(replies, list):
        raise redis.RedisError("Unexpected answer to EXEC.")
    return replies


def learn_nodes(topology: Topology, url: str) -> Steps[None]:
    """Ask one node after the other who serves what, until one says it."""
    failure: Exception | None = None
    for address in topology.candidates():
        try:
            replies: list[Reply] = yield Ask(address, _CLUSTER_SLOTS, 1, repeatable=True)
            topology.learn(replies[0], address)
            if topology.primaries:
                return
        except (RedisError, OSError) as error:
            failure = error
    # What was known before may still hold.
    if not topology.primaries:
        failure = failure or redis.ConnectionError("no node serves slots")
        raise policy.connect_failure(failure, url)
