"""What fields prepare outside the server before a commit: a text that is put into a store, say."""

from __future__ import annotations

from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.models.writing.change import Change


def store_contents(commit: Change) -> Plan[None]:
    """Put what fields have prepared in place of stand-ins in what a commit writes.

    Each is prepared once, however often the commit is built anew.
    """
    for field in commit.options.preparing_fields:
        name = field.name
        if commit.partial and name not in commit.changed:
            continue
        encoded = commit.changed.get(name)
        is_held = _is_held(commit, name, encoded)
        wanted = field.unprepared(commit.instance, encoded, is_held=is_held)
        if wanted is None:
            continue
        kept = commit.contents.get(name)
        if kept is None or kept[0] != wanted:
            stored = yield from field.prepare(commit.instance, wanted)
            kept = wanted, stored
            commit.contents = {**commit.contents, name: kept}
        commit.changed[name] = kept[1]
        if not commit.partial and _is_held(commit, name, kept[1]):
            del commit.changed[name]


def _is_held(commit: Change, name: str, encoded: Stored | None) -> bool:
    """Whether the stored record is known to hold these bytes."""
    # What waits in a caller's pipeline may never be carried out.
    is_confirmed = name not in (commit.instance._unconfirmed or {})
    return is_confirmed and encoded == (commit.known or {}).get(name)


def settle_contents(commit: Change) -> None:
    """Let the instance hold what was written, and keep at hand what it was prepared from."""
    for field in commit.options.preparing_fields:
        if field.name in commit.contents:
            field.settle(commit.instance, *commit.contents[field.name])
