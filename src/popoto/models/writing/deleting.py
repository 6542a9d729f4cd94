"""Deleting: hash, companions and every entry in one guarded commit."""

from __future__ import annotations

from typing import Any

from popoto.engine.batch import Batch, GuardFailure, QueuedCommits, queue
from popoto.engine.request import Plan, Request
from popoto.exceptions import ConflictError, ModelException
from popoto.fields.keeping.commit import Commit
from popoto.models.beside.expiry import decoded_values, put_removal
from popoto.models.record.checking import key_field_that_differs
from popoto.models.record.loading import indexed_of
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.writing.hooks import call_delete_hooks, follow_up
from popoto.models.writing.preparing import check_pipeline
from popoto.models.writing.saving import MAX_ATTEMPTS


def delete(instance: Record, pipeline: Any, hook_arguments: dict[str, Any]) -> Plan[Any]:
    """The plan of `Model.delete`; see there."""
    check_pipeline(pipeline)
    options = instance._meta
    known: dict[str, Any] | None = instance._stored or None
    key = key_to_delete(instance)
    if pipeline is not None:
        queued = QueuedCommits.of(pipeline)
        if key in queued.records:
            known = queued.records[key]
        else:
            known = yield from _read(options, key)
        if known is not None and not is_another(instance, known):
            removal = _removal(instance, key, known, hook_arguments, queued=True)
            queue(pipeline, removal, options.shard)
            queued.records[key] = None
        _forget(instance)
        return pipeline
    if known is None:
        known = yield from _read(options, key)
        if known is not None and is_another(instance, known):
            known = None
    for _ in range(MAX_ATTEMPTS):
        if known is None:
            _forget(instance)
            return False
        batch = _removal(instance, key, known, hook_arguments)
        (reply,) = yield Request.of(batch.call(), shard=options.shard)
        outcome = Batch.outcome(reply)
        if not isinstance(outcome, GuardFailure):
            yield from follow_up(batch, options)
            _forget(instance)
            return True
        if outcome.what == "holds":
            known = outcome.stored(options.index_names)
        elif outcome.what == "exists":
            known = None
        else:
            details = ", ".join(
                detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
                for detail in outcome.details
            )
            raise ModelException(
                f"{key!r} cannot be deleted: {outcome.what} ({details}: a key, what it holds and "
                "what belongs there); nothing was written"
            )
    raise ConflictError(
        f"{key!r} was changed by other writers {MAX_ATTEMPTS} times while it was being deleted; "
        "nothing was written. Delete it again."
    )


def key_to_delete(instance: Record) -> str:
    """The key of the stored record, or of the current values of an instance never stored."""
    return (instance._redis_key if instance._stored else None) or instance.db_key.redis_key


def is_another(instance: Record, known: dict[str, Any]) -> bool:
    """Whether the record under the key of an instance that was never stored is another one."""
    return not instance._stored and key_field_that_differs(instance, known) is not None


def _read(options: ModelOptions, key: str) -> Plan[dict[str, Any] | None]:
    (values,) = yield Request.of(
        ("HMGET", key, *options.index_names), shard=options.shard, repeatable=True
    )
    if any(value is not None for value in values):
        return indexed_of(options, values)
    (exists,) = yield Request.of(("EXISTS", key), shard=options.shard, repeatable=True)
    return {} if exists else None


def _removal(
    instance: Record,
    key: str,
    known: dict[str, Any],
    hook_arguments: dict[str, Any],
    *,
    queued: bool = False,
) -> Batch:
    options = instance._meta
    batch = Batch()
    pairs = [part for name in options.index_names for part in (name, known.get(name, b""))]
    batch.guard("holds", key, *pairs)
    for entry in options.entries(key, decoded_values(options, known)):
        entry.remove(batch)
    put_removal(batch, options, key)
    call_delete_hooks(batch, instance, key, hook_arguments)
    for hook in options.commit_hooks:
        hook(instance, batch, Commit("delete", key, key, queued=queued))
    return batch


def _forget(instance: Record) -> None:
    """The instance is no stored record any more; it keeps its values and can be saved again."""
    for name in instance._meta.fields:
        # Decode what was not looked at yet, before its bytes go.
        if name not in vars(instance):
            instance._settle(name)
    instance._stored = {}
    instance._unconfirmed = None
    instance._last_full_save = None
    instance._is_persisted = False
