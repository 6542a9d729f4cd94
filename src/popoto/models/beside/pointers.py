"""What becomes of the pointers of popoto 1.8 to 1.10 that a record has, when it moves or goes."""

from __future__ import annotations

from collections.abc import Iterable

from popoto.engine.batch import Batch
from popoto.fields.keeping.entries import Entry, SetEntry
from popoto.fields.keeping.pointers import put_moved_pointer, put_no_pointers, put_pointer
from popoto.models.record.options import ModelOptions


def put_pointer_removal(batch: Batch, options: ModelOptions, key: str) -> None:
    """Queue that the pointers of a record go."""
    put_no_pointers(batch, key, options.pointed_names)


def put_moved_pointers(batch: Batch, new: Iterable[Entry], old_key: str, new_key: str) -> None:
    """Queue, before its hash moves, that the pointers of a record go along."""
    for entry in new:
        if isinstance(entry, SetEntry) and entry.pointed:
            put_pointer(batch, old_key, entry.pointed, entry.key)
            put_moved_pointer(batch, old_key, new_key, entry.pointed)
