"""Pointers: notes of popoto 1.8 to 1.10 that name the value set in which a record stands.

These versions take a record out of the set that its pointer names, and out of no other. So a
pointer that there is follows every change of ours, and goes with its record; none is made.
"""

from __future__ import annotations

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument


def put_pointer(
    batch: Batch, record_key: str, field_name: str, set_key: str, *, has_texts: bool
) -> None:
    """Queue that the pointers that there are name this set, or go if that is ""."""
    newer, older = keys.pointer_keys(record_key, field_name)
    batch.put(
        "POINT",
        newer,
        KeyArgument(record_key),
        field_name,
        KeyArgument(older),
        set_key,
        0 if has_texts else 1,
    )


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
