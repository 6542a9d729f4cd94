"""Forgetting a subject in the histories of other records: edges that led to its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto.engine.request import Command, Plan, Request
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.memory.history.noting import history_stem

__all__ = ["forget_in_histories"]

_PAGE = 1000
_KEYS_PER_CALL = 50


def forget_in_histories(options: Any, subject: Subject) -> Plan[Mapping[str, Trace]]:
    """Remove the entries of a model's histories that name erased records."""
    trace = Trace()
    stem = history_stem(options.model_name)
    scan = Scan(options.shard, literally(stem) + b"*", _PAGE)
    page = yield from scan.next()
    while page is not None:
        found = [key.decode("utf-8", "surrogateescape") for key in page]
        for first in range(0, len(found), _KEYS_PER_CALL):
            yield from _forget_in(options, subject, trace, found[first : first + _KEYS_PER_CALL])
        page = yield from scan.next()
    return {"histories": trace}


def _forget_in(options: Any, subject: Subject, trace: Trace, keys: list[str]) -> Plan[None]:
    kinds = yield Request([("TYPE", key) for key in keys], options.shard, repeatable=True)
    streams = [key for key, kind in zip(keys, kinds, strict=True) if kind == b"stream"]
    if not streams:
        return
    asked: list[Command] = [("XRANGE", key, "-", "+") for key in streams]
    replies = yield Request(asked, options.shard, repeatable=True)
    trace.looked_at += len(streams)
    commands: list[Command] = []
    for key, entries in zip(streams, replies, strict=True):
        gone = [number for number, parts in entries if subject.owns(_target_of(parts))]
        if gone:
            commands.append(("XDEL", key, *gone))
    if commands:
        removed = yield Request(commands, options.shard, repeatable=True, upkeep=True)
        trace.removed += sum(removed)


def _target_of(parts: list[bytes]) -> str:
    fields = dict(zip(parts[::2], parts[1::2], strict=False))
    return fields.get(b"target", b"").decode("utf-8", "surrogateescape")
