"""The text of a record, and when a save has to index it."""

from __future__ import annotations

from typing import Any

from popoto.engine.codec import DecodeError
from popoto.fields.keeping.commit import Commit

__all__ = ["as_text", "brings_words", "text_of", "words_believed"]


def as_text(value: Any) -> str:
    """A value as it is indexed."""
    return "" if value is None else str(value)


def brings_words(name: str, source: Any, commit: Commit) -> bool:
    """Whether a commit has to index the text of the source; `name` is that of the index.

    A record that is created is indexed, and one of which the text changes.
    """
    if commit.operation != "update":
        return commit.operation == "create"
    if commit.update_fields is not None and name in commit.update_fields:
        return True
    written = commit.changed.get(source.name)
    return written is not None and written != commit.known.get(source.name)


def text_of(source: Any, instance: Any, commit: Commit) -> str:
    """The text that the record has once the commit is carried out."""
    record = instance
    if source.name not in commit.changed and source.name in commit.known and commit.as_stored:
        # What the instance holds is not saved now.
        record = commit.as_stored(())
    return as_text(getattr(record, source.name))


def words_believed(source: Any, commit: Commit) -> str:
    """The text that the record is believed to have until then, as far as that is at hand."""
    known = commit.known.get(source.name)
    if not isinstance(known, bytes) or source.prepares:
        return ""
    try:
        return as_text(source.decode(known))
    except DecodeError:
        return ""
