"""Looking whether records are indexed with the words that their texts have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol, cast

from popoto.engine.batch import Batch, GuardFailure, outcomes
from popoto.engine.request import Plan
from popoto.exceptions import StoredDataError
from popoto.fields.documents.texts import as_text
from popoto.memory.bm25.documents import forward_key, lengths_key

__all__ = ["Indexing", "guard_on_text", "misindexed"]


class Indexing(Protocol):
    """What is asked of the field here."""

    source: str
    partition_by: tuple[str, ...]

    def words(self, text: str) -> list[str]: ...
    def stem(self, partition: Sequence[Any]) -> str: ...


def guard_on_text(batch: Batch, field: Indexing, record: Any) -> str:
    """Demand that a record still holds the text that was read; the stem of its index."""
    fields = record._meta.by_name
    names = [name for name in (field.source, *field.partition_by) if fields[name].in_hash]
    batch.guard_holds(record.pk, record._stored, names)
    return field.stem([getattr(record, name) for name in field.partition_by])


def misindexed(field: Indexing, records: Sequence[Any]) -> Plan[list[tuple[str, bool]]]:
    """The keys of records with other words in the index, and whether they have any there.

    A text that cannot be read says nothing, nor does a record that changes meanwhile.
    """
    questions: list[Batch] = []
    expected: list[tuple[str, Counter[bytes]]] = []
    for record in records:
        if field.source not in record._meta.by_name:
            return []
        try:
            words = field.words(as_text(getattr(record, field.source)))
        except (StoredDataError, FileNotFoundError):
            continue
        batch = Batch()
        stem = guard_on_text(batch, field, record)
        batch.put("ZRANGE", forward_key(stem, record.pk), 0, -1, "WITHSCORES")
        batch.put("ZSCORE", lengths_key(stem), record.pk)
        questions.append(batch)
        expected.append((record.pk, Counter(word.encode("utf-8") for word in words)))
    if not questions:
        return []
    told = yield from outcomes(questions, records[0]._meta.shard)
    found: list[tuple[str, bool]] = []
    for (key, counts), outcome in zip(expected, told, strict=True):
        if isinstance(outcome, GuardFailure):
            continue
        flat, length = cast("list[bytes]", outcome[0]), cast("bytes | None", outcome[1])
        stored = dict(zip(flat[::2], map(float, flat[1::2]), strict=True))
        if stored != counts or float(length or 0) != counts.total():
            found.append((key, length is not None))
    return found
