"""Changing a stored record where it is: adding to a number, and reading the record again.

An addition is one command where the server can do it exactly: ints up to 2**53 and floats,
in fields without an index or with a sorted one. Any number of writers can add at the same
time then. Everything else (larger ints, Decimals, fields in other indexes, models with a
version) is computed here and swapped for the stored bytes, again if another writer was
faster.
"""

from __future__ import annotations

import asyncio
import math
import operator
import random
import time
from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, SupportsIndex

from popoto.engine.batch import Batch, GuardFailure, KeyArgument, QueuedCommits, queue
from popoto.engine.codec import MAX_DIGITS, MAX_INT, MIN_INT, NIL, DecodeError
from popoto.engine.request import Call, Plan, Request
from popoto.exceptions import (
    ConflictError,
    ModelException,
    NotStoredError,
    NumberOverflowError,
    StoredDataError,
    UnsavedError,
    ValidationError,
)
from popoto.fields.coercion import describe
from popoto.fields.field import Field
from popoto.fields.sorted_field_mixin import SortedFieldMixin
from popoto.models.beside.expiry import decoded_values, put_expiry_as_is
from popoto.models.record.loading import read_commands, stored_of
from popoto.models.record.options import AnyField, ModelOptions, overrides
from popoto.models.record.record import Record
from popoto.models.writing.expecting import next_version
from popoto.models.writing.preparing import check_pipeline
from popoto.models.writing.queueing import note_unconfirmed
from popoto.models.writing.saving import SaveCommit, SaveRequest

#: How often an addition is tried again because another writer was faster.
MAX_ATTEMPTS = 64
#: From this attempt on, writers in each other's way pause: at most so many seconds.
_ATTEMPTS_WITHOUT_PAUSE = 3
_LONGEST_PAUSE = 0.25

#: Doubles, which the server computes with, tell integers apart up to here.
_EXACT_INTEGERS = 2**53

#: Sums of Decimals are exact: one that does not fit is an error, never rounded.
_EXACT_DECIMALS = Context(
    prec=MAX_DIGITS,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, Overflow],
)


def number_field(options: ModelOptions, name: str) -> AnyField:
    """The field of that name. Raises AttributeError where there is none."""
    field = options.by_name.get(name)
    if field is None:
        raise AttributeError(
            f"{options.model_name} has no field {name!r}; fields are {', '.join(options.fields)}"
        )
    return field


def stored_key(instance: Record, what: str) -> str:
    """The key under which an instance is stored. Raises UnsavedError (a TypeError)."""
    if not instance._stored or instance._redis_key is None:
        raise UnsavedError(
            f"{what}: this {type(instance).__name__} is unsaved (or was deleted); save() it first"
        )
    return instance._redis_key


def not_stored(key: str) -> NotStoredError:
    """The error for a record that is gone."""
    return NotStoredError(
        f"{key!r} is not stored any more (deleted or expired); nothing was written"
    )


# Numbers ---------------------------------------------------------------------------------


def checked_delta(field: AnyField, delta: Any) -> Any:
    """The delta in the field's type. Raises TypeError, or ValidationError for a wrong amount."""
    if isinstance(delta, bool) or not isinstance(delta, (float, Decimal, SupportsIndex)):
        raise TypeError(
            f"{field.label}: the delta must be an int, float or Decimal, got {describe(delta)}"
        )
    if isinstance(delta, SupportsIndex):
        delta = operator.index(delta)
    if field.type not in (int, float, Decimal) or not field.in_hash:
        raise TypeError(
            f"{field.label} holds {field.type.__name__}: only int, float and Decimal fields "
            "can be incremented"
        )
    if field.key:
        raise TypeError(
            f"{field.label} is part of the record key, which does not change in place; "
            "save(migrate_key=True) moves a record"
        )
    if not isinstance(delta, int) and not math.isfinite(delta):
        raise _wrong_delta(field, delta, "it is no amount")
    return _converted(field, delta)


def _converted(field: AnyField, delta: Any) -> Any:
    if field.type is Decimal:
        # The digits that a float shows are those that are meant: 0.1 and not its binary form.
        return Decimal(repr(delta)) if isinstance(delta, float) else Decimal(delta)
    if field.type is float:
        try:
            return float(delta)
        except OverflowError as error:
            raise _overflow(field, delta) from error
    if delta != int(delta):
        raise _wrong_delta(field, delta, "an int field takes whole numbers only")
    return int(delta)


def _wrong_delta(field: AnyField, delta: Any, reason: str) -> ValidationError:
    return ValidationError(
        f"{field.label} cannot be incremented by {describe(delta)}: {reason}; nothing was written",
        model_name=field.model_name,
        field_name=field.name,
        value=delta,
    )


