"""Making filter or sketch anew from the records, beside writers who write to both meanwhile."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from popoto.engine.batch import Batch, GuardFailure, KeyArgument
from popoto.engine.request import Argument, Plan, Request
from popoto.exceptions import StoredDataError
from popoto.fields.fingerprints.consulting import NOT_TOLD, words_of
from popoto.memory.commands import put
from popoto.memory.hashing import new_version

__all__ = ["Renewing"]

logger = logging.getLogger("POPOTO.field")

#: What a rebuild that was killed leaves behind goes after so many seconds.
_SECONDS = 3600
#: A call stops growing here, so that it does not hold the server for long.
_MOST_ARGUMENTS = 100_000


class TakingIn(Protocol):
    """What is asked of the field here."""

    label: str
    command: str
    measure: str
    has_note: bool

    def fingerprint(self, instance: Any, key: str) -> str: ...
    def keys_beside(self, key: str) -> tuple[Argument, Argument, Argument]: ...
    def mark(self, version: int) -> bytes: ...
    def put_words(
        self,
        batch: Batch,
        key: str,
        beside: tuple[Argument, ...],
        version: int,
        words: Sequence[str],
    ) -> None: ...


class Renewing:
    """One field's words of a model, under way."""

    def __init__(self, field: TakingIn, key: str, shard: str) -> None:
        self._field = field
        self._key = key
        self._shard = shard
        self._note, building, builder = field.keys_beside(key)
        self._building, self._builder = str(building), str(builder)
        self._version = new_version()
        self._mark = field.mark(self._version)
        #: what the builder's note says as long as nobody else has begun
        self._owner = self._mark + secrets.token_hex(16).encode()
        self._is_lost = False

    def begin(self) -> Plan[None]:
        """Have every writer write to what is being made as well, from now on."""
        batch = Batch()
        batch.put("DEL", self._building)
        batch.put("SET", self._builder, self._owner, "EX", _SECONDS)
        yield Request.of(batch.call(), shard=self._shard)

    def add(self, records: Sequence[Any]) -> Plan[Sequence[tuple[str, str]]]:
        problems: list[tuple[str, str]] = []
        batch = self._batch()
        size = 0
        for record in records:
            try:
                words = words_of(self._field.fingerprint(record, record.pk))
            except (*NOT_TOLD, StoredDataError) as error:
                problems.append((record.pk, f"{self._field.label}: no fingerprint: {error}"))
                continue
            self._field.put_words(batch, self._building, (0, 0, 0), self._version, words)
            size += len(batch.commands[-1][2])
            if size > _MOST_ARGUMENTS:
                yield from self._send(batch)
                batch, size = self._batch(), 0
        yield from self._send(batch)
        return problems

    def _batch(self) -> Batch:
        batch = Batch()
        batch.guard("renewing", self._builder, self._owner)
        return batch

    def _send(self, batch: Batch) -> Plan[None]:
        if not len(batch):
            return
        for key in (self._building, self._builder):
            batch.put("EXPIRE", key, _SECONDS)
        yield from self._carry_out(batch)

    def _carry_out(self, batch: Batch) -> Plan[None]:
        if self._is_lost:
            return
        (reply,) = yield Request.of(batch.call(), shard=self._shard)
        outcome = Batch.outcome(reply)
        if isinstance(outcome, GuardFailure):
            if outcome.what != "renewing":
                raise outcome.error()
            self._is_lost = True

    def finish(self) -> Plan[Sequence[tuple[str, str]]]:
        """Put what was made in the place of the old one, in one step."""
        batch = self._batch()
        note = self._mark if self._version == 1 else b""
        put(
            batch,
            "RENEW",
            self._key,
            KeyArgument(self._building),
            KeyArgument(self._builder),
            self._note,
            note,
            self._field.measure,
        )
        yield from self._carry_out(batch)
        if not self._is_lost:
            return ()
        return [(self._key, "another rebuild has begun meanwhile and makes it anew")]
