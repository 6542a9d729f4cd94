"""Forgetting a subject's events, and those that no consumer could handle (dead letters)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from popoto import redis_db
from popoto.engine.keys import SEPARATOR, shard_prefix
from popoto.engine.request import Argument, Call, Plan
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.forgetting import Subject, Trace

__all__ = ["forget_events"]

_PAGE = 1000
#: The fields of an event that hold keys of records.
_KEYS = ("pk", "source_pk", "target_pk")


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream of a model, or its dead letters, which are in its slot but not behind its tag."""

    key: str
    shard: str
    is_dead: bool = False

    def asked(self, command: str, *arguments: Argument) -> Plan[Any]:
        """Carry out a command on it."""

        def words(is_cluster: bool) -> tuple[Argument, ...]:
            head = "dead:" if self.is_dead else ""
            key = head + shard_prefix(self.shard, is_cluster=is_cluster) + self.key
            return (command, key, *arguments)

        def now() -> Any:
            connection = redis_db.connection()
            return connection.call(words(connection.is_cluster), repeatable=True)

        async def later() -> Any:
            connection = await redis_db.async_connection()
            return await connection.call(words(connection.is_cluster), repeatable=True)

        return (yield Call(now, later))


def forget_events(model: Any, subject: Subject) -> Plan[Mapping[str, Trace]]:
    """Remove the events of erased records from the streams of a model."""
    events, letters = Trace(), Trace()
    stem = f"stream:{model._stream_name}"
    partition_field: str | None = model._stream_partition_field
    for key in (yield from _stream_keys(model, subject, stem)):
        part = key[len(stem) + 1 :] if key != stem else ""
        is_own = subject.is_shard or (
            partition_field is not None and subject.is_partition((partition_field,), (part,))
        )
        for is_dead, trace in ((False, events), (True, letters)):
            stream = _Stream(key, subject.shard, is_dead)
            yield from _forget_in(stream, model, subject, trace, is_own=is_own)
    return {"events": events, "dead letters": letters}


def _stream_keys(model: Any, subject: Subject, stem: str) -> Plan[list[str]]:
    """The streams that a model's events may be in."""
    found = {stem: None}
    if model._stream_partition_field is None:
        return list(found)
    if model._stream_partition_field in subject.values:
        for text in sorted(subject.renderings(model._stream_partition_field)):
            found[stem + SEPARATOR + text] = None
    scan = Scan(subject.shard, b"*" + literally(stem + SEPARATOR) + b"*", _PAGE)
    page = yield from scan.next()
    while page is not None:
        texts = (key.decode("utf-8", "surrogateescape") for key in page)
        found.update((text.removeprefix("dead:"), None) for text in texts)
        page = yield from scan.next()
    return [key for key in found if key.startswith(stem)]


def _forget_in(
    stream: _Stream, model: Any, subject: Subject, trace: Trace, *, is_own: bool
) -> Plan[None]:
    kind: bytes = yield from stream.asked("TYPE")
    if kind != b"stream":
        return
    first: Argument = "-"
    while True:
        page: list[Any] = yield from stream.asked("XRANGE", first, "+", "COUNT", _PAGE)
        if not page:
            break
        trace.looked_at += len(page)
        gone = [number for number, parts in page if is_own or _is_of(model, subject, parts)]
        if gone:
            trace.removed += yield from stream.asked("XDEL", *gone)
        first = b"(" + page[-1][0]
    if is_own and not (yield from stream.asked("XLEN")):
        # Its name says whose it was.
        yield from stream.asked("DEL")


def _is_of(model: Any, subject: Subject, parts: list[bytes]) -> bool:
    texts = [part.decode("utf-8", "surrogateescape") for part in parts]
    event = dict(zip(texts[::2], texts[1::2], strict=False))
    if event.get("model") not in (model.__name__, model._meta.model_name):
        return False
    if any(subject.owns(event[name]) for name in _KEYS if name in event):
        return True
    return all(event.get(name) in subject.renderings(name) for name in subject.values)
