"""The commands by which documents enter an index of words (``indexing.lua``), and its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from popoto.engine.batch import Batch, KeyArgument
from popoto.memory.commands import put

__all__ = [
    "changes_key",
    "forward_key",
    "lengths_key",
    "postings_key",
    "put_document",
    "put_transfer",
]

#: So many keys are declared with one command.
_MOST_KEYS: Final = 4_000


def postings_key(stem: str, term: str) -> str:
    """The documents that hold a term."""
    return f"{stem}:inv:{term}"


def forward_key(stem: str, member: str) -> str:
    """The terms of a document."""
    return f"{stem}:tf:{member}"


def lengths_key(stem: str) -> str:
    """How many words each document has."""
    return f"{stem}:dl"


def changes_key(stem: str) -> str:
    """The log of changes of a large index."""
    return f"{stem}:changes"


def _shared_keys(stem: str, member: str) -> list[KeyArgument]:
    names = ("df", "dl", "n", "avgdl", "analyzer", "changes")
    return [KeyArgument(f"{stem}:{name}") for name in names] + [
        KeyArgument(forward_key(stem, member))
    ]


def put_document(
    batch: Batch,
    stem: str,
    member: str,
    mark: str,
    words: Iterable[str],
    former: Iterable[str] = (),
    *,
    is_whole: bool = False,
) -> None:
    """Queue that a document has these words, and no others; without any it leaves the index.

    `former` are words that it is thought to have had: only for their keys to be declared. What
    the server holds decides.
    """
    counts = Counter(words)
    text = " ".join(f"{term} {count}" for term, count in counts.items())
    declared = _shared_keys(stem, member)
    terms = dict.fromkeys((*counts, *former))
    declared += [KeyArgument(postings_key(stem, term)) for term in terms]
    for first in range(_MOST_KEYS, len(declared), _MOST_KEYS):
        put(batch, "POSTINGS", stem, *declared[first : first + _MOST_KEYS])
    put(batch, "INDEX", stem, member, mark, text, int(is_whole), *declared[:_MOST_KEYS])


def put_transfer(
    batch: Batch, stem: str, member: str, to_stem: str, to_member: str, mark: str
) -> None:
    """Queue that a document moves to another key or index."""
    declared = {*_shared_keys(stem, member), *_shared_keys(to_stem, to_member)}
    put(
        batch,
        "TRANSFER",
        stem,
        member,
        KeyArgument(to_stem),
        to_member,
        mark,
        *sorted(declared),
    )