def _overflow(field: AnyField, value: Any) -> NumberOverflowError:
    return NumberOverflowError(
        f"{field.label}: {describe(value)} is beyond what the field can hold; nothing was written",
        model_name=field.model_name,
        field_name=field.name,
        value=value,
    )


def added(field: AnyField, raw: bytes | None, delta: Any) -> Any:
    """The exact sum of a stored number (none counts as 0) and a delta in the field's type."""
    try:
        current = 0 if raw is None or raw == NIL else field.decode(raw)
    except DecodeError as error:
        raise StoredDataError(f"{field.label} holds bytes that are no number: {error}") from error
    try:
        total = (
            _EXACT_DECIMALS.add(Decimal(current), delta)
            if field.type is Decimal
            else current + delta
        )
    except (Inexact, InvalidOperation, Overflow) as error:
        raise _overflow(field, delta) from error
    fits = MIN_INT <= total <= MAX_INT if field.type is int else math.isfinite(total)
    if not fits:
        raise _overflow(field, total)
    reason = field.problem(total)
    if reason is not None or not field.is_valid(field, total):
        raise ValidationError(
            f"{field.label}: invalid value {describe(total)}: {reason or 'the field refuses it'}; "
            "nothing was written",
            model_name=field.model_name,
            field_name=field.name,
            value=total,
        )
    return total


# Addition by compare-and-swap ------------------------------------------------------------


class Increment(SaveCommit):
    """One addition under way, as a commit that swaps the stored bytes for those of the sum."""

    def __init__(self, instance: Record, field: AnyField, delta: Any, key: str) -> None:
        super().__init__(instance, SaveRequest(), [])
        # The record is where it is stored, whatever the key fields say in memory.
        self.key = self.old_key = key
        self.migrates = False
        self.expected = {}
        self.field = field
        self.names = [field.name]
        self.delta = delta
        self.value: Any = None

    def batch(self) -> Batch:
        self._add()
        decision = self.options.decision(frozenset(self.changed))
        batch = Batch()
        self.guards = []
        self._guard_bytes(batch, dict.fromkeys((*self.changed, *decision.names)))
        with _Shown(self):
            self._put_change(batch, decision)
        if decision.names:
            put_expiry_as_is(batch, self.options, self.key)
        return batch

    def _add(self) -> None:
        known = self.known or {}
        self.value = added(self.field, known.get(self.field.name), self.delta)
        self.changed = {
            self.field.name: self.field.encode(self.value),
            **next_version(self.options, known),
        }

    def batch_of_server(self) -> Batch | None:
        """The batch by which the server adds; None where it cannot do that exactly."""
        field, options, known = self.field, self.options, self.known or {}
        if not _server_adds(options, field, self.delta):
            return None
        name, kind = field.name, "int" if field.type is int else "float"
        delta = str(self.delta) if kind == "int" else repr(self.delta)
        batch = Batch()
        index: tuple[Any, ...] = ()
        if isinstance(field, SortedFieldMixin):
            if field.partition_by:
                self._guard_bytes(batch, field.partition_by)
            values = {**decoded_values(options, known, field.partition_by), name: 0}
            (entry,) = field.entries(self.key, values)
            index = (KeyArgument(entry.key), self.key)
        batch.guard("addable", self.key, name, delta, kind)
        batch.put("ADD", self.key, name, delta, kind, *index)
        if field.makes_entries:
            put_expiry_as_is(batch, options, self.key)
        return batch

    def take(self, encoded: bytes) -> None:
        """Take over the sum that the server has computed."""
        self.value = self.field.decode(encoded)
        self.changed = {self.field.name: encoded}

    def learn(self, failure: GuardFailure) -> None:
        if failure.what == "exists":
            raise not_stored(self.key)
        if failure.what in ("holds", "addable"):
            self.known = dict(failure.stored(self.options.hash_names))
        else:
            super().learn(failure)

    def remember(self, *, persisted: bool) -> None:
        instance = self.instance
        note_unconfirmed(self, persisted=persisted)
        instance._stored.update(self.changed)
        for name in self.changed:
            vars(instance).pop(name, None)
        vars(instance)[self.field.name] = self.value


class _Shown:
    """While hooks of the field's own run, the attribute has the value that will be stored."""

    def __init__(self, increment: Increment) -> None:
        self._values = vars(increment.instance)
        self._name = increment.field.name
        self._new = increment.value
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._before = {self._name: self._values[self._name]} if self._name in self._values else {}
        self._values[self._name] = self._new

    def __exit__(self, *_: object) -> None:
        del self._values[self._name]
        self._values.update(self._before)


