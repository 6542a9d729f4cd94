"""Other writers, who do something at the moment that a test names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from popoto import redis_db
from popoto._connection.asynchronous import AsyncClusterConnection
from popoto._connection.sync import ClusterConnection


def before_each_commit(patch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do `work` before each script call reaches the server, except for those of its own."""
    is_working = False

    def watching(send: Callable[..., Any]) -> Callable[..., Any]:
        def watched(connection: Any, given: Any, **options: Any) -> Any:
            nonlocal is_working
            if not is_working and _calls_a_script(given):
                is_working = True
                work()
                is_working = False
            return send(connection, given, **options)

        return watched

    servers = redis_db.SyncConnection, redis_db.AsyncConnection
    for kind in (*servers, ClusterConnection, AsyncClusterConnection):
        for name in ("call", "call_many"):
            patch.setattr(kind, name, watching(getattr(kind, name)))


def _calls_a_script(given: Any) -> bool:
    commands = [given] if isinstance(given[0], str) else given
    return any(command[0] in ("EVAL", "EVALSHA") for command in commands)


def in_each_pause(patch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do `work` whenever a writer pauses to get out of the others' way. Pauses take no time."""
    wait = asyncio.sleep

    async def async_pause(seconds: float) -> None:
        if seconds:
            work()
        await wait(0)

    patch.setattr(time, "sleep", lambda seconds: work())
    patch.setattr(asyncio, "sleep", async_pause)
