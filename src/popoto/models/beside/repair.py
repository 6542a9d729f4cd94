"""Self-repair: entries of records that a query found missing are removed on the way.

A record that was deleted or expired behind the library's back leaves its entries.
Queries never return it, and report it here. `Meta.self_repair = False` switches this
off; checking indexes never repairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.request import Plan, Reply, Request
from popoto.engine.tree import Node, key_kinds
from popoto.fields.keeping.entries import SetEntry
from popoto.models.beside import expiry
from popoto.models.record.options import ModelOptions


def repair(options: ModelOptions, dead: Sequence[Reply], node: Node) -> Plan[None]:
    """Remove what missing records left, each in a step that first makes sure of that.

    `dead` is what query.lua reports: keys, each followed by the note of what its
    entries were made of (empty if there is none). Besides what follows from that and
    from the key, entries go from the indexes that the query looked at. One round trip.
    """
    looked_at = key_kinds(node)
    batches: list[Batch] = []
    for key_bytes, note in zip(dead[::2], dead[1::2], strict=True):
        key: str = key_bytes.decode("utf-8")
        batch = Batch()
        expiry.guard_absent(batch, options, key, note)
        for entry in expiry.left_entries(options, key, note):
            entry.remove(batch)
        for index_key, kind in looked_at.items():
            _put_entry_removal(batch, options, index_key, kind, key)
        expiry.put_removal(batch, options, key)
        batches.append(batch)
    yield Request([batch.call() for batch in batches], options.shard, repeatable=True)


def _put_entry_removal(
    batch: Batch, options: ModelOptions, index_key: str, kind: str, key: str
) -> None:
    if kind == "zset":
        if not index_key.startswith("$Values:"):
            batch.put("ZREM", index_key, key)
    elif kind == "set":
        for field in options.entry_fields:
            if field.keeps_value_sets and index_key.startswith(field.value_set_prefix):
                text = keys.unescape(index_key.removeprefix(field.value_set_prefix))
                entry = field.value_entry(key, text) if field.type is str else None
                (entry or SetEntry(index_key, key)).remove(batch)
                return
        batch.put("SREM", index_key, key)
