"""Whose record is written, where neither its key nor what was read tells the partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self, cast

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, Step
from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.models.record.record import Record
from popoto.models.record.stored_form import encoded_values
from popoto.models.writing.expecting import said_otherwise
from popoto.models.writing.operation import looked_up

__all__ = ["Claimed"]


class Claimed:
    """The partition that an instance says its record is of (`Meta.require_partition`).

    The commit demands that the record is of it, so this costs no round trip.
    """

    def __init__(self, instance: Record, what: str, values: Mapping[str, bytes]) -> None:
        self._instance = instance
        self._what = what
        self._values = values
        self._guard: Step | None = None

    @classmethod
    def of(cls, instance: Record, what: str, written: Collection[str] = ()) -> Self | None:
        """What is to be demanded when a record is written without having been read.

        None where its key tells the partition, where `written` has it, and of models that
        require none. `what` is done, for messages.
        """
        isolation = instance._meta.isolation
        if isolation.is_told_by_keys or instance._stored:
            return None
        names = [name for name in isolation.names if name not in written]
        # A partition is no list.
        values = cast("dict[str, bytes]", encoded_values(instance, names))
        return cls(instance, what, values) if values else None

    def put(self, batch: Batch, key: str) -> None:
        """Demand it, before anything else is."""
        self._guard = batch.guards[batch.guard_holds(key, self._values, self._values)]

    def learn(self, failure: GuardFailure, step: Step | None) -> None:
        """Raises ModelException if this has failed since the record is of another partition."""
        if step is self._guard and failure.what == "holds":
            self._check(failure.stored(self._instance._meta.hash_names))

    def look(self, key: str, queued: QueuedCommits) -> Plan[None]:
        """See it before the write is queued. Raises ModelException as `learn`. One round trip."""
        options = self._instance._meta
        (raw,) = yield from looked_up([("HMGET", key, *self._values)], options.shard)
        stored: dict[str, Any] = dict(zip(self._values, raw, strict=True))
        stored |= queued.records.get(key) or {}
        found = {name: value for name in self._values if (value := stored[name]) is not None}
        if found:
            # Else there is no such record, which is told as always.
            self._check(found)

    def _check(self, stored: Mapping[str, Stored]) -> None:
        options = self._instance._meta
        raw = cast("Mapping[str, bytes]", stored)
        same = said_otherwise(options, self._values, raw)
        if same is None:
            names = ", ".join(self._values)
            others = ", ".join(f"{name}=…" for name in (*options.key_names, *self._values))
            raise ModelException(
                f"{self._what} of {self._instance!r}, which was not read: the record that is "
                f"stored there has another {names} (Meta.require_partition); nothing was written. "
                f"Read yours by query.get({others}), or choose another key."
            )
        self._values = same
