"""Exit codes, and the exception for wrong use."""

from typing import Final

DONE: Final = 0
"""Carried out, or healthy."""
PROBLEMS: Final = 1
"""Carried out, but something is wrong with the data, or was left out."""
USAGE: Final = 2
"""The command cannot be carried out as written."""
UNREACHABLE: Final = 3
"""The server does not answer."""
INTERRUPTED: Final = 130
"""Ctrl-C."""


class UsageProblem(Exception):
    """A command that cannot be carried out as written. The message tells the remedy."""
