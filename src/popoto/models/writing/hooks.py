"""Calling the hooks of user-defined fields while a commit is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from popoto.engine.batch import Batch, queue
from popoto.engine.request import Plan, Request
from popoto.engine.run import run
from popoto.fields.keeping.entries import Entry, replace
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.record.record import Record

if TYPE_CHECKING:
    from redis.client import Pipeline


def call_save_hooks(
    batch: Batch, instance: Record, hooked: Iterable[AnyField], arguments: dict[str, Any]
) -> None:
    """Call `on_save` of these fields, with the values that are about to be stored."""
    for field in hooked:
        field.on_save(
            instance,
            field_name=field.name,
            field_value=getattr(instance, field.name),
            pipeline=batch,
            **arguments,
        )


def call_delete_hooks(
    batch: Batch, instance: Record, key: str, hook_arguments: dict[str, Any]
) -> None:
    """Call `on_delete` of the fields that have one of their own, with the last saved values."""
    if not instance._meta.delete_hooks:
        return
    saved = instance._saved_field_values
    for hooked in instance._meta.delete_hooks:
        hooked.on_delete(
            model_instance=instance,
            field_name=hooked.name,
            field_value=saved.get(hooked.name),
            pipeline=batch,
            saved_redis_key=key,
            **hook_arguments,
        )


def follow_up(batch: Batch, options: ModelOptions) -> Plan[None]:
    """Send what hooks queued that no script may call; a round trip of its own."""
    if batch.after:
        yield Request.write(*batch.after, shard=options.shard, wait=options.wait)


def apply_entries(
    shard: str,
    old: Sequence[Entry],
    new: Sequence[Entry],
    pipeline: Pipeline | None,
    more: Callable[[Batch], None] | None = None,
) -> Any:
    """Change entries for a hook that is called directly: at once, or on a pipeline.

    `more` queues what else belongs to that. Returns the pipeline, or how many entries were added
    and removed.
    """
    if isinstance(pipeline, Batch):
        # Called by a field's own hook during a commit, to which the rest belongs already.
        replace(pipeline, old, new)
        return pipeline
    batch = Batch()
    # Also those that both have: a hook that is called directly is called to add them.
    replace(batch, old, new, heal=True)
    if more is not None:
        more(batch)
    if pipeline is not None:
        if len(batch):
            queue(pipeline, batch, shard)
        return pipeline
    if not len(batch):
        return 0
    replies = run(Request.write(batch.call(), shard=shard).plan())
    return sum(reply for reply in Batch.replies_of(replies[0]) if isinstance(reply, int))
