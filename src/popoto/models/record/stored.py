"""What is asked of an instance that has to be stored already, and of a field by its name."""

from __future__ import annotations

from popoto.exceptions import UnsavedError
from popoto.fields.describing import describe
from popoto.fields.given import field_named
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.record.record import Record


def named_field(options: ModelOptions, name: object) -> AnyField:
    """The field of that name. Raises AttributeError where there is none."""
    found: AnyField | None = field_named(options, name)
    if found is None:
        raise AttributeError(
            f"{options.model_name} has no field {describe(name)}; "
            f"fields are {', '.join(options.by_name)}"
        )
    return found


def stored_key(instance: Record, what: str) -> str:
    """The key under which an instance is stored. Raises UnsavedError (a TypeError)."""
    if not instance._is_stored or instance._redis_key is None:
        raise UnsavedError(
            f"{what}: this {type(instance).__name__} is unsaved (or was deleted); save() it first"
        )
    return instance._redis_key
