"""Stored forms that are still to be prepared, and those that were."""

from __future__ import annotations


class StandIn(bytes):
    """Stands for what a value is stored as, until it is prepared: content to store, say.

    Two of them are equal where the same is to be prepared. None of them is ever written.
    """


class Prepared(bytes):
    """What was prepared, and something beside it: written even where the record holds the same."""
