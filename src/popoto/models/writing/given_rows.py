"""What bulk writes are given: instances, a query, and what is meant for another library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.exceptions import KeyMutationError, ModelException
from popoto.fields.describing import describe
from popoto.fields.given import is_mapping, is_several
from popoto.fields.stored_number import F
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.field_names import known_field
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record

__all__ = ["check_not_names", "check_updates", "instances_in", "spec_of", "tell_of_nothing"]


def instances_in(model: type[Record], what: str, given: Any) -> Iterable[Any]:
    """What is to be gone through: the instances given, or one by itself; none for nothing.

    Raises ModelException for what holds no instances.
    """
    if hasattr(given, "_meta"):
        return [given]
    if is_several(given) and not is_mapping(given):
        return given
    if given:
        raise ModelException(
            f"{what} takes instances of {model.__name__}, in a list or another iterable, got "
            f"{describe(given)}; nothing was written"
        )
    return ()


def spec_of(given: Any) -> QuerySpec | None:
    """What a query asks for; None for something that is no query."""
    spec = getattr(given, "_spec", None)
    return spec if isinstance(spec, QuerySpec) else None


def check_not_names(what: str, second: Any) -> None:
    """Refuse names of fields, which Django takes in the place of the number of rows in a batch."""
    names = list(second) if is_several(second) and not is_mapping(second) else [second]
    if names and all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ValueError(
            f"{what}(…, {describe(second)}): batch_size must be an int. New values are given by "
            f"name, {what}(records, {names[0]}=…); to write what was changed in each record, call "
            f"{what.replace('update', 'create')}(records)"
        )


def check_updates(options: ModelOptions, updates: dict[str, Any]) -> None:
    """Refuse names that cannot be given new values, and tell of those that keep none."""
    for name, value in updates.items():
        field = known_field(options.by_name, name, f"{options.model_name}.bulk_update")
        if field.key:
            raise KeyMutationError(
                f"{field.label} is part of the record key: bulk_update cannot "
                f"change it to {describe(value)}; set it on each record and call "
                "save(migrate_key=True)"
            )
        _tell_of_moment(options, field, value)


def _tell_of_moment(options: ModelOptions, field: Any, value: Any) -> None:
    """Tell of a new value for a field that every write sets to its own moment."""
    if getattr(field, "auto_now", False) and not isinstance(value, F):  # which is refused
        tell(
            f"{field.label} = {describe(value)} has no effect: every save sets it to the moment "
            "of the save; raw_update() writes a value without that",
            refuse=is_strict(options.strict),
        )


def tell_of_nothing(options: ModelOptions, what: str, given: Any) -> None:
    """Tell of instances that no value was given for."""
    if given is not None and spec_of(given) is None:
        tell(
            f"{what}(records) without any values writes nothing; give them by name, "
            f"{what}(records, field=…), or call {what.replace('update', 'create')}(records) to "
            "write what was changed in each record",
            refuse=is_strict(options.strict),
        )
