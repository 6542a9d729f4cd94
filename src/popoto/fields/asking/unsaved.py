"""Conditions on related instances that were never saved."""

from __future__ import annotations

from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.fields.describing import describe

__all__ = ["tell_of_unsaved"]


def tell_of_unsaved(label: str, related: Any) -> None:
    """Tell of an instance to which no record refers yet: its key is known once it is saved.

    One whose key fields have values stands for the record of that key. Raises UnknownNameError
    where names are strict.
    """
    options = related._meta
    if not related._is_stored and any(
        options.by_name[name].auto or getattr(related, name) is None for name in options.key_names
    ):
        tell(
            f"{label}: {describe(related)} is not saved, or was deleted: save it first, or give "
            f"its key {related.pk!r} as text for a record that is stored by somebody else",
            refuse=is_strict(options.strict),
        )
