"""References to records that nobody is known to have stored: told before they are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from popoto._unknown_names import warn_caller
from popoto.exceptions import UnsavedError
from popoto.fields.keeping.naming import model_of_key
from popoto.fields.reference import is_reference
from popoto.models.record.further import refuses_unknown
from popoto.models.record.record import Record
from popoto.models.writing.operation import Operation
from popoto.models.writing.saving import Saving


def tell_of_unsaved_targets(operations: Iterable[Operation]) -> None:
    """Warn of saves that refer to instances which were never saved, unless these go with them.

    Raises UnsavedError where a model is strict.
    """
    savings = [
        each
        for each in operations
        if isinstance(each, Saving) and each.options.listed("relationship")
    ]
    if not savings:
        return
    together: set[int] | None = None
    for saving in savings:
        for target, problem in _unsaved_targets(saving):
            if together is None:
                together = {id(each.instance) for each in operations}
            if id(target) in together:
                continue
            if refuses_unknown(saving.options):
                raise UnsavedError(f"{problem}; nothing was written")
            warn_caller(problem)


def _is_stored(field: Any, instance: Record, key: str) -> bool:
    """Whether the record that is stored refers to this key already."""
    stored = instance._stored.get(field.name)
    return stored is not None and field.decode(stored) == key


def _unsaved_targets(saving: Saving) -> Iterable[tuple[Record | None, str]]:
    values = vars(saving.instance)
    given: dict[str, str] = values.get("_references", {})
    for field in saving.options.listed("relationship"):
        if saving.partial and field.name not in saving.names:
            continue
        named: Any = values[field.name] if field.name in values else given.get(field.name)
        if type(named) is str or is_reference(named):
            key = str(named)
            wanted = field.known_target
            is_new = not _is_stored(field, saving.instance, key)
            if is_new and wanted is not None and model_of_key(wanted, key) is None:
                problem = (
                    f"{field.label} refers to {key!r}, which is no key of {wanted.__name__} or of "
                    "a model derived from it, so that it leads to nothing"
                )
                yield None, problem
            continue
        target: Any = values.get(field.name)
        # The key of a record, which may look like one, says on its own where it leads to.
        if not issubclass(type(target), Record) or target._is_stored:
            continue
        problem = (
            f"{field.label} refers to an instance of {type(target).__name__} that was never saved, "
            f"or was deleted, so that it may lead to nothing: save() that first, or give the key "
            f"{target.pk!r} as text for a record that is stored by somebody else"
        )
        yield target, problem