def _server_adds(options: ModelOptions, field: AnyField, delta: Any) -> bool:
    """Whether the script's own addition is exact and keeps every entry in step."""
    cls = type(field)
    if field.type is Decimal or options.version_field or field in options.save_hooks:
        return False
    if field.type is int and abs(delta) > _EXACT_INTEGERS:
        return False
    if cls.codec is not Field.codec or any(
        overrides(cls, method) for method in ("is_valid", "problem", "coerce")
    ):
        return False
    decision = options.decision(frozenset({field.name}))
    if decision.composites or decision.fields not in ((), (field,)):
        return False
    return not decision.fields or (
        cls.entries is SortedFieldMixin.entries
        and cls.score is SortedFieldMixin.score
        and not field.keeps_value_sets
    )


# Plans -----------------------------------------------------------------------------------


def started(instance: Record, name: str, delta: Any) -> Increment:
    """An addition whose arguments have been checked, in the documented order."""
    options = instance._meta
    field = number_field(options, name)
    key = stored_key(instance, f"{field.label} cannot be incremented")
    return Increment(instance, field, checked_delta(field, delta), key)


def increment(instance: Record, name: str, delta: Any, pipeline: Any) -> Plan[Any]:
    """The plan of `Model.atomic_increment`; see there."""
    check_pipeline(pipeline)
    addition = started(instance, name, delta)
    if pipeline is not None:
        return (yield from _queue(addition, pipeline))
    by_server = True
    for attempt in range(MAX_ATTEMPTS):
        if attempt >= _ATTEMPTS_WITHOUT_PAUSE:
            yield from _pause(attempt)
            yield from _read(addition)
        batch = addition.batch_of_server() if by_server else None
        by_server = batch is not None
        if batch is None:
            batch = addition.batch()
        # Not repeatable: a second addition would count twice.
        (reply,) = yield Request.of(batch.call(), shard=addition.options.shard)
        outcome = Batch.outcome(reply)
        if not isinstance(outcome, GuardFailure):
            if by_server:
                addition.take(outcome[0])
            addition.remember(persisted=True)
            return addition.value
        addition.learn(outcome)
        by_server = by_server and outcome.what == "holds"
    raise ConflictError(
        f"{addition.key!r} was changed by other writers {MAX_ATTEMPTS} times while "
        f"{addition.field.label} was being incremented; nothing was written. Try again."
    )


def _pause(attempt: int) -> Plan[None]:
    """Get out of the other writers' way, for a random time that grows with the attempts."""
    longest = min(_LONGEST_PAUSE, 0.0005 * 2**attempt)
    seconds = random.uniform(0, longest)
    yield Call(lambda: time.sleep(seconds), lambda: asyncio.sleep(seconds))


def _read(addition: Increment) -> Plan[None]:
    names = addition.options.hash_names
    (values,) = yield Request.of(
        ("HMGET", addition.key, *names), shard=addition.options.shard, repeatable=True
    )
    found = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    if not found:
        raise not_stored(addition.key)
    addition.known = found


def _queue(addition: Increment, pipeline: Any) -> Plan[Any]:
    """Queue the addition on a caller's pipeline, and take its sum for granted meanwhile."""
    queued = QueuedCommits.of(pipeline)
    if addition.key in queued.records:
        known = queued.records[addition.key]
        if known is None:
            raise not_stored(addition.key)
        addition.known = {**(addition.known or {}), **known}
    else:
        yield from _read(addition)
    batch = addition.batch()
    queue(pipeline, addition.batch_of_server() or batch, addition.options.shard)
    queued.records[addition.key] = {**(addition.known or {}), **addition.changed}
    addition.remember(persisted=False)
    return pipeline


def refresh(instance: Record, names: Iterable[str] | None) -> Plan[None]:
    """The plan of `Model.refresh`; see there."""
    options = instance._meta
    wanted = list(options.by_name) if names is None else [*names]
    for name in wanted:
        if name not in options.by_name:
            raise ModelException(
                f"{options.model_name}.refresh(fields=…): Unknown field {name!r}; "
                f"fields are {', '.join(options.fields)}"
            )
    key = stored_key(instance, f"{options.model_name} cannot be refreshed")
    replies = yield Request(read_commands(options, key), options.shard, repeatable=True)
    found = stored_of(options, replies[0], replies[1:])
    if found is None:
        raise not_stored(key)
    values = vars(instance)
    references: dict[str, str] = values.get("_references", {})
    for name in wanted:
        values.pop(name, None)
        references.pop(name, None)
        if name in found:
            instance._stored[name] = found[name]
        else:
            instance._stored.pop(name, None)
    instance._is_persisted = True
