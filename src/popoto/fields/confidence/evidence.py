"""The evidence of records: where it stands, how it is read, and one signal more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Argument, Plan, Reply
from popoto.exceptions import UnsavedError
from popoto.fields.adapting import text_in_key
from popoto.fields.describing import describe
from popoto.fields.keeping.adjusting import Adjustment
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.shards import in_every_shard
from popoto.memory.commands import put, told
from popoto.memory.confidence.formula import Evidence

__all__ = ["Confidence", "Learning", "data_key", "evidence_of", "filtered", "readable"]

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
        _NOTHING if value is None else text_in_key(value).replace(":", keys.ESCAPED_SEPARATOR)
        for value in values
    ]
    return keys.SEPARATOR.join((stem, *parts))


class Learning(Adjustment):
    """One signal for a record's confidence."""

    what = "update_confidence()"
    cause = "update_confidence"
    takes_constructed = True

    def __init__(
        self, instance: Any, field: Confidence, signal: float, *, lowers: bool = False
    ) -> None:
        super().__init__(instance)
        self.field = field
        self.computed = (field.name,)
        self.signal = signal
        #: whether it counts only where it lowers the confidence
        self.lowers = lowers
        #: decay fields of which the confidence is the base score
        self.based = [
            each for each in instance._meta.listed("decay") if each.base_score_field == field.name
        ]
        places = (field.partition_by, *(each.partition_by for each in self.based))
        self.names = tuple(dict.fromkeys(name for names in places for name in names))

    def missing(self, key: str) -> Exception:
        # A TypeError is the contract's answer to a record that is not stored.
        return UnsavedError(
            f"{self.what} requires a saved model instance: {key!r} is not stored any more"
        )

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        self._put(batch, key, values, "")

    def put_when(self, batch: Batch, key: str, values: Mapping[str, Any], name: str) -> None:
        """As `put`, carried out only if an earlier command of the call has told `name`."""
        self._put(batch, key, values, name)

    @property
    def number_of_commands(self) -> int:
        """How many commands `put` queues. The first one's reply is for `take_over`."""
        return 2 if hasattr(self.instance, "_event") else 1

    def _put(self, batch: Batch, key: str, values: Mapping[str, Any], condition: str) -> None:
        field = self.field
        hash_key = field.partition_key([values[name] for name in field.partition_by])
        learning = (
            key,
            repr(self.signal),
            repr(field.initial_confidence),
            1 if self.lowers else 0,
            KeyArgument(key),
            field.name,
            *(
                KeyArgument(each.base_key([values[name] for name in each.partition_by]))
                for each in self.based
            ),
        )
        put_noted(
            batch,
            "confidence",
            field.name,
            key,
            "LEARN",
            hash_key,
            *learning,
            signal=self.signal,
            when=condition,
        )
        if hasattr(self.instance, "_event"):
            extra = {"field": field.name, "signal": self.signal, "new_confidence": told("learned")}
            event = self.instance._event("confidence_update", key, extra=extra)
            _put_if(batch, condition, "TELL", str(event[1]), *event[2:])

    def finish(self, replies: Sequence[Reply]) -> float:
        return self.take_over(replies[0])

    def take_over(self, reply: Reply) -> float:
        """Let the instance know what the server has learned."""
        learned: Any = reply
        confidence = float(learned[0])
        instance, name = self.instance, self.field.name
        vars(instance)[name] = confidence
        if instance._stored:
            instance._stored[name] = instance._meta.by_name[name].encode(confidence)
        return confidence


def _put_if(batch: Batch, condition: str, name: str, key: str, *arguments: Argument) -> None:
    """Queue a command, or WHEN with it."""
    if condition:
        put(batch, "WHEN", key, condition, name, *arguments)
    else:
        put(batch, name, key, *arguments)


def evidence_of(instance: Any, field: Confidence) -> Plan[Evidence]:
    """A record's evidence; the initial confidence where there is none. One round trip."""
    instance._meta.isolation.check_had(instance, "the confidence")
    saved: Mapping[str, Any] = instance._saved_field_values if instance._stored else {}
    values: list[Any] = [
        saved[name] if name in saved else getattr(instance, name) for name in field.partition_by
    ]
    (stored,) = yield from looked_up(
        [("HGET", field.partition_key(values), instance.pk)], instance._meta.shard
    )
    return readable(stored, instance.pk) or Evidence(field.initial_confidence)


def readable(stored: bytes | None, record: str) -> Evidence | None:
    """Stored evidence; None, perhaps with a warning, where there is none."""
    if stored is None:
        return None
    try:
        return Evidence.unpacked(stored)
    except ValueError as error:
        logger.warning("the evidence of %s counts as none: %s", record, error)
        return None


def filtered(model_class: Any, field: Confidence, pattern: Any) -> Plan[dict[str, dict[str, Any]]]:
    """The evidence in the hash without partition, of the record keys that a pattern matches."""
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a text such as 'User:*', got {describe(pattern)}")
    model_class._meta.isolation.check_at_large(
        "get_confidence_filtered()", "get_confidence_data(record)"
    )
    options: Any = model_class._meta
    shards = yield from in_every_shard(options, lambda each: _filtered(each.shard, field, pattern))
    return {key: evidence for found in shards for key, evidence in found.items()}


def _filtered(shard: str, field: Confidence, pattern: str) -> Plan[dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = {}
    cursor = b"0"
    while True:
        ((cursor, flat),) = yield from looked_up(
            [("HSCAN", field.data_key, cursor, "MATCH", pattern, "COUNT", 1000)], shard
        )
        pairs: list[bytes] = flat
        for key, stored in zip(pairs[::2], pairs[1::2], strict=True):
            record = key.decode("utf-8", "replace")
            evidence = readable(stored, record)
            if evidence is not None:
                found[record] = evidence.as_dict()
        if cursor == b"0":
            return found
