"""Models whose records have much beside their values, for the command line."""

from __future__ import annotations

from popoto import KeyField, Model
from tests.truth.remembering import Fact


class Noted:
    """Keeps keys of every type beside each record."""

    @classmethod
    def _companion_keys(cls, key: str) -> list[str]:
        return [f"$Note:{key}:{kind}" for kind in ("text", "hash", "list", "set", "zset", "stream")]


class Coin(Noted, Model):
    name = KeyField()


__all__ = ["Coin", "Fact"]
