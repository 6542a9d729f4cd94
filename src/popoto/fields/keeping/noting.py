"""Changes of what a record's memory holds, queued with the entry of its history, if it has one.

A batch knows by its `noting` who changes the record, when and why; it has none where the model
keeps no history.
"""

from __future__ import annotations

from typing import Any

from popoto.engine.batch import Batch
from popoto.engine.request import Argument
from popoto.fields.keeping.commit import Commit
from popoto.memory.commands import put
from popoto.memory.history.noting import Kind, Noting, history_key

__all__ = ["note_save", "put_noted"]

#: Commands that can be noted and need no extension of commit.lua themselves.
_PLAIN = frozenset({"ADD", "FILL", "HDEL", "HSET", "HSETNX", "ZREM"})


def put_noted(
    batch: Batch,
    kind: Kind,
    field: str,
    record: str,
    name: str,
    key: str | None,
    *arguments: Argument,
    signal: float | None = None,
    when: str = "",
) -> None:
    """Queue a command, and an entry of what it changes.

    `when`: only if an earlier command of the call has told that.
    """
    noting: Noting | None = batch.noting
    words: tuple[Argument, ...] = (name, *arguments)
    if noting is not None:
        words = ("NOTED", *noting.head(record, kind, field, signal), *words)
    if when:
        words = ("WHEN", when, *words)
    if words[0] in _PLAIN:
        batch.put(name, key, *arguments)
    else:
        put(batch, str(words[0]), key, *words[1:])


def note_save(instance: Any, batch: Batch, commit: Commit) -> None:
    """Of a model with a history: begin that of a new record; note clocks that a save sets."""
    noting: Noting | None = batch.noting
    if commit.operation == "delete" or noting is None:
        return
    options = instance._meta
    if commit.operation == "create":
        # One that a missing record has left is not this record's.
        batch.put("DEL", history_key(options.model_name, commit.key))
    for field in options.listed("decay"):
        before, after = commit.known.get(field.name), commit.changed.get(field.name)
        if after is not None and after != before:
            head = noting.head(commit.key, "decay", field.name, None)
            ends = (_text(field, before), _text(field, after))
            put(batch, "NOTE", commit.key, *head, *ends)


def _text(field: Any, stored: Any) -> str:
    """A stored moment as entries have it."""
    value = None if stored is None else field.decode(stored)
    return "" if value is None else repr(value)
