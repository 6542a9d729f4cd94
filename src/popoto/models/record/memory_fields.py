"""Memory fields of a model by name, for what only they can do."""

from __future__ import annotations

from popoto.models.record.options import AnyField
from popoto.models.record.record import Record
from popoto.models.record.stored import named_field

__all__ = ["cyclic", "decaying"]


def decaying(instance: Record, name: str, what: str) -> AnyField:
    """The decay field of that name. Raises AttributeError (none), TypeError (another kind)."""
    field = _of_kind(instance, name, "decay", "DecayingSortedField", what)
    if not field.is_clock:
        raise TypeError(f"{what} sets a moment, and {field.label} is a value that was learned")
    return field


def cyclic(instance: Record, name: str, what: str) -> AnyField:
    """The cyclic field of that name. Raises AttributeError (none), TypeError (another kind)."""
    return _of_kind(instance, name, "cyclic", "CyclicDecayField", what)


def _of_kind(instance: Record, name: str, word: str, kind: str, what: str) -> AnyField:
    field = named_field(instance._meta, name)
    if field not in instance._meta.listed(word):
        raise TypeError(f"{what} needs a {kind}, and {field.label} is a {type(field).__name__}")
    return field
