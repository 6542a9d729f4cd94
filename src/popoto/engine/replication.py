"""For how many replicas a write waits, and what is raised where they do not have it in time.

WAIT goes with the write, in the same round trip on the same connection. It comes after the
commit, which nothing takes back: so a plan takes over what was carried out, goes on to its end,
and the runner raises then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from popoto._blocks import Block, block
from popoto.engine.outcome import wrote_nothing
from popoto.engine.request import Reply, Request
from popoto.exceptions import NotReplicatedError
from popoto.redis_db import DEFAULT_REPLICA_TIMEOUT, Wait, acknowledged, checked_wait

__all__ = ["Shortfall", "heard", "missing", "most_demanding", "wait_for_replicas", "wanted"]

_asked_for: ContextVar[Wait | None] = ContextVar("popoto_replicas", default=None)


def wait_for_replicas(replicas: int, timeout: float = DEFAULT_REPLICA_TIMEOUT) -> Block:
    """Let every write inside the `with` block wait until so many replicas have it.

    In this thread or task and those it starts; instead of what the model and the connection
    say. 0 waits for none. `timeout` is in seconds, for each round trip that writes.

    A write that fewer replicas have in time raises `NotReplicatedError`; it is stored on the
    primary. Costs no round trip; it takes as long as the replicas do. Raises
    ConfigurationError, which is a ValueError, for a number or time that is none.
    """
    return _waiting(checked_wait(replicas, timeout))


@partial(block, title="wait_for_replicas")
def _waiting(wait: Wait) -> Generator[None]:
    token = _asked_for.set(wait)
    try:
        yield
    finally:
        _asked_for.reset(token)


def wanted(request: Request, of_connection: Wait | None) -> Wait | None:
    """What a request waits for: as the writer says, else the model, else the connection."""
    if not request.replicates or request.is_late:
        return None
    wait = _asked_for.get() or request.wait or of_connection
    return wait if wait is not None and wait.replicas else None


def most_demanding(waits: Iterable[Wait | None]) -> Wait | None:
    """One for all: the most replicas and the longest time that any of them asks for."""
    given = [wait for wait in waits if wait is not None]
    if not given:
        return None
    return Wait(max(wait.replicas for wait in given), max(wait.seconds for wait in given))


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What was missing, while a plan runs: so many replicas at least, of those waited for."""

    wait: Wait
    replicas: int

    def error(self, result: object) -> NotReplicatedError:
        """What is raised at the end."""
        return NotReplicatedError(
            f"The write was carried out, and {self.replicas} of {self.wait.replicas} replicas said "
            f"within {self.wait.seconds:g} s that they have it. It stays on the primary, and is "
            "lost only if that is lost or replaced before a replica has it. See to the replicas "
            "(INFO replication); do not write it again.",
            wanted=self.wait.replicas,
            replicas=self.replicas,
            result=result,
        )


def missing(request: Request, replies: list[Reply]) -> Shortfall | None:
    """What is missing after a request, if it waited in vain for what it has written."""
    wait, number = request.waited, request.replicas
    if wait is None or number >= wait.replicas or wrote_nothing(request, replies):
        return None
    return Shortfall(wait, number)


def heard(requests: Sequence[Request], wait: Wait, reply: Reply) -> None:
    """Let requests that waited together know how many replicas have it: the reply to WAIT."""
    number = acknowledged(reply)
    for request in requests:
        request.replicas = number if request.waited is None else min(request.replicas, number)
        request.waited = wait
