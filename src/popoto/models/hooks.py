"""Calling the hooks of user-defined fields while a commit is built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from popoto.engine.batch import Batch
from popoto.engine.request import Plan, Request
from popoto.models.options import AnyField, ModelOptions

if TYPE_CHECKING:
    from popoto.models.base import Model


def call_save_hooks(
    batch: Batch, instance: Model, hooked: Iterable[AnyField], arguments: dict[str, Any]
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
    batch: Batch, instance: Model, key: str, hook_arguments: dict[str, Any]
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
        yield Request(batch.after, options.shard)
