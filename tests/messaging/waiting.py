"""Waiting for what another connection can see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; raises TimeoutError after two minutes."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  # the server sets no asyncio.Event
            await asyncio.sleep(0.001)
