"""Texts that belong into content stores: stored before the record that refers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from popoto.engine.request import Plan
from popoto.fields.content_field import Unstored

if TYPE_CHECKING:
    from popoto.fields.content_field import ContentField
    from popoto.models.writing.change import Change


def store_contents(commit: Change) -> Plan[None]:
    """Put references in place of texts in what a commit writes.

    A text is stored once, however often the commit is built anew.
    """
    for field in cast("list[ContentField]", commit.options.content_fields):
        name = field.name
        unstored = commit.changed.get(name)
        if unstored is None:
            continue
        if not isinstance(unstored, Unstored) and not _is_held(commit, name, unstored):
            # Its text may have been collected.
            unstored = field.unstored_again(commit.instance)
        if not isinstance(unstored, Unstored):
            continue
        kept = commit.contents.get(name)
        if kept is None or kept[0] != unstored:
            reference: bytes = yield from field.put(commit.instance, unstored)
            kept = commit.contents[name] = unstored, reference
        commit.changed[name] = kept[1]
        if not commit.partial and _is_held(commit, name, kept[1]):
            del commit.changed[name]


def _is_held(commit: Change, name: str, reference: bytes) -> bool:
    """Whether the stored record is known to hold this reference."""
    # What waits in a caller's pipeline may never be carried out.
    is_confirmed = name not in (commit.instance._unconfirmed or {})
    return is_confirmed and reference == (commit.known or {}).get(name)


def settle_contents(commit: Change) -> None:
    """Let the instance hold the references that were written, and keep the texts at hand."""
    for field in cast("list[ContentField]", commit.options.content_fields):
        if field.name in commit.contents:
            field.settle(commit.instance, *commit.contents[field.name])
