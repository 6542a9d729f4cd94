"""The fingerprint of a record, and when a save has to look at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from popoto.fields.keeping.commit import Commit
from popoto.memory.text.words import tokenize

__all__ = ["NOT_TOLD", "Fingerprint", "fingerprint_of", "new_fingerprint", "words_of"]

#: What a user's function makes of a record, as text; None: the record key.
Fingerprint = Callable[[Any], Any] | None

#: What a user's function raises where it cannot make anything of a record.
NOT_TOLD = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError)


def words_of(fingerprint: object) -> Sequence[str]:
    """The words of a fingerprint; all of it, in lower case, where it has none."""
    text = str(fingerprint)
    return tokenize(text) or [text.lower()]


def fingerprint_of(function: Fingerprint, instance: Any, key: str) -> str:
    """The fingerprint of a record. Raises ValueError where the function returns None."""
    return key if function is None else _as_text(function(instance), key)


def _as_text(found: object, key: str) -> str:
    if found is None:
        raise ValueError(
            f"fingerprint_fn returned None for {key}: it must return a text; nothing was written"
        )
    return str(found)


def new_fingerprint(function: Fingerprint, name: str, instance: Any, commit: Commit) -> str | None:
    """The fingerprint that a commit has to take in; None where it brings nothing new.

    A save of all fields always does, and a partial one that names the field. Another partial
    save does where it changes the fingerprint, whatever that is made of.
    """
    names = commit.update_fields
    if commit.operation == "delete":
        return None
    if names is None or name in names or commit.as_stored is None:
        return fingerprint_of(function, instance, commit.key)
    if function is None:
        return commit.key if commit.key != commit.old_key else None
    written = {each: stored for each, stored in commit.changed.items() if each != name}
    if all(commit.known.get(each) == stored for each, stored in written.items()):
        return None
    after = _told(function, commit.as_stored(written))
    if all(each in commit.known for each in written):
        before = _told(function, commit.as_stored(()))
    else:
        before = None
    return _news(before, after, commit.key)


def _news(before: Any, after: Any, key: str) -> str | None:
    """A fingerprint (or the error in its place) that was another one before; None: not told."""
    if isinstance(after, Exception):
        if before is None or isinstance(before, Exception):
            return None
        raise after
    return None if after == before else _as_text(after, key)


def _told(function: Callable[[Any], Any], record: Any) -> Any:
    """What the function makes of a record, or the error that this is for it."""
    try:
        return function(record)
    except NOT_TOLD as error:
        return error
