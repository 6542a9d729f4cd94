"""Bulk writes: many records in few round trips, each batch whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from popoto._stock import is_replaced
from popoto.engine.request import Plan
from popoto.exceptions import (
    CommandRefusedError,
    ModelException,
    UniquenessError,
    ValidationError,
)
from popoto.fields.coercion import CoercionError
from popoto.fields.describing import describe
from popoto.fields.field import LeftOut
from popoto.fields.given import flag_in
from popoto.fields.stored_number import F
from popoto.models.record.checking import refusal
from popoto.models.record.dependants import dependants_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.overridden import own_call
from popoto.models.record.record import Record
from popoto.models.record.stored_form import changed_values
from popoto.models.writing.carrying import carry_out
from popoto.models.writing.cascading import carry_out_deletions
from popoto.models.writing.conditions import Condition
from popoto.models.writing.creating import save_as_defined
from popoto.models.writing.deleting import Deletion
from popoto.models.writing.depending import leaving
from popoto.models.writing.given_rows import (
    check_not_names,
    check_updates,
    instances_in,
    tell_of_nothing,
)
from popoto.models.writing.operation import Operation
from popoto.models.writing.preparing import prepared_save
from popoto.models.writing.rows import Matches, OnError, Progress, Rows, chunks, telling
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.saving import Saving
from popoto.models.writing.unsaved_targets import tell_of_unsaved_targets
from popoto.models.writing.updating import checked_number

M = TypeVar("M", bound=Record)


def _carried_out(operations: Sequence[Operation], rows: Rows) -> Plan[list[Operation]]:
    """Carry out a batch; those that were not refused.

    A key that occurs again is written in a further step, in order. Each step takes up every
    key that is left once, so there are as many as a key occurs.
    """
    done: list[Operation] = []
    waiting = list(operations)
    while waiting:
        together, waiting = _apart(waiting, rows)
        rows.followers = _by_key(waiting)
        done += yield from carry_out(together, rows)
        waiting = [each for each in waiting if each.position not in rows.refused]
    return done


def _by_key(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        for key in operation.keys:
            found.setdefault(key, []).append(operation)
    return found


def _apart(operations: Sequence[Operation], rows: Rows) -> tuple[list[Operation], list[Operation]]:
    """The operations that can go together, and those whose key an earlier one touches."""
    first: dict[str, Operation] = {}
    together: list[Operation] = []
    later: list[Operation] = []
    for operation in operations:
        keys = operation.keys
        other = next((first[key] for key in keys if key in first), None)
        if other is None:
            first.update(dict.fromkeys(keys, operation))
            together.append(operation)
        elif _repeats_unique_key(operation, other):
            error = UniquenessError(
                f"{operation.options.model_name}: the key {operation.key!r} must be unique, "
                f"but row {other.position} already exists with it in this batch"
            )
            rows.refuse(operation, error)
        else:
            later.append(operation)
    rows.end_round()
    return together, later


def _repeats_unique_key(operation: Operation, other: Operation) -> bool:
    """Whether both would be new records of one key that has to be unique."""
    return (
        isinstance(operation, Saving)
        and isinstance(other, Saving)
        and any(field.unique for field in operation.options.key_fields)
        and operation.known is None
        and other.known is None
        and not operation.partial
        and operation.instance is not other.instance
    )


# Creating ----------------------------------------------------------------------------------


def bulk_create(
    model: type[M],
    instances: Iterable[M] | None,
    batch_size: int,
    progress: Progress | None,
    on_error: OnError | None,
    keep: bool,
    request: SaveRequest | None = None,
) -> Plan[list[M] | int]:
    """The plan of `Model.bulk_create`; see there.

    Each is saved as `request` says; a plain save by default.
    """
    keep = flag_in(keep, f"{model._meta.model_name}.bulk_create(keep=…)")
    rows = Rows(f"{model._meta.model_name}.bulk_create", on_error=on_error, progress=progress)
    creating = _created(model, instances, batch_size, rows, request or SaveRequest(), keep=keep)
    return (yield from telling(rows, creating))


def _created(
    model: type[M],
    instances: Any,
    batch_size: int,
    rows: Rows,
    request: SaveRequest,
    *,
    keep: bool,
) -> Plan[list[M] | int]:
    kept: list[M] = []
    for batch in chunks(instances_in(model, rows.what, instances), batch_size):
        rows.check_instances(model, batch)
        operations = yield from _prepared_saves(model, batch, rows, request, None)
        yield from _carried_out(operations, rows)
        stored = [each for place, each in enumerate(batch, rows.seen) if place not in rows.refused]
        rows.refused.clear()
        if keep:
            kept += stored
        rows.end_batch(len(stored), len(batch))
    return kept if keep else rows.done


def _prepared_saves(
    model: type[Record],
    batch: Sequence[Any],
    rows: Rows,
    request: SaveRequest,
    names: list[str] | None,
) -> Plan[list[Operation]]:
    """Check and format every instance; the saves of those that are to be written.

    Raises (or reports) all problems of the batch before anything is sent. A model that defines
    `save` itself has it called, row by row, up to the first one that is refused.
    """
    operations: list[Operation] = []
    saves_itself = is_replaced(model, "save")
    for position, instance in enumerate(batch, rows.seen):
        try:
            if names is not None and model._has_own_check and not instance.is_valid():
                raise refusal(instance, names, "nothing was written")
            if saves_itself:
                saving_itself = save_as_defined(instance, request, names)
                is_saved = partial(_is_saved, instance, names)
                yield from rows.written_by_itself(position, saving_itself, is_saved)
                continue
            saving = prepared_save(instance, request, names)
        except CommandRefusedError:
            # Of a write that was carried out.
            raise
        except ModelException as error:
            rows.refuse_row(position, instance, error)
            if saves_itself:
                # What comes after it would be written before the error is told.
                rows.end_round()
            continue
        if saving is not None:
            saving.position = position
            operations.append(saving)
    rows.end_round()
    tell_of_unsaved_targets(operations)
    return operations


def _is_saved(instance: Record, names: Sequence[str] | None) -> bool:
    """Whether nothing of an instance, or of these fields, is left to be written."""
    wanted = instance._meta.stored_names if names is None else names
    return instance._is_stored and not changed_values(instance, wanted)


# Updating ----------------------------------------------------------------------------------


def bulk_update(
    model: type[M],
    given: Any,
    batch_size: int,
    progress: Progress | None,
    on_error: OnError | None,
    updates: dict[str, Any],
) -> Plan[int]:
    """The plan of `Model.bulk_update`; see there."""
    options = model._meta
    check_updates(options, updates)
    what = f"{options.model_name}.bulk_update"
    check_not_names(what, batch_size)
    batches = Matches(model, what, given, batch_size)
    if not updates:
        tell_of_nothing(options, what, given)
        return 0
    rows = Rows(
        what,
        on_error=on_error,
        progress=progress,
        skips_missing=batches.is_query,
    )
    values = {name: _coerced(options, name, value) for name, value in updates.items()}
    return (yield from telling(rows, _updated(model, batches, rows, values)))


def _updated(model: type[M], batches: Matches, rows: Rows, values: Mapping[str, Any]) -> Plan[int]:
    names = _written_names(model._meta, values)
    skipped = 0
    batch = yield from batches.next()
    while batch is not None:
        rows.check_instances(model, batch)
        for instance in batch:
            for name, value in values.items():
                setattr(instance, name, _own_copy(value))
        refused = len(rows.refused)
        request = SaveRequest(condition=batches.condition)
        operations = yield from _prepared_saves(model, batch, rows, request, names)
        if is_replaced(model, "save"):
            yield from _carried_out(operations, rows)
            rows.end_batch(len(batch), len(batch))
        else:
            skipped += len(batch) - len(operations) - (len(rows.refused) - refused)
            done = yield from _carried_out(operations, rows)
            rows.end_batch(len(done), len(batch))
        batch = yield from batches.next()
    return rows.done + skipped


def told(model: type[Record], updates: dict[str, Any], name: str, given: Any) -> Any:
    """Whom a bulk update tells of its rows. A field of this name wins, and takes the value."""
    if isinstance(given, LeftOut):
        return None
    if name not in model._meta.by_name:
        return given
    updates[name] = given
    return None


def _coerced(options: ModelOptions, name: str, value: Any) -> Any:
    """A new value in its field's type. Raises ValidationError before any instance is touched."""
    if isinstance(value, F):
        checked_number(options, name, value)
        return value
    field = options.by_name[name]
    try:
        coerced = field.coerce(value)
        problem = field.problem(coerced)
    except CoercionError as error:
        coerced, problem = value, str(error)
    if problem is not None:
        raise ValidationError(
            f"{field.label}: invalid value {describe(value)}: {problem}; nothing was written",
            model_name=options.model_name,
            field_name=name,
            value=value,
        )
    return coerced


