"""Packages that popoto can do without."""

from __future__ import annotations

import importlib.util

__all__ = ["is_installed"]


def is_installed(package: str) -> bool:
    """Whether a package can be imported. It is not imported for that."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:
        # A module that a program has put in its place, with no specification, is imported as well.
        return True
