"""Servers of `popoto.embedded` that are killed, fall silent, and come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager

import redis

from popoto.embedded import EmbeddedServer

__all__ = ["kill_server", "paused_server", "process_of", "restart_server"]

_GONE_SECONDS = 10.0


def process_of(server: EmbeddedServer) -> int:
    """The id of the server's process. One command."""
    with redis.Redis(unix_socket_path=server.socket_path) as client:
        told: dict[str, int] = client.info("server")  # pyright: ignore[reportUnknownMemberType]
    return told["process_id"]


def kill_server(server: EmbeddedServer) -> None:
    """SIGKILL; returns when the process is gone. `restart_server` brings it back.

    A server of a directory comes back by itself, too, within a second: it keeps what it has
    acknowledged. One in memory comes back empty, once somebody asks. Raises TimeoutError.
    """
    process = process_of(server)
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while _is_there(process):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Process {process} of the embedded server has survived SIGKILL")
        time.sleep(0.002)


def restart_server(server: EmbeddedServer) -> None:
    """Kill the server, and return when it answers again."""
    kill_server(server)
    server.ensure_running()


@contextmanager
def paused_server(server: EmbeddedServer) -> Generator[None]:
    """A server that is there and says nothing (SIGSTOP), for the length of the `with` block.

    What it is sent meanwhile it carries out afterwards.
    """
    process = process_of(server)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
