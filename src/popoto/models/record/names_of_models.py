"""Names under which models keep their records, and two models that would share one."""

from __future__ import annotations

import sys
from weakref import WeakValueDictionary

from popoto._unknown_names import warn_caller

#: The latest class that keeps its records under a name.
_keepers: WeakValueDictionary[str, type] = WeakValueDictionary()


def note_name(model: type, name: str, *, is_named: bool) -> None:
    """Take note of who keeps records under a name; warn where that is another module's class too.

    `is_named`: the class says in which module it was written. One that is defined once more in
    the same file (a notebook's cell, a reload, a module known under two names) takes the place of
    the former.
    """
    former = _keepers.get(name)
    _keepers[name] = model
    if former is None or not is_named or source_of(former) == source_of(model):
        return
    warn_caller(
        f"{model.__module__}.{model.__qualname__} keeps its records under the name {name!r}, as "
        f"{former.__module__}.{former.__qualname__} does: they share all records, and delete_all() "
        "of one empties both. Give one of them a Meta.name of its own"
    )


def known_models() -> list[type]:
    """The latest class under each name, of those that still exist."""
    return list(_keepers.values())


def source_of(model: type) -> str:
    """The file, or else the module, that a class was written in."""
    module = sys.modules.get(model.__module__)
    return getattr(module, "__file__", None) or model.__module__
