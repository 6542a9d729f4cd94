"""Composite indexes (`Meta.indexes`): several fields, indexed (and perhaps unique) together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from popoto.engine import keys
from popoto.fields.field import Field
from popoto.fields.keeping.entries import SlotEntry
from popoto.fields.keeping.families import KeyFamily

#: Hexadecimal digits of a composite index digest.
INDEX_HASH_LENGTH = 16


class CompositeIndex:
    """One item of ``Meta.indexes``: several fields, indexed (and perhaps unique) together."""

    def __init__(self, model_name: str, names: tuple[str, ...], unique: bool) -> None:
        self.names = names
        self.unique = unique
        self.key = keys.composite_index_key(model_name, names)

    @property
    def family(self) -> KeyFamily:
        """The one key of this index, for upkeep."""
        return KeyFamily("composite_indexes", self.key, self.key, "hash")

    def entry(
        self, key: str, values: Mapping[str, Any], fields: Mapping[str, Field[Any]]
    ) -> SlotEntry | None:
        """The slot of a record with these values; None where any value is None."""
        digest = composite_digest(self.names, values)
        if digest is None:
            return None
        if not self.unique:
            return SlotEntry(self.key, digest, key)
        # Any: bytes of the hash, which lists are not kept in.
        stored: list[Any] = [fields[name].encode(values[name]) for name in self.names]
        exact = hashlib.sha256(b"".join(b"%d:%b" % (len(each), each) for each in stored))
        pairs = [part for pair in zip(self.names, stored, strict=True) for part in pair]
        return SlotEntry(
            self.key, digest, key, exact.hexdigest()[: INDEX_HASH_LENGTH * 2], tuple(pairs)
        )


def composite_digest(names: Iterable[str], values: Mapping[str, Any]) -> str | None:
    """The digest by which popoto 1.6 finds a tuple of values; None where any is None."""
    found = [values.get(name) for name in names]
    if any(value is None for value in found):
        return None
    text = keys.SEPARATOR.join(str(value) for value in found)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:INDEX_HASH_LENGTH]
