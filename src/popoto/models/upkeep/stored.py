"""Walking over the records of a model as they are stored, whatever their indexes say."""

from __future__ import annotations

from collections.abc import Sequence

from popoto.engine.request import Plan
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.records import KeyWalk, read_entries


class StoredWalk:
    """All records of a model, page by page, with the bytes of their hash fields."""

    def __init__(self, options: ModelOptions, batch_size: int) -> None:
        self.options = options
        self._keys = KeyWalk(options, batch_size)

    def next(self) -> Plan[dict[str, dict[str, bytes]] | None]:
        """The next records (perhaps none of a page), or None at the end."""
        head = yield from self._keys.next()
        return None if head is None else (yield from stored_records(self.options, head))


def stored_records(
    options: ModelOptions, record_keys: Sequence[str]
) -> Plan[dict[str, dict[str, bytes]]]:
    """The hash fields of the records under these keys, as far as there are any."""
    if not record_keys:
        return {}
    wanted = [(key, "record", "0") for key in record_keys]
    names = options.hash_names
    _, records = yield from read_entries(options, wanted, len(wanted) + 1, names)
    return {
        key: {name: raw for name, raw in zip(names, values, strict=True) if raw is not None}
        for key, (exists, values) in records.items()
        if exists == 1
    }
