"""What goes wrong with an embedded server."""

from __future__ import annotations

from popoto.exceptions import PopotoException

__all__ = ["EmbeddedServerError"]


class EmbeddedServerError(PopotoException):
    """The embedded server cannot be started or joined.

    The message names the directory, what the server logged last, and the remedy.
    """
