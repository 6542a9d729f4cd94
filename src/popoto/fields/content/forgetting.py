"""Forgetting a subject's contents: their files, and the earlier versions that were replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from popoto.engine import keys
from popoto.engine.codec import DecodeError
from popoto.engine.looking_up import looked_up, members_of
from popoto.engine.request import Call, Plan
from popoto.fields.content.collecting import collect, references_to
from popoto.fields.content.references import decode_text
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.keeping.shards import every_shard
from popoto.stores.abstract import AbstractContentStore
from popoto.stores.filesystem import FilesystemStore

__all__ = ["forget_contents", "references_in"]

#: What `garbage_collect` leaves alone, as a save may be under way.
_YOUNG = 300
_PAGE = 500


def references_in(options: Any, stored: Mapping[str, bytes]) -> list[str]:
    """The contents that the stored bytes of a record refer to."""
    found: list[str] = []
    for field in options.content_fields:
        raw = stored.get(field.name)
        if raw is not None:
            # What is no text refers to nothing.
            with contextlib.suppress(DecodeError):
                found.append(decode_text(raw) or "")
    return [each for each in found if each]


def forget_contents(options: Any, subject: Subject) -> Plan[Mapping[str, Trace]]:
    """Remove the contents of erased records that no other record refers to.

    Those of whose owner nothing is known go as far as `garbage_collect` may take them.
    """
    trace = Trace()
    stores = {id(field.store): field.store for field in options.content_fields}
    for store in stores.values():
        wanted = [each for each in subject.references if _may_be_of(store, each)]
        if isinstance(store, FilesystemStore):
            yield from _forget_files(store, options, wanted, trace)
        else:
            yield from _forget_in(store, options, wanted, trace)
    return {"contents": trace}


def _may_be_of(store: AbstractContentStore, reference: str) -> bool:
    # A store of somebody's own may lack the method.
    is_reference = getattr(store, "is_reference", None)
    return is_reference is None or bool(is_reference(reference))


def _forget_files(
    store: FilesystemStore, options: Any, wanted: Iterable[str], trace: Trace
) -> Plan[None]:
    places: list[tuple[str, str]] = yield Call(lambda: store.places_of(wanted))
    trace.looked_at += len(places)
    if places:
        # Others may have stored the very same text.
        needed = store.needed_by((yield from references_to(store, options.model_name)))
        trace.removed += yield Call(
            lambda: sum(store.remove_unless(*place, needed, 0) for place in places)
        )
    trace.removed += yield from collect(options.model_name, [store], _YOUNG)
    yield Call(lambda: store.forget_earlier(options.model_name))


def _forget_in(
    store: AbstractContentStore, options: Any, wanted: Iterable[str], trace: Trace
) -> Plan[None]:
    references = set(wanted)
    trace.looked_at += len(references)
    if not references:
        return
    for reference in references - (yield from _in_use(options)):
        trace.removed += yield Call(partial(_deleted, store, reference))


def _in_use(options: Any) -> Plan[set[str]]:
    """What the records of a model refer to now."""
    found: set[str] = set()
    for each in (yield from every_shard(options)):
        found |= yield from _in_use_in(each)
    return found


def _in_use_in(options: Any) -> Plan[set[str]]:
    found: set[str] = set()
    names = [field.name for field in options.content_fields]
    members = yield from members_of(keys.class_set_key(options.model_name), options.shard)
    for first in range(0, len(members), _PAGE):
        asked = [("HMGET", key, *names) for key in members[first : first + _PAGE]]
        for values in (yield from looked_up(asked, options.shard)):
            stored = {name: raw for name, raw in zip(names, values, strict=True) if raw is not None}
            found.update(references_in(options, stored))
    return found


def _deleted(store: AbstractContentStore, reference: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        store.delete(reference)
        return 1
    return 0
