"""Stored forms that are still to be prepared, and those that were."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class StandIn(bytes):
    """Stands for what a value is stored as, until it is prepared: content to store, say.

    Two of them are equal where the same is to be prepared. None of them is ever written.
    """


class Prepared(bytes):
    """What was prepared, and something beside it: written even where the record holds the same.

    `replaced`: by record key, what that stands in place of where it is kept outside the server.
    """

    replaced: Mapping[str, Any] = MappingProxyType({})