def _own_copy(value: Any) -> Any:
    """The value, or a copy where records would otherwise share one that can change."""
    return copy.copy(value) if type(value) in (list, dict, set) else value


def _written_names(options: ModelOptions, updates: Iterable[str]) -> list[str]:
    """The named fields, and those that show when a record was last written."""
    stamped = [name for name, field in options.by_name.items() if field.stamps_writes]
    return list(
        dict.fromkeys([*updates, *(name for name in stamped if name not in options.key_names)])
    )


# Deleting ----------------------------------------------------------------------------------


def bulk_delete(
    model: type[Record], given: Any, batch_size: int, progress: Progress | None
) -> Plan[int]:
    """The plan of `Model.bulk_delete`; see there."""
    what = f"{model._meta.model_name}.bulk_delete"
    batches = Matches(model, what, given, batch_size)
    rows = Rows(
        what,
        progress=progress,
        skips_missing=batches.is_query,
    )
    return (yield from telling(rows, _deleted(model, batches, rows)))


def _deleted(model: type[Record], batches: Matches, rows: Rows) -> Plan[int]:
    later: set[str] = set()
    if dependants_of(model) and not (yield from batches.are_at_most(batches.batch_size)):
        later = yield from leaving(model, batches.keys(), batches.batch_size)
    batch = yield from batches.next()
    while batch is not None:
        rows.check_instances(model, batch)
        if later and (yield from batches.are_at_most(0)):
            # What else was to go has gone, or matches no more and has a say again.
            later.clear()
        deleted = yield from delete_batch(model, batch, rows, later, batches.condition)
        # Of what was found, a record may have gone, or stopped to match, since.
        is_exact = batches.is_query and not is_replaced(model, "delete")
        rows.end_batch(deleted if is_exact else len(batch), len(batch))
        batch = yield from batches.next()
    return rows.done


