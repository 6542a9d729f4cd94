"""Composite indexes (`Meta.indexes`): several fields, indexed (and perhaps unique) together."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from popoto.engine import keys
from popoto.fields.field import Field
from popoto.fields.keeping.entries import SlotEntry
from popoto.fields.keeping.families import KeyFamily

#: Hexadecimal digits of a composite index digest.
INDEX_HASH_LENGTH = 16
#: So many texts of equal values are looked at: more take three Decimals.
MOST_SPELLINGS = 1000


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
        digest = composite_digest(self.names, values, fields)
        if digest is None:
            return None
        if not self.unique:
            return SlotEntry(self.key, digest, key)
        stored = _stored(self.names, values, fields)
        pairs = [part for pair in zip(self.names, stored, strict=True) for part in pair]
        return SlotEntry(self.key, digest, key, _exact_digest(stored), tuple(pairs))


def other_slots(entry: SlotEntry, fields: Mapping[str, Field[Any]]) -> Iterator[SlotEntry]:
    """The slots of equal values that have other texts, as Decimals have, and what was written
    before equal values had one text.
    """
    # Any: the entry has names and bytes in turn.
    names: list[Any] = [*entry.values[::2]]
    stored: list[Any] = [*entry.values[1::2]]
    choices = [
        _spelled(fields[name], fields[name].decode(raw))
        for name, raw in zip(names, stored, strict=True)
    ]
    if not 1 < math.prod(map(len, choices)) <= MOST_SPELLINGS:
        return
    for chosen in product(*choices):
        digest = _digest_of(text for text, _ in chosen)
        if digest != entry.digest:
            equal = {name: value for name, (_, value) in zip(names, chosen, strict=True)}
            exact = _exact_digest(_stored(names, equal, fields))
            yield entry._replace(digest=digest, alternative=exact)


def _spelled(field: Field[Any], value: Any) -> list[tuple[str, Any]]:
    """The texts of the values that equal one, each with a value of it; at least its own."""
    if not field.is_spelled:
        return [(str(value), value)]
    # Of Decimals each text is a value that may be stored; of others they are the same value.
    texts = field.spellings(value) or (field.text_of(value),)
    return [(text, Decimal(text) if field.type is Decimal else value) for text in texts]


def _stored(
    names: Iterable[str], values: Mapping[str, Any], fields: Mapping[str, Field[Any]]
) -> list[Any]:
    """Bytes of the hash, which lists are not kept in."""
    return [fields[name].encode(values[name]) for name in names]


def _exact_digest(stored: Iterable[bytes]) -> str:
    """A digest that no two different tuples of stored values share."""
    exact = hashlib.sha256(b"".join(b"%d:%b" % (len(each), each) for each in stored))
    return exact.hexdigest()[: INDEX_HASH_LENGTH * 2]


def composite_digest(
    names: Iterable[str], values: Mapping[str, Any], fields: Mapping[str, Field[Any]]
) -> str | None:
    """The digest by which popoto 1.6 finds a tuple of values; None where any is None.

    Equal values have one text here too.
    """
    texts: list[str] = []
    for name in names:
        value = values.get(name)
        if value is None:
            return None
        field = fields.get(name)
        texts.append(field.text_of(value) if field and field.is_spelled else str(value))
    return _digest_of(texts)


def _digest_of(texts: Iterable[str]) -> str:
    text = keys.SEPARATOR.join(texts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:INDEX_HASH_LENGTH]
