"""Values on their way into a new instance whose class has a ``__setattr__`` of its own.

It is called as an assignment calls it: with what was given, before anything is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto.fields.relationship import UNSET
from popoto.models.record.record import Record


def assign(instance: Record, given: Mapping[str, Any]) -> None:
    """Assign the defaults of what was not given, then what was given, each by its field's name."""
    fields = instance._meta.by_name
    defaults = {name: f.make_default() for name, f in fields.items() if name not in given}
    chosen = {name: given[name] for name in fields if name in given}
    for name, value in (defaults | chosen).items():
        setattr(instance, name, value)
    values = vars(instance)
    for name, field in fields.items():
        # What the class keeps in a place of its own is read from there.
        value = field.assigned_value(instance, values.pop(name, getattr(instance, name)))
        if value is not UNSET:
            values[name] = value
