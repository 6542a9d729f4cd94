"""Who acts, in one place: the name that histories have beside each change."""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from functools import partial

from popoto._blocks import Block, block

__all__ = ["acting_as", "actor"]

_actor: ContextVar[str | None] = ContextVar("popoto_actor", default=None)


def actor() -> str | None:
    """Who acts in this thread or task; None where nobody has said so."""
    return _actor.get()


def acting_as(name: str) -> Block:
    """Within the block, changes of records are those of `name`: an agent, a user, a job.

    Of this thread or task alone; tasks that are started within the block begin with it. Models that
    keep a history (`Meta.history`) have it in their entries. Raises TypeError for what is no text,
    ValueError for an empty one.
    """
    given: object = name
    if not isinstance(given, str):
        raise TypeError(f"an actor is named by a text, got {name!r}")
    if not name:
        raise ValueError("an actor's name must not be empty")
    return _acting_as(name)


@partial(block, title="acting_as")
def _acting_as(name: str) -> Generator[None]:
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)
