"""Predictions of records: noted, read, resolved."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import msgpack

from popoto import clock
from popoto.engine.batch import Batch, GuardFailure, KeyArgument, Step
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Reply
from popoto.fields.confidence.evidence import Learning
from popoto.fields.describing import describe
from popoto.fields.given import record_in
from popoto.fields.keeping.adjusting import (
    Adjustment,
    carried_out,
    key_until_then,
    waiting_beside,
)
from popoto.fields.keeping.entries import CompanionEntry
from popoto.memory.commands import put, told

__all__ = [
    "ErrorEntry",
    "Resolving",
    "auto_resolve",
    "entry_key",
    "errors_key",
    "read",
    "record",
    "resolve",
    "unpacked",
]

logger = logging.getLogger("POPOTO.field")


def entry_key(model_name: str, record: str) -> str:
    """The hash with the prediction of one record."""
    return f"$PL:{model_name}:meta:{record}"


def errors_key(model_name: str, partition: str) -> str:
    """The sorted set of absolute errors, by record key."""
    return f"$PL:{model_name}:errors:{partition}"


@dataclass(frozen=True, slots=True)
class ErrorEntry(CompanionEntry):
    """The error of a record's prediction in the set of all; `entry` is the hash that it is from."""

    entry: str = ""

    @classmethod
    def of(cls, model_name: str, partition: str, record: str) -> Self:
        """The error of one record."""
        errors, entry = errors_key(model_name, partition), entry_key(model_name, record)
        return cls(errors, record, "$PL:errors", "zset", entry=entry)

    def mend(self, batch: Batch) -> None:
        put(batch, "RENOTE", self.entry, self.member, KeyArgument(self.key))

    def look(self, batch: Batch) -> None:
        put(batch, "MISNOTED", self.entry, self.member, KeyArgument(self.key))

    def stands(self, reply: Reply) -> bool:
        return reply == 0


# Stored form -------------------------------------------------------------------------------


def packed(entry: Mapping[str, Any]) -> bytes:
    """An entry as it is stored. Raises TypeError for what MessagePack does not hold."""
    try:
        return msgpack.packb(entry)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"a prediction cannot be stored: {error}, in {describe(entry['predicted'])}"
        ) from error


