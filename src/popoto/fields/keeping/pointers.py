"""Pointers: notes of popoto 1.8 to 1.10 that name the value set in which a record stands.

These versions take a record out of the set that its pointer names, and out of no other. So a
pointer that there is follows every change of ours, and goes with its record; none is made.
"""

from __future__ import annotations

from collections.abc import Iterable

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument


def put_pointer(batch: Batch, record_key: str, field_name: str, set_key: str) -> None:
    """Queue that the pointers that there are name this set."""
    newer, older = keys.pointer_keys(record_key, field_name)
    batch.put("POINT", newer, older, record_key, field_name, set_key)


def put_no_pointers(batch: Batch, record_key: str, field_names: Iterable[str]) -> None:
    """Queue that the pointers that there are go, as the record does."""
    found = [key for name in field_names for key in keys.pointer_keys(record_key, name)]
    if found:
        batch.put("UNPOINT", *found)


def put_moved_pointer(batch: Batch, old_key: str, new_key: str, field_name: str) -> None:
    """Queue that the pointers of a record that moves go with it."""
    moves = zip(
        keys.pointer_keys(old_key, field_name), keys.pointer_keys(new_key, field_name), strict=True
    )
    for source, target in moves:
        for key in (source, target):
            # Of a text that a key field holds, a record may have such a name.
            batch.put("KIND", key, "string")
        batch.put("MOVE", source, KeyArgument(target))
