"""Entries that a stored record has under a value that is not its own.

Writers whose class lacks an index, or who know no classes, change the value and leave the entry.
A query that reads such a record sees that it does not match, leaves it out, and has the entry put
right. What stands nowhere, or is not read, nobody sees: that takes a rebuild.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from popoto.engine.batch import Batch
from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.engine.tree import Node, key_kinds
from popoto.fields.keeping.entries import SetEntry
from popoto.models.beside.leftovers import put_entry_removal, take_away
from popoto.models.record.options import AnyField, ModelOptions
from popoto.models.record.stored_form import decoded_values


def put_right(
    options: ModelOptions,
    found: Mapping[str, tuple[Mapping[str, Stored], Iterable[str]]],
    node: Node,
) -> Plan[bool]:
    """Put entries right that a query met; whether there was any to be put right.

    `found` has, by record key, what the record holds and the fields that do not match. As long as
    it holds that: other writers know better. One round trip.
    """
    looked_at = key_kinds(node)
    batches: list[Batch] = []
    for key, (stored, names) in found.items():
        batch = Batch()
        for name in names:
            _put_right(batch, options, options.by_name[name], key, stored, looked_at)
        if len(batch):
            batches.append(batch)
    changes = yield from take_away(options, batches, is_asked_for=False)
    return any(changes)


def _put_right(
    batch: Batch,
    options: ModelOptions,
    field: AnyField,
    key: str,
    stored: Mapping[str, Stored],
    looked_at: Mapping[str, str],
) -> None:
    """Queue the change of one field's entries, in the indexes that were looked at, to its own."""
    names = (field.name, *field.depends_on)
    if not all(name in stored for name in names):
        # Nothing was read that could be demanded.
        return
    entries = field.entries(key, decoded_values(options, stored, names))
    own = {str(entry.place[0]) for entry in entries}
    families = field.key_families()
    wrong = [
        (index_key, kind)
        for index_key, kind in looked_at.items()
        if index_key not in own and any(family.holds(index_key) for family in families)
    ]
    batch.guard_holds(key, stored, names)
    for index_key, kind in wrong:
        put_entry_removal(batch, options, index_key, kind, key)
    if not field.unique:
        # What has to be unique may be another record's by now.
        for entry in entries:
            entry.add(batch)
            if isinstance(entry, SetEntry):
                entry.point(batch)
