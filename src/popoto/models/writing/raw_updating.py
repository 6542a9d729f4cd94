"""Raw updates: encoded values into the hashes of records, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import EncodeError, Stored
from popoto.engine.request import Plan, Request
from popoto.exceptions import (
    KeyMutationError,
    ModelException,
    OutcomeUnknownError,
    ValidationError,
)
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.noting import put_noted
from popoto.fields.keeping.shards import by_shard
from popoto.models.record.field_names import known_field
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.record_keys import record_key
from popoto.models.writing.lateness import give_up, refuse_when_late
from popoto.models.writing.operation import text_of
from popoto.models.writing.rows import Rows, chunks, telling


def raw_update(
    model: type[Record], redis_keys: Iterable[Any], batch_size: int, values: dict[str, Any]
) -> Plan[int]:
    """The plan of `Model.raw_update`; see there."""
    options = model._meta
    options.isolation.check_keys_tell("raw_update()")
    batches = chunks(redis_keys, batch_size)
    pairs: list[Any] = [
        part for name, value in values.items() for part in (name, _raw(options, name, value))
    ]
    if not pairs:
        return 0
    rows = Rows(f"{options.model_name}.raw_update")
    return (yield from telling(rows, _updated(options, batches, pairs, rows)))


def _updated(
    options: ModelOptions, batches: Iterable[list[Any]], pairs: Sequence[Any], rows: Rows
) -> Plan[int]:
    """Each batch is one call for each shard: a key that is no hash refuses it whole."""
    noting = options.noting("raw_update")
    clocks = [] if noting is None else [field.name for field in options.listed("decay")]
    for given in batches:
        keys = [_checked_key(options, key) for key in given]
        for view, together in (yield from by_shard(options, dict.fromkeys(keys))):
            batch = Batch(noting)
            for key in together:
                _put_raw(batch, key, pairs, clocks)
            late = refuse_when_late(view, [batch])
            call = batch.call(every=True, replies=False)
            try:
                (reply,) = yield Request.write(call, shard=view.shard, wait=view.wait)
            except OutcomeUnknownError as lost:
                yield from give_up(view, late, lost)
                raise
            for failure in Batch.failures(reply):
                place = keys.index(text_of(failure.details[0]))
                rows.refuse_row(rows.seen + place, given[place], failure.error())
            rows.end_round()
            rows.note_written(rows.seen + keys.index(key) for key in together)
        rows.end_batch(len(given), len(given))
    return rows.done


def _put_raw(batch: Batch, key: str, pairs: Sequence[Any], clocks: Sequence[str]) -> None:
    """Queue values for one record; each clock among them by itself, since that is noted."""
    others: list[Any] = []
    for name, value in zip(pairs[::2], pairs[1::2], strict=True):
        if name in clocks:
            words = (2, name, value, KeyArgument(key))
            put_noted(batch, "decay", name, key, "FILL", None, *words)
        else:
            others += (name, value)
    if others:
        batch.put("FILL", key, *others)


def _checked_key(options: ModelOptions, key: Any) -> str:
    found = record_key(options, key)
    if found is None:
        raise ModelException(
            f"{options.model_name}.raw_update: {describe(key)} is no record key; keys of "
            f"{options.model_name} start with {options.model_name + ':'!r}"
        )
    return found


def _raw(options: ModelOptions, name: str, value: Any) -> Stored:
    """The bytes of a value. Raises ModelException for what its field cannot store."""
    field = known_field(options.by_name, name, f"{options.model_name}.raw_update")
    if field.key:
        raise KeyMutationError(
            f"{field.label} is part of the record key and cannot be changed by raw_update; "
            "save(migrate_key=True) moves a record to a new key"
        )
    if not field.in_hash:
        raise ModelException(
            f"{field.label} is kept in a list of its own: raw_update cannot set it"
        )
    try:
        encoded = _encoded(field, value)
    except (CoercionError, EncodeError) as error:
        raise ValidationError(
            f"{field.label}: invalid value {describe(value)}: {error}; nothing was written",
            model_name=options.model_name,
            field_name=name,
            value=value,
        ) from error
    reason = field.unready(encoded)
    if reason is not None:
        raise ModelException(f"{field.label} {reason}: raw_update cannot set it; use bulk_update")
    return encoded


def _encoded(field: Field[Any], value: Any) -> Stored:
    """The bytes. Raises CoercionError or EncodeError, also for what no relationship refers to."""
    coerced = field.coerce(value)
    if field.is_reference and (problem := field.problem(coerced, null_check=False)):
        raise EncodeError(problem)
    encoded: Stored = field.encode(coerced)
    return encoded
