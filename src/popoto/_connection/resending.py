"""What a demoted primary refused goes to the new one."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import ReadOnlyError, RedisError

from popoto._connection import decisions
from popoto._connection.resp import Command, Reply, pack
from popoto._connection.steps import Send, Steps, waiting
from popoto._connection.waiting import Wait, fewest

__all__ = ["resend"]


def resend(
    commands: Sequence[Command], replies: list[Reply], *, repeatable: bool, wait: Wait | None
) -> Steps[None]:
    """Send what was refused to the new primary, one by one; the replies take their places."""
    refused = [
        (at, reply)
        for at, reply in enumerate(replies[: len(commands)])
        if isinstance(reply, ReadOnlyError)
    ]
    told: list[Reply] = replies[len(commands) :] if len(refused) < len(commands) else []
    for at, error in refused:
        try:
            replies[at] = yield from decisions.after_refusal(
                error,
                has_sentinels=True,
                repeatable=repeatable,
                again=waiting(Send(pack((commands[at],)), 1, repeatable), wait),
                told=told,
            )
        except RedisError as final:
            replies[at] = final
    if refused and wait is not None:
        replies[-1] = fewest(told)
