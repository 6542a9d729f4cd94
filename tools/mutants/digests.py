"""Whether files are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

#: Of Python, and of Lua.
SUFFIXES = (".py", ".lua")


def digest(paths: Iterable[Path]) -> str:
    """A short text that is another one when code in or below these paths changed."""
    found = hashlib.sha256()
    for path in paths:
        below = path.rglob("*") if path.is_dir() else [path]
        for each in sorted(each for each in below if each.suffix in SUFFIXES):
            found.update(each.read_bytes())
    return found.hexdigest()[:16]
