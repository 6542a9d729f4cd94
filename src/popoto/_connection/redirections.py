"""What is done on a cluster after a redirection, a slot on its way, or a node that is gone.

Which node serves what is known to `routing`; how long to wait is the business of `policy`.

============= ============================================================================
`follow`      a node did not carry a command out
`transact`    a transaction, which may meet a slot that has moved
`of_several`  the error where commands went to several nodes
`learn_nodes` who serves what
============= ============================================================================
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    RedisError,
    TryAgainError,
)

from popoto._connection import policy
from popoto._connection.decisions import Failure
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.routing import Topology, slot_of
from popoto._connection.settings import Address
from popoto._connection.steps import REFRESH, Ask, Pause, Steps
from popoto.exceptions import NothingWrittenError

__all__ = [
    "NOT_CARRIED_OUT",
    "REDIRECTIONS",
    "UNASKED",
    "follow",
    "learn_nodes",
    "not_carried_out",
    "of_several",
    "transact",
]

NOT_CARRIED_OUT: Final = (AskError, TryAgainError, ClusterDownError, BusyLoadingError)
"""Answers of a node that is not the one, or not yet the one, to carry a command out."""

UNASKED: Final = RedisError("not sent yet")
"""In place of the reply to a command that no node has answered yet."""

_ASKING: Final = pack([("ASKING",)])
_CLUSTER_SLOTS: Final = pack([("CLUSTER", "SLOTS")])

REDIRECTIONS: Final = 5
"""How many in a row are followed at once. Nodes that send on further do not agree yet."""


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
    while True:
        if isinstance(outcome, AskError) and redirections < REDIRECTIONS:
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
        raise outcome.error
    if isinstance(outcome, TryAgainError):
        return TryAgainError(
            f"{outcome}. Its keys were still on their way to another node after "
            f"{topology.migration_timeout:g} s; migration_timeout in the URL gives them longer."
        )
    if isinstance(outcome, AskError):
        raise _disagreement(slot, topology.redirected(outcome, asked.address))
    return outcome


def _disagreement(slot: int | None, named: Address) -> NothingWrittenError:
    """The error for nodes that send a command on to each other for longer than is waited."""
    return NothingWrittenError(
        f"The nodes of the cluster do not agree who serves slot {slot}: each sends on to another, "
        f"the last one to {named[0]}:{named[1]}. Nothing was written. See what CLUSTER NODES says "
        "on each."
    )


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


def transact(topology: Topology, commands: Sequence[Command]) -> Steps[list[Reply]]:
    """Carry commands out as one transaction on the node of their keys. Never repeated."""
    slot = next((slot for slot in map(slot_of, commands) if slot is not None), None)
    data = pack([("MULTI",), *commands, ("EXEC",)])
    now = time.monotonic()
    redirections = pauses = 0
    was_refused = False
    yield REFRESH
    while True:
        try:
            asked = Ask(topology.node(slot), data, len(commands) + 2, repeatable=False)
            answers: list[Reply] = yield asked
        except NothingWrittenError as error:
            if not was_refused:
                raise
            raise policy.after_refusal(error, repeatable=False) from error
        was_refused = True
        moved = topology.moved_transaction(answers, asked.address)
        if moved is not None and redirections < REDIRECTIONS:
            redirections += 1
            continue
        # Nothing was carried out where one of the commands was not for this node, or not yet.
        why = next((one for one in answers if isinstance(one, NOT_CARRIED_OUT)), None)
        is_moving = moved is None and isinstance(why, (AskError, TryAgainError))
        patience = topology.migration_timeout if is_moving else policy.PATIENCE
        pause = _pause_on_cluster(topology, why, pauses, now + patience)
        if pause is None:
            if moved is not None:
                raise _disagreement(slot, moved)
            return _transaction_replies(answers)
        redirections = 0
        pauses += 1
        yield Pause(pause)
        yield REFRESH


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
