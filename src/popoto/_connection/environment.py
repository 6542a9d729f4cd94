"""The server that the environment names."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from popoto._connection.replicas import with_replica
from popoto._connection.settings import Settings, from_url
from popoto.exceptions import ConfigurationError

__all__ = ["settings_of"]

_DEFAULT: Final = "redis://127.0.0.1:6379/0"


def settings_of(url: str, replica_url: str = "") -> tuple[Settings, ConfigurationError | None]:
    """The settings of REDIS_URL with REDIS_REPLICA_URL, and what is wrong with them.

    Raises ConfigurationError for a wrong one. Not in the command `popoto`: that tells of it in a
    line, and not at all where `--url` names another server.
    """
    try:
        return with_replica(from_url(url or _DEFAULT), replica_url), None
    except ConfigurationError as error:
        if not _is_the_command():
            raise
        return from_url(_DEFAULT), error


def _is_the_command() -> bool:
    if ("-m", "popoto") in pairwise(sys.orig_argv):
        return True
    return bool(sys.argv) and PurePath(sys.argv[0]).name in ("popoto", "popoto.exe")
