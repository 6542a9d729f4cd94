"""Where the embedded server listens. Starts it at the first connection, not before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from popoto import embedded
from popoto._connection.settings import Options

__all__ = ["locator"]

# One server per directory (None: in memory) and process, shared by all clients of it.
_servers: dict[str | None, embedded.EmbeddedServer] = {}
_starting = threading.Lock()


def _after_fork_in_child() -> None:
    # The parent may have been starting one. Its servers stay reachable for the child.
    global _starting  # noqa: PLW0603
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def locator(directory: str | None) -> Callable[[], Options]:
    """A function that returns the options to reach the server, started if need be."""

    def locate() -> Options:
        with _starting:
            server = _servers.get(directory)
            if server is None:
                server = _servers[directory] = embedded.start(directory)
            else:
                # It may have been killed, or this may be a fork of the process that started it.
                server.ensure_running()
            return {"path": server.socket_path}

    return locate
