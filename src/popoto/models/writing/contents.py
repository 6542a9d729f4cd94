"""What fields prepare outside the server before commits: texts for a store, vectors of texts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from popoto.engine.codec import Stored
from popoto.engine.request import Plan
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.stand_in import Prepared, StandIn
from popoto.models.record.options import AnyField
from popoto.models.writing.change import Change
from popoto.models.writing.operation import Operation

logger = logging.getLogger("POPOTO.field")


def prepare_contents(operations: Iterable[Operation]) -> Plan[None]:
    """Put what fields have prepared in place of stand-ins in what commits write.

    Each is prepared once, however often the commits are built anew; what one field prepares for
    several records it is asked for together.
    """
    changes = [each for each in operations if isinstance(each, Change) and not each.is_ready]
    waiting: dict[int, tuple[AnyField, list[tuple[Change, StandIn]]]] = {}
    for commit in changes:
        for field in commit.options.preparing_fields:
            wanted = _wanted(commit, field)
            if wanted is None:
                continue
            kept = commit.contents.get(field.name)
            if kept is None or kept[0] != wanted:
                waiting.setdefault(id(field), (field, []))[1].append((commit, wanted))
            else:
                _put(commit, field.name, kept[1])
    for field, commits in waiting.values():
        found = yield from field.prepare([(each.instance, wanted) for each, wanted in commits])
        for (commit, wanted), stored in zip(commits, found, strict=True):
            commit.contents = {**commit.contents, field.name: (wanted, stored)}
            _put(commit, field.name, stored)


def _wanted(commit: Change, field: AnyField) -> StandIn | None:
    name = field.name
    if commit.partial and name not in commit.changed:
        return None
    encoded = commit.changed.get(name)
    is_held = _is_held(commit, name, encoded)
    wanted: StandIn | None = field.unprepared(
        commit.instance, encoded, as_commit(commit), is_held=is_held
    )
    return wanted


def _put(commit: Change, name: str, stored: bytes) -> None:
    commit.changed[name] = stored
    if not commit.partial and not isinstance(stored, Prepared) and _is_held(commit, name, stored):
        del commit.changed[name]


def as_commit(change: Change, **more: Any) -> Commit:
    """What fields and mixins are told of a change, as it is known now."""
    return Commit(
        "create" if change.known is None else "update",
        change.key,
        change.old_key,
        tuple(change.names) if change.partial else None,
        queued=change.queued,
        known=change.known or {},
        changed=change.changed,
        **more,
    )


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


def take_back(operations: Iterable[Operation]) -> Plan[None]:
    """Undo what was prepared outside the server for operations that were not carried out.

    It is prepared again should they be tried again.
    """
    replaced: dict[int, tuple[AnyField, dict[str, Any]]] = {}
    for each in operations:
        if not isinstance(each, Change):
            continue
        for field in each.options.following_fields:
            _, stored = each.contents.get(field.name, (None, b""))
            if isinstance(stored, Prepared) and each.key in stored.replaced:
                _, found = replaced.setdefault(id(field), (field, {}))
                found[each.key] = stored.replaced[each.key]
                kept = {name: each.contents[name] for name in each.contents if name != field.name}
                each.contents, each.is_ready = kept, False
    for field, found in replaced.values():
        try:
            yield from field.put_back(found)
        except OSError as error:
            # What has refused the records is told all the same.
            logger.warning("%s: what was prepared could not be undone: %s", field.label, error)


def let_precede(operation: Operation) -> Plan[None]:
    """Tell fields that keep something outside the server where a record may soon be found.

    For an operation that waits in a caller's pipeline. What a record leaves for good stays, as the
    pipeline may be dropped: it is collected later.
    """
    old, new = (operation.options.following_fields and operation.left) or ("", None)
    if new is not None:
        for field in operation.options.following_fields:
            yield from field.precede([(old, new)])


def let_follow(operations: Iterable[Operation]) -> Plan[None]:
    """Tell fields that keep something outside the server which keys records have left."""
    moved: dict[int, tuple[AnyField, list[tuple[str, str | None]]]] = {}
    for operation in operations:
        left = operation.left if operation.options.following_fields else None
        if left is not None:
            for field in operation.options.following_fields:
                moved.setdefault(id(field), (field, []))[1].append(left)
    for field, keys in moved.values():
        yield from field.follow(keys)
