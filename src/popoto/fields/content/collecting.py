"""Removing contents that no record refers to any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from popoto.engine import keys
from popoto.engine.codec import DecodeError
from popoto.engine.looking_up import looked_up, members_of
from popoto.engine.nodes import on_cluster
from popoto.engine.request import Call, Plan
from popoto.fields.content.references import decode_text
from popoto.stores.abstract import AbstractContentStore
from popoto.stores.filesystem import PREFIX, FilesystemStore

#: How many records one request reads.
_PAGE = 500
#: A record that moves to another key while the keys are read is met in the next pass.
_MOST_PASSES = 3


def collect(
    model_name: str, stores: Iterable[AbstractContentStore], min_age_seconds: float
) -> Plan[int]:
    """The plan of `ContentField.garbage_collect` for a model with these stores; see there."""
    directories = {store.base_path: store for store in stores if isinstance(store, FilesystemStore)}
    removed = 0
    for store in directories.values():
        removed += yield from _collect_in(store, model_name, min_age_seconds)
    return removed


def _collect_in(store: FilesystemStore, model_name: str, age: float) -> Plan[int]:
    # First what may go, then what is in use: what is saved meanwhile is too young to go.
    candidates: list[tuple[str, str]] = yield Call(lambda: store.older_than(age, model_name))
    if not candidates:
        return 0
    needed = store.needed_by((yield from references_to(store, model_name)))
    removed: int = yield Call(
        lambda: sum(store.remove_unless(place, name, needed, age) for place, name in candidates)
    )
    yield Call(lambda: store.forget_earlier(model_name))
    return removed


def references_to(store: FilesystemStore, model_name: str) -> Plan[set[str]]:
    """What all records refer to that may have files of this store."""
    names: list[str] = yield Call(store.model_names)
    references: set[str] = set()
    for name in {model_name, *names}:
        # The archive is shared by all models, also by those this process does not know.
        yield from _add_references(name, references)
    return references


def _add_references(model_name: str, found: set[str]) -> Plan[None]:
    """Add everything that looks like a reference in the records of a model, in all its shards."""
    shards = [model_name]
    if (yield from on_cluster()):
        texts = yield from members_of(keys.shards_key(model_name), model_name)
        shards += [keys.shard_name(model_name, text) for text in texts]
    for shard in shards:
        yield from _add_references_in(shard, model_name, found)


def _add_references_in(shard: str, model_name: str, found: set[str]) -> Plan[None]:
    seen: set[bytes] = set()
    for _ in range(_MOST_PASSES):
        before = len(seen)
        cursor: Any = 0
        while True:
            (page,) = yield from looked_up(
                [("SSCAN", keys.class_set_key(model_name), cursor, "COUNT", _PAGE)], shard
            )
            cursor, members = int(page[0]), [key for key in page[1] if key not in seen]
            seen.update(members)
            if members:
                replies = yield from looked_up([("HVALS", key) for key in members], shard)
                found.update(_references_in(value for reply in replies for value in reply))
            if not cursor:
                break
        if len(seen) == before:
            return


def _references_in(values: Iterable[bytes]) -> Iterator[str]:
    prefix = PREFIX.encode()
    for value in values:
        if prefix in value[: len(prefix) + 5]:
            try:
                text = decode_text(value)
            except DecodeError:
                continue
            if text is not None:
                yield text
