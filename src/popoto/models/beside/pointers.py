"""What becomes of the pointers of popoto 1.8 to 1.10 that a record has, when it moves or goes."""

from __future__ import annotations

from collections.abc import Iterable

from popoto.engine.batch import Batch
from popoto.fields.keeping.entries import Entry, SetEntry
from popoto.fields.keeping.pointers import put_moved_pointer, put_pointer
from popoto.models.record.options import ModelOptions


def put_pointer_removal(batch: Batch, options: ModelOptions, key: str) -> None:
    """Queue that the pointers of a record go."""
    for field in options.pointed_fields:
        put_pointer(batch, key, field.name, "", has_texts=field.type is str)


def put_moved_pointers(batch: Batch, new: Iterable[Entry], old_key: str, new_key: str) -> None:
    """Queue, before its hash moves, that the pointers of a record go along."""
    for entry in new:
        if isinstance(entry, SetEntry) and entry.pointed:
            has_texts = entry.values_key is not None
            put_pointer(batch, old_key, entry.pointed, entry.key, has_texts=has_texts)
            put_moved_pointer(batch, old_key, new_key, entry.pointed)
