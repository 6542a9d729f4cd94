"""Where the vectors of the words of records are kept: for late interaction, see `recall`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.looking_up import lacking_in, looked_up
from popoto.engine.request import Plan
from popoto.fields.keeping.adjusting import Queued, carried_out
from popoto.fields.keeping.entries import CompanionEntry
from popoto.fields.keeping.families import KeyFamily, companion_family

__all__ = ["WordKeeper"]


@dataclass(frozen=True, slots=True)
class _WordsEntry(CompanionEntry):
    """The words of a record. As its vector, they are made anew where it is imported."""

    can_be_told: ClassVar[bool] = False


class WordKeeper:
    """The packed words of all records in one hash on the server, wherever their vectors are.

    Who compares reads those of a few candidates, so they stay there: no process holds them.
    """

    def __init__(self, model_name: str, field_name: str, shard: str) -> None:
        self._name = field_name
        self._key = keys.SEPARATOR.join(("$EmbeddingF", model_name, field_name, "words"))
        self._shard = shard

    def entry(self, key: str) -> CompanionEntry:
        """What a record has there."""
        return _WordsEntry(self._key, key, f"{self._name}:words")

    def family(self) -> KeyFamily:
        """Where that stands."""
        return companion_family(self._name, self._key, is_open=False)

    def put(self, batch: Batch, key: str, words: bytes | None) -> None:
        """Queue that a record has these words; None: that nothing is known of them."""
        if words is None:
            self.take(batch, key)
        else:
            batch.put("HSET", self._key, key, words)

    def take(self, batch: Batch, key: str) -> None:
        """Queue that a record has none."""
        batch.put("HDEL", self._key, key)

    def read(self, record_keys: Sequence[str]) -> Plan[Mapping[str, bytes]]:
        """The words of these records, as far as they have any. One round trip."""
        if not record_keys:
            return {}
        (replies,) = yield from looked_up([("HMGET", self._key, *record_keys)], self._shard)
        told: list[bytes | None] = replies
        return {key: each for key, each in zip(record_keys, told, strict=True) if each is not None}

    def lacking(self, record_keys: Sequence[str]) -> Plan[list[str]]:
        """Those of these records of whose words nothing is known. One round trip."""
        return lacking_in(self._key, record_keys, self._shard)

    def begin_anew(self, owner: Any, options: Any) -> Plan[None]:
        """Drop all words of a shard. `owner`: the model."""
        yield from carried_out([Queued(owner, "reembed()", self._drop, options)])

    def _drop(self, batch: Batch) -> None:
        batch.put("DEL", self._key)
