"""The document of a record: its words in an index, as an entry, and where such entries stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from popoto.engine.batch import Batch
from popoto.engine.keys import SEPARATOR, escape
from popoto.fields.adapting import text_in_key
from popoto.fields.keeping.entries import Carried
from popoto.fields.keeping.families import KeyFamily
from popoto.memory.bm25.documents import lengths_key, put_document, put_transfer

__all__ = ["DocumentEntry", "DocumentFamily", "RestFamily", "stem_of"]

_LENGTHS = lengths_key("")


def stem_of(root: str, partition: tuple[Any, ...] | list[Any]) -> str:
    """What the keys of an index begin with: `root`, and the values of its partition.

    "@" keeps these from being taken for the index's own parts.
    """
    if not partition:
        return root
    values = SEPARATOR.join(escape(text_in_key(value)) for value in partition)
    return f"{root}:@{values}"


@dataclass(frozen=True, slots=True)
class DocumentEntry(Carried):
    """The words of one record. They do not follow from what decides its place.

    Who saves the text writes them; what stands there is what is moved or taken away.
    """

    #: the key of the lengths of the index's documents, by which the entry is known
    key: str
    member: str
    kind: str
    mark: str

    @property
    def stem(self) -> str:
        """What the keys of the index begin with."""
        return self.key.removesuffix(_LENGTHS)

    def begin(self, batch: Batch) -> None:
        """Nothing: the save that creates a record writes its words, and takes others away."""

    def carry(self, batch: Batch, to: DocumentEntry) -> None:
        put_transfer(batch, self.stem, self.member, to.stem, to.member, to.mark)

    def remove(self, batch: Batch) -> None:
        put_document(batch, self.stem, self.member, self.mark, ())

    def look(self, batch: Batch) -> None:
        batch.put("ZSCORE", self.key, self.member)


@dataclass(frozen=True, slots=True)
class DocumentFamily(KeyFamily):
    """The documents of an index, or of all partitions of one: the keys of their lengths."""

    parts: int = 0

    def holds(self, key: str) -> bool:
        if not key.endswith(_LENGTHS):
            return False
        stem = key.removesuffix(_LENGTHS)
        if self.parts == 0:
            return stem == self.stem
        head = f"{self.stem}:@"
        return stem.startswith(head) and stem.count(SEPARATOR, len(head)) == self.parts - 1

    def remove(self, batch: Batch, key: str, item: str, member: str) -> None:
        put_document(batch, key.removesuffix(_LENGTHS), member, "", ())


@dataclass(frozen=True, slots=True)
class RestFamily(KeyFamily):
    """All other keys of an index."""

    documents: DocumentFamily | None = None

    def holds(self, key: str) -> bool:
        # Named, as a class with slots is made anew, and super() would not know it.
        is_ours = KeyFamily.holds(self, key)
        return is_ours and not (self.documents is not None and self.documents.holds(key))
