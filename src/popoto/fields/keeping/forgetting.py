"""Forgetting a subject: what fields and mixins keep of records beside their entries and keys.

Records go by commits that take every entry and key of their own along. What mentions them
elsewhere (events, files, the histories of others) is forgotten by who keeps it: a field in
`Field.forgetting`, a mixin in the class method `_forgetting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from popoto.engine import keys
from popoto.engine.request import Plan
from popoto.fields.adapting import text_in_key

__all__ = ["Subject", "Trace", "nothing"]


def nothing() -> Plan[Mapping[str, Trace]]:
    """The plan of those who keep nothing elsewhere."""
    return {}
    yield  # a plan, though it asks for nothing


@dataclass(slots=True)
class Trace:
    """What was looked at for traces of a subject, and what became of them.

    `looked_at`  how many places of the kind were looked at
    `removed`    how many of them were of the subject, and are gone
    `remaining`  how many of the subject were there when it was looked for the last time
    """

    looked_at: int = 0
    removed: int = 0
    remaining: int = 0

    def add(self, other: Trace) -> None:
        """Take in what was found elsewhere of the same kind."""
        self.looked_at += other.looked_at
        self.removed += other.removed
        self.remaining += other.remaining


class Subject:
    """Whose records are erased: all of one shard of a model whose fields have these values."""

    def __init__(self, options: Any, values: Mapping[str, Any]) -> None:
        self.shard: str = options.shard
        self.values = dict(values)
        #: the records that are erased, by key, and the contents that they refer to
        self.records: dict[str, Sequence[str]] = {}
        self._texts = {
            name: options.by_name[name].text_of(value) for name, value in self.values.items()
        }
        #: whether the shard is the subject's: nothing else is in it, and its name says whose it is
        self.is_shard: bool = (
            options.shard_text is not None
            and self._texts.get(options.shard_by) == options.shard_text
        )
        self._parts: dict[int, str] = {}
        if options.key_field_names.issuperset(self.values):
            self._parts = {
                options.get_db_key_index_position(name): keys.escape(text)
                for name, text in self._texts.items()
            }
        self._head = options.model_name

    def owns(self, key: str) -> bool:
        """Whether a key is that of an erased record, or says itself that it is the subject's."""
        if key in self.records:
            return True
        if not self._parts:
            return False
        parts = key.split(keys.SEPARATOR)
        return parts[0] == self._head and all(
            position < len(parts) and parts[position] == part
            for position, part in self._parts.items()
        )

    def is_partition(self, names: Sequence[str], parts: Sequence[str]) -> bool:
        """Whether only records of the subject stand in the partition of this name.

        `names` are the fields that partition, `parts` their values as they stand in keys.
        """
        if not names or not set(names).issuperset(self.values) or len(names) != len(parts):
            return False
        found = dict(zip(names, parts, strict=True))
        return all(found[name] in self.renderings(name) for name in self.values)

    def renderings(self, name: str) -> set[str]:
        """How the value of a field stands in names of keys."""
        value, text = self.values[name], self._texts[name]
        return {text, keys.escape(text), keys.escape(text_in_key(value)), str(value)}

    @property
    def references(self) -> Iterable[str]:
        """The contents that erased records refer to."""
        return (each for found in self.records.values() for each in found)
