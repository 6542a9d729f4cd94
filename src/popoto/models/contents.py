"""Texts that belong into content stores: stored before the record that refers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from popoto.engine.request import Plan
from popoto.fields.content_field import Unstored

if TYPE_CHECKING:
    from popoto.fields.content_field import ContentField
    from popoto.models.save_commit import SaveCommit

#: By field: a text that was put into the store for a commit, and the reference's bytes.
Contents = dict[str, tuple[Unstored, bytes]]


def store_contents(commit: SaveCommit) -> Plan[None]:
    """Put references in place of texts in what a commit writes.

    A text is stored once, however often the commit is built anew.
    """
    for field in cast("list[ContentField]", commit.options.content_fields):
        name = field.name
        unstored = commit.changed.get(name)
        if not isinstance(unstored, Unstored):
            continue
        kept = commit.contents.get(name)
        if kept is None or kept[0] != unstored:
            reference: bytes = yield from field.put(commit.instance, unstored)
            kept = commit.contents[name] = unstored, reference
        commit.changed[name] = kept[1]
        if not commit.partial and (commit.known or {}).get(name) == kept[1]:
            del commit.changed[name]


def settle_contents(commit: SaveCommit) -> None:
    """Let the instance hold the references that were written, and keep the texts at hand."""
    for field in cast("list[ContentField]", commit.options.content_fields):
        if field.name in commit.contents:
            field.settle(commit.instance, *commit.contents[field.name])