def delete_batch(
    model: type[Record],
    instances: Sequence[Any],
    rows: Rows,
    later: set[str] | None = None,
    condition: Condition | None = None,
) -> Plan[int]:
    """Delete these records; how many of them existed. One call for up to some 15,000.

    `later`: those that are deleted after them, without those that stay. `condition`: what they
    have to meet when they are, unless the model's class has a `delete` of its own.
    """
    if is_replaced(model, "delete"):
        return (yield from _deleted_by_themselves(instances, rows))
    deletions: dict[str, Deletion] = {}
    repeated: list[Deletion] = []
    for position, instance in enumerate(instances, rows.seen):
        deletion = Deletion(instance, {}, condition)
        deletion.position = position
        if deletions.setdefault(deletion.key, deletion) is not deletion:
            repeated.append(deletion)
    done = yield from carry_out_deletions(list(deletions.values()), rows, later=later)
    for deletion in repeated:
        deletion.queue_up()
    return sum(bool(operation.result) for operation in done)


def _deleted_by_themselves(instances: Sequence[Any], rows: Rows) -> Plan[int]:
    """Delete through the `delete` that the model's class defines itself.

    One that returns nothing has deleted the record if that is not stored any more.
    """
    deleted = 0
    for position, instance in enumerate(instances, rows.seen):
        was_stored = instance._is_stored
        try:
            deleting = _deleting_itself(instance)
            is_gone = partial(_is_gone, instance)
            result = yield from rows.written_by_itself(position, deleting, is_gone)
            deleted += bool(result) or (result is None and was_stored and is_gone())
        except CommandRefusedError:
            # Of a delete that was carried out.
            raise
        except ModelException as error:
            rows.refuse_row(position, instance, error)
            rows.end_round()
    return deleted


def _deleting_itself(instance: Record) -> Plan[Any]:
    return (yield own_call(instance, "delete"))


def _is_gone(instance: Record) -> bool:
    return not instance._is_stored
