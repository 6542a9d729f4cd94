"""Whether an attribute may read the server by itself where that blocks a running event loop."""

from __future__ import annotations

import asyncio

from popoto.exceptions import BlockingReadError

__all__ = ["check_may_block", "set_may_block"]

_may_block = False


def set_may_block(wanted: bool) -> None:
    """Whether attributes may block event loops in this process."""
    global _may_block  # noqa: PLW0603  # a default of the process, as `configure` sets others
    _may_block = wanted


def check_may_block(what: str, instead: str) -> None:
    """Raise BlockingReadError in a thread whose event loop is running, unless that is wanted."""
    if _may_block:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingReadError(
        f"{what} would block the running event loop; nothing was read. {instead}. "
        "popoto.configure(blocking_relationships=True) lets it block, as in a notebook."
    )
