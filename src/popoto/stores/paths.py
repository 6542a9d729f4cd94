"""Where a `FilesystemStore` keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

from popoto._unknown_names import warn_caller

__all__ = ["base_of"]


def base_of(given: str | os.PathLike[str] | None) -> str:
    """The absolute path of a directory that was given; without one, what the environment names."""
    named = os.environ.get("POPOTO_CONTENT_PATH") if given is None else given
    if given is not None and not os.fspath(given):
        raise ValueError("a directory is expected, and not an empty text; None is the usual one")
    path = os.fsdecode(named or Path("~", ".popoto", "content").expanduser())
    if path.startswith("~"):
        warn_caller(
            f"{path!r} is a directory named {path.partition('/')[0]} in the current one, and not "
            "your own: write the whole path, or Path(…).expanduser()"
        )
    return os.path.abspath(path)  # noqa: PTH100  # a symbolic link stays as it was named
