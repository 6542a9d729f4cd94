"""The evidence of records: where it stands, how it is read, and one signal more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.request import Plan, Reply, Request
from popoto.exceptions import UnsavedError
from popoto.fields.keeping.adjusting import Adjustment
from popoto.memory.commands import put, tell, told
from popoto.memory.confidence.formula import Evidence

__all__ = ["Confidence", "Learning", "data_key", "evidence_of", "filtered"]

logger = logging.getLogger("POPOTO.field")

#: Stands for None among other values of a partition, which no ordinary value looks like.
_NOTHING = "{&#0;}"


class Confidence(Protocol):
    """What is asked of a confidence field here."""

    name: str
    partition_by: tuple[str, ...]
    initial_confidence: float
    data_key: str

    def partition_key(self, values: Sequence[Any]) -> str: ...
    def get_data_hash_key(self, instance: Any, field_name: str) -> str: ...


def data_key(stem: str, values: Sequence[Any]) -> str:
    """The hash of one partition's evidence; without any value the one without partition."""
    if all(value is None for value in values):
        return stem
    # The layout of popoto 1.6, where None was left out and ":" stood for itself: both could make
    # one hash of two partitions.
    parts = [
        _NOTHING if value is None else str(value).replace(":", keys.ESCAPED_SEPARATOR)
        for value in values
    ]
    return keys.SEPARATOR.join((stem, *parts))


class Learning(Adjustment):
    """One signal for a record's confidence."""

    what = "update_confidence()"

    def __init__(
        self, instance: Any, field: Confidence, signal: float, *, lowers: bool = False
    ) -> None:
        super().__init__(instance)
        self.field = field
        self.signal = signal
        #: whether it counts only where it lowers the confidence
        self.lowers = lowers
        self.names = field.partition_by

    def missing(self, key: str) -> Exception:
        # A TypeError is the contract's answer to a record that is not stored.
        return UnsavedError(
            f"{self.what} requires a saved model instance: {key!r} is not stored any more"
        )

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        field = self.field
        put(
            batch,
            "LEARN",
            field.partition_key([values[name] for name in field.partition_by]),
            key,
            repr(self.signal),
            repr(field.initial_confidence),
            1 if self.lowers else 0,
            KeyArgument(key),
            field.name,
        )
        if hasattr(self.instance, "_event"):
            extra = {
                "field": field.name,
                "signal": self.signal,
                "new_confidence": told("learned"),
            }
            tell(batch, self.instance._event("confidence_update", key, extra=extra))

    def finish(self, replies: Sequence[Reply]) -> float:
        learned: Any = replies[0]
        confidence = float(learned[0])
        instance, name = self.instance, self.field.name
        vars(instance)[name] = confidence
        instance._stored[name] = instance._meta.by_name[name].encode(confidence)
        return confidence


def evidence_of(instance: Any, field: Confidence) -> Plan[Evidence]:
    """A record's evidence; the initial confidence where there is none. One round trip."""
    saved = instance._saved_field_values if instance._stored else {}
    values = [
        saved[name] if name in saved else getattr(instance, name) for name in field.partition_by
    ]
    (stored,) = yield Request.of(
        ("HGET", field.partition_key(values), instance.pk),
        shard=instance._meta.shard,
        repeatable=True,
    )
    return _readable(stored, instance.pk) or Evidence(field.initial_confidence)


def _readable(stored: bytes | None, record: str) -> Evidence | None:
    if stored is None:
        return None
    try:
        return Evidence.unpacked(stored)
    except ValueError as error:
        logger.warning("the evidence of %s counts as none: %s", record, error)
        return None


def filtered(model_class: Any, field: Confidence, pattern: str) -> Plan[dict[str, dict[str, Any]]]:
    """The evidence in the hash without partition, of the record keys that a pattern matches."""
    found: dict[str, dict[str, Any]] = {}
    cursor = b"0"
    while True:
        ((cursor, flat),) = yield Request.of(
            ("HSCAN", field.data_key, cursor, "MATCH", pattern, "COUNT", 1000),
            shard=model_class._meta.shard,
            repeatable=True,
        )
        pairs: list[bytes] = flat
        for key, stored in zip(pairs[::2], pairs[1::2], strict=True):
            record = key.decode("utf-8", "replace")
            evidence = _readable(stored, record)
            if evidence is not None:
                found[record] = evidence.as_dict()
        if cursor == b"0":
            return found
