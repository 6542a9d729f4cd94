"""What a decision asks to be done, and the two loops that do it.

A decision (`decisions`) is a generator. It yields one of these steps and is sent what came
of it, or has the exception raised at its `yield`. It does no I/O, so that one decision serves
threads and tasks. It starts after a failure; what goes well the first time needs none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from popoto._connection.settings import Address
from popoto._connection.waiting import Wait

__all__ = [
    "AGAIN",
    "REFRESH",
    "SEEK_PRIMARY",
    "Again",
    "Ask",
    "AskSentinels",
    "Pause",
    "Refresh",
    "SeekPrimary",
    "Send",
    "Step",
    "Steps",
    "carry_out",
    "carry_out_async",
    "waiting",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Again:
    """Do what has failed once more."""


@dataclass(frozen=True, slots=True)
class SeekPrimary:
    """Close what is idle: the sentinels are asked again when the next connection is made."""


@dataclass(frozen=True, slots=True)
class AskSentinels:
    """Ask all sentinels who the primary is.

    `is_brief`: without waiting long for those that do not answer.
    """

    is_brief: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask the nodes of the cluster who serves what, if that is not known well."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send packed commands to one node of the cluster and read `count` replies."""

    address: Address
    data: bytes
    count: int
    repeatable: bool
    blocks_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send packed commands to the one server and read `count` replies."""

    data: bytes
    count: int
    repeatable: bool
    blocks_for: float = 0.0


AGAIN: Final = Again()
SEEK_PRIMARY: Final = SeekPrimary()
REFRESH: Final = Refresh()

Step: TypeAlias = Pause | Again | SeekPrimary | AskSentinels | Refresh | Ask | Send
Steps: TypeAlias = Generator[Step, Any, T]


Sent = TypeVar("Sent", Ask, Send)


def waiting(sent: Sent, wait: Wait | None) -> Sent:
    """The same, and how many replicas have it; one more reply."""
    if wait is None:
        return sent
    blocks_for = sent.blocks_for + wait.seconds
    return replace(sent, data=sent.data + wait.packed, count=sent.count + 1, blocks_for=blocks_for)


def carry_out(steps: Steps[T], perform: Callable[[Step], object]) -> T:
    """Do the steps of a decision, and return what it decided or raise what it raises."""
    try:
        step = next(steps)
        while True:
            done: object = None
            try:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    done = perform(step)
            except Exception as error:  # noqa: BLE001 - raised again inside the decision
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def carry_out_async(steps: Steps[T], perform: Callable[[Step], Awaitable[object]]) -> T:
    """As `carry_out`. A cancellation ends the decision where it stands."""
    try:
        step = next(steps)
        while True:
            done: object = None
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    done = await perform(step)
            except Exception as error:  # noqa: BLE001 - raised again inside the decision
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as stop:
        result: T = stop.value
        return result