def unpacked(stored: bytes) -> dict[str, Any] | None:
    """A stored entry, whatever it lacks; None, with a warning, for bytes that are no map."""
    try:
        found: object = msgpack.unpackb(stored, strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        found = error
    if not isinstance(found, dict):
        logger.warning("%r is no prediction: left alone", stored)
        return None
    return cast("dict[str, Any]", found)


def predicted_in(entry: Mapping[str, Any]) -> Any:
    """What an entry predicts: nothing, where it does not say."""
    return entry.get("predicted", {})


# Adjustments -------------------------------------------------------------------------------


class _Recording(Adjustment):
    """A prediction is noted."""

    what = "record_prediction()"
    takes_constructed = True

    def __init__(self, instance: Any, predicted: Any) -> None:
        super().__init__(instance)
        self.entry = packed(
            {
                "predicted": predicted,
                "resolved": False,
                "resolution_mode": None,
                "prediction_error": None,
                "resolved_at": None,
                "recorded_at": clock.now(),
            }
        )

    def missing(self, key: str) -> Exception:
        return self.unsaved()

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        batch.put("HSET", entry_key(self.instance._meta.model_name, key), key, self.entry)


class Resolving(Adjustment):
    """An open prediction is resolved with a known error, and what follows from that.

    `entry`: the stored prediction that the error was computed from. Where it has changed, the
    error is computed anew from what is there, by `compute`.
    """

    what = "resolve_prediction()"
    cause = "resolve_prediction"
    takes_constructed = True

    def __init__(
        self, instance: Any, error: Any, mode: str, entry: bytes | None = None, actual: Any = None
    ) -> None:
        super().__init__(instance)
        self.error = _as_number(instance, error, mode)
        self.mode = mode
        self.entry = entry
        self.actual = actual
        self.now = clock.now()
        self.feedback = [
            Learning(instance, field, instance._pl_confidence_low_signal, lowers=True)
            for field in instance._meta.listed("confidence")
        ]
        self.names = tuple(dict.fromkeys(name for each in self.feedback for name in each.names))
        if self.error > instance._pl_confidence_error_threshold:
            self.computed = tuple(each.field.name for each in self.feedback)

    def missing(self, key: str) -> Exception:
        return self.unsaved()

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        instance = self.instance
        name = instance._meta.model_name
        entry = entry_key(name, key)
        if self.entry is not None:
            batch.guard("holds", entry, key, self.entry)
        put(batch, "UNTELL", None, "resolved")
        put(
            batch,
            "RESOLVE",
            entry,
            key,
            KeyArgument(errors_key(name, instance._pl_partition)),
            repr(self.error),
            self.mode,
            str(self.now),
        )
        if self.error > instance._pl_confidence_error_threshold:
            for learning in self.feedback:
                learning.put_when(batch, key, values, "resolved")
        if hasattr(instance, "_event"):
            extra = {"prediction_error": told("resolved"), "resolution_mode": self.mode}
            event = instance._event("prediction_resolved", key, extra=extra)
            put(batch, "WHEN", str(event[1]), "resolved", "TELL", *event[2:])

    def learn(self, failure: GuardFailure, step: Step) -> bool:
        # Recorded anew meanwhile, or resolved by somebody else.
        (key,) = (str(step[2][0]),)
        self.entry = failure.stored([key]).get(key) if failure.what == "holds" else None
        found = unpacked(self.entry) if self.entry is not None else None
        if found is None or found.get("resolved"):
            # Nothing is open: RESOLVE finds that, too, as long as this stays as it is.
            return True
        error = _computed_error(self.instance, predicted_in(found), self.actual)
        self.error = _as_number(self.instance, error, self.mode)
        return True

    def finish(self, replies: Sequence[Reply]) -> float | None:
        if replies[1] != 1:
            return None
        if self.error > self.instance._pl_confidence_error_threshold:
            for place, learning in enumerate(self.feedback):
                learning.take_over(replies[2 + place * learning.number_of_commands])
        return self.error


def _computed_error(instance: Any, predicted: Any, actual: Any) -> Any:
    """The error as the instance's own class computes it."""
    model: Any = instance.__class__
    return model.compute_prediction_error(predicted, actual)


#: Where errors come from, by the mode of resolving, and what is to be done about wrong ones.
_SOURCES = {
    "explicit": ("compute_prediction_error()", "return"),
    "observed": ("_pl_auto_resolve_errors", "name"),
}


def _as_number(instance: Any, error: Any, mode: str) -> float:
    """Raises ValueError for what a server could not keep in order, before anything is written."""
    try:
        number = float(error)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        source, remedy = _SOURCES[mode]
        raise ValueError(
            f"{instance._meta.model_name}.{source} gives {describe(error)} as the error of "
            f"{instance.pk!r}: {remedy} a number, usually from 0 to 1; nothing was written"
        )
    return number


# Plans -------------------------------------------------------------------------------------


def _check(instance: Any, what: str) -> None:
    """Raise TypeError unless this is a record whose predictions are kept, and go with it."""
    model: object = record_in(instance, what).__class__
    if not hasattr(model, "_pl_auto_resolve_errors"):
        raise TypeError(
            f"{what} takes a record whose model has a PredictionLedgerMixin, and "
            f"{instance._meta.model_name} has none: name it among the bases of the class"
        )


def record(instance: Any, predicted: Any, pipeline: Any) -> Plan[Any]:
    """The plan of `record_prediction`."""
    if predicted is None:
        raise ValueError("predicted must not be None")
    _check(instance, "record_prediction()")
    recording = _Recording(instance, predicted)
    yield from carried_out([recording], pipeline)
    waiting_beside(pipeline)[_place(instance)] = recording.entry
    return pipeline


def _place(instance: Any) -> tuple[str, str]:
    """By what the prediction of a record is known that waits in a pipeline or a transaction."""
    return "prediction", instance.pk


def note_resolved(instance: Any, pipeline: Any) -> None:
    """Note that nothing will be open, for what follows in the same pipeline or transaction."""
    waiting_beside(pipeline)[_place(instance)] = None


def _stored(instance: Any) -> Plan[bytes | None]:
    instance._meta.isolation.check_had(instance, "the prediction")
    replies: list[bytes | None] = yield from looked_up(
        [("HGET", entry_key(instance._meta.model_name, instance.pk), instance.pk)],
        instance._meta.shard,
    )
    return replies[0]


def read(instance: Any) -> Plan[dict[str, Any] | None]:
    """The plan of `get_prediction_data`."""
    _check(instance, "get_prediction_data()")
    stored = yield from _stored(instance)
    return None if stored is None else unpacked(stored)


def resolve(instance: Any, actual: Any, pipeline: Any) -> Plan[Any]:
    """The plan of `resolve_prediction`."""
    if actual is None:
        raise ValueError("actual must not be None")
    _check(instance, "resolve_prediction()")
    instance._meta.isolation.check_had(instance, "the prediction")
    waiting, place = waiting_beside(pipeline), _place(instance)
    exists, stored = True, waiting.get(place)
    if place not in waiting:
        key = key_until_then(pipeline, instance.pk)
        exists, stored = yield from looked_up(
            [("EXISTS", key), ("HGET", entry_key(instance._meta.model_name, key), key)],
            instance._meta.shard,
            before_writing=True,
        )
    found = None if stored is None else unpacked(stored)
    if exists and (found is None or found.get("resolved")):
        return pipeline
    error = 0.0 if found is None else _computed_error(instance, predicted_in(found), actual)
    # What is recorded by the same pipeline or transaction stands when its turn comes.
    known = None if place in waiting else stored
    results = yield from carried_out(
        [Resolving(instance, error, "explicit", known, actual)], pipeline
    )
    note_resolved(instance, pipeline)
    return results[0] if pipeline is None else pipeline


def auto_resolve(instance: Any, outcome: str, pipeline: Any) -> Plan[Any]:
    """The plan of `auto_resolve`."""
    _check(instance, "auto_resolve()")
    errors = instance._pl_auto_resolve_errors
    if not isinstance(outcome, Hashable) or outcome not in errors:
        raise ValueError(f"Invalid outcome {describe(outcome)}; outcomes are {sorted(errors)}")
    resolving = Resolving(instance, errors[outcome], "observed")
    resolving.noting = instance._meta.noting("auto_resolve", outcome)
    results = yield from carried_out([resolving], pipeline, skips_missing=True)
    note_resolved(instance, pipeline)
    return results[0] if pipeline is None else pipeline
