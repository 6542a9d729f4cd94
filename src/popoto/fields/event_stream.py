"""`EventStreamMixin`: every change of a record is written down in a Redis stream."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from popoto import clock
from popoto._unknown_names import is_strict, slip_of, tell
from popoto.engine.batch import Batch, append, prefix_in
from popoto.engine.request import Plan, Request, tagged
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.events.forgetting import forget_events
from popoto.fields.field import Field
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.keeping.naming import model_name_of

if TYPE_CHECKING:
    from redis.client import Pipeline

__all__ = ["EventStreamMixin"]

logger = logging.getLogger("POPOTO.EventStream")


class EventStreamMixin:
    """Writes each save and delete of a record into a stream, in the same step as the write.

    List it before or after `Model`. Settings, as class attributes:

    `_stream_name`              the stream is ``stream:NAME`` ("mutations")
    `_stream_partition_field`   a field whose value is appended, ``stream:NAME:VALUE``;
                                records without a value go to ``stream:NAME`` (None)
    `_stream_max_length`        entries to keep; None keeps all (10000)
    `_stream_exact_length`      keep exactly that many. Otherwise the server trims whole
                                blocks, which is cheaper and leaves up to some hundred more
    `_stream_metadata_fields`   names of fields that each entry carries along

    An entry is text: `model`, `pk` (record key), `op`, `ts` (seconds since 1970),
    `changed_fields` (those a partial save names, comma-joined, else empty), the metadata
    fields ("" for None and for unknown ones). `op` is ``create``, ``update`` or ``delete``, by
    what the server held. What changes nothing (a refused save, deleting what is not
    there) leaves no entry.

    Costs one XADD inside the commit, no round trip. On a cluster the stream lies in the slot
    of its model, as ``{Model}stream:NAME``.

    Raises ModelException when the class is made: empty name, unknown partition field, wrong
    length. A setting that is broken later is logged and loses the event of a plain save or
    delete, which itself succeeds; on a caller's pipeline it raises before anything is queued.
    """

    _stream_name: str = "mutations"
    _stream_partition_field: str | None = None
    _stream_max_length: int | None = 10000
    _stream_exact_length: bool = False
    _stream_metadata_fields: tuple[str, ...] = ()

    @classmethod
    def _check_model(cls) -> None:
        settings: Any = cls
        name: str = model_name_of(cls)
        _check_name(name, cls._stream_name)
        partition_field: object = cls._stream_partition_field
        if partition_field is not None:
            _check_partition_field(name, partition_field, settings._meta.by_name)
        length: object = cls._stream_max_length
        if length is not None and (type(length) is not int or length < 0):
            raise ModelException(
                f"{name}._stream_max_length must be a number of entries, 0 or more, or None to "
                f"keep all, got {length!r}"
            )
        if length == 0:
            tell(
                f"{name}._stream_max_length = 0 keeps no event; None keeps all",
                refuse=is_strict(settings._meta.strict),
            )
        if cls._stream_exact_length not in (True, False):
            raise ModelException(
                f"{name}._stream_exact_length is True or False, got {cls._stream_exact_length!r}"
            )
        if cls._stream_name.startswith("stream:"):
            tell(
                f"{name}._stream_name = {cls._stream_name!r}: the stream is stream:NAME, so that "
                f"its key is 'stream:{cls._stream_name}'; leave out the prefix",
                refuse=is_strict(settings._meta.strict),
            )
        if not isinstance(cls._stream_metadata_fields, (tuple, list, set, frozenset, dict)):
            raise ModelException(
                f"{name}._stream_metadata_fields must be a tuple of field names, "
                f"got {cls._stream_metadata_fields!r}"
            )
        fields = settings._meta.by_name
        for each in cls._stream_metadata_fields:
            meant = None if hasattr(cls, str(each)) else slip_of(str(each), fields)
            if meant is not None:
                tell(
                    f"{name}._stream_metadata_fields names {each!r}, which is no field, so events "
                    f"have no value for it; did you mean {meant!r}?",
                    refuse=is_strict(),
                )

    def _get_stream_key(self) -> str:
        """The stream of this record. Raises ModelException for a setting that cannot work."""
        record: Any = self
        name = type(self).__name__
        _check_name(name, self._stream_name)
        partition_field = self._stream_partition_field
        if partition_field is None:
            return f"stream:{self._stream_name}"
        _check_partition_field(name, partition_field, record._meta.by_name)
        partition = _value_of(record, partition_field)
        if partition is None:
            return f"stream:{self._stream_name}"
        return f"stream:{self._stream_name}:{partition}"

    def _xadd_event(
        self,
        op: str,
        extra_fields: Mapping[str, object] | None = None,
        pipeline: Pipeline | None = None,
    ) -> None:
        """Write an event of another kind; `extra_fields` follow the usual ones, as text.

        With a pipeline (or the batch of a commit) it is queued, and a broken setting raises
        ModelException; without, that is logged. One command.
        """
        if pipeline is not None:
            record: Any = self
            event = self._event(op, self._current_key(), extra=extra_fields)
            append(pipeline, *tagged(event, prefix_in(pipeline, record._meta.shard)))
            return
        request = self._event_request(op, extra_fields)
        if request is not None:
            run(request.plan())

    async def _async_xadd_event(
        self, op: str, extra_fields: Mapping[str, object] | None = None
    ) -> None:
        """`_xadd_event` for asyncio."""
        request = self._event_request(op, extra_fields)
        if request is not None:
            await arun(request.plan())

    def _event_request(self, op: str, extra: Mapping[str, object] | None) -> Request | None:
        record: Any = self
        try:
            command = self._event(op, self._current_key(), extra=extra)
        except ModelException as error:
            _log_lost(self, op, error)
            return None
        options = record._meta
        return Request.write(command, shard=options.shard, wait=options.wait)

    def _on_commit(self, batch: Batch, commit: Commit) -> None:
        try:
            command = self._event(
                commit.operation, commit.key, changed_fields=commit.update_fields or ()
            )
        except ModelException as error:
            if commit.queued:
                raise
            _log_lost(self, commit.operation, error)
            return
        batch.execute_command(*command)

    @classmethod
    def _forgetting(cls, subject: Subject) -> Plan[Mapping[str, Trace]]:
        return forget_events(cls, subject)

    def _current_key(self) -> str:
        record: Any = self
        key: str = record.pk
        return key

    def _event(
        self,
        op: str,
        key: str,
        *,
        changed_fields: tuple[str, ...] = (),
        extra: Mapping[str, object] | None = None,
    ) -> tuple[str | bytes | int, ...]:
        """The command that writes an event."""
        fields: dict[str, object] = {
            "model": type(self).__name__,
            "pk": key,
            "op": op,
            "ts": clock.now(),
            "changed_fields": ",".join(changed_fields),
        }
        for name in self._stream_metadata_fields:
            value = _value_of(self, name)
            fields[name] = "" if value is None else value
        fields.update(extra or {})
        trimming: tuple[str | int, ...] = ()
        if self._stream_max_length is not None:
            how = "=" if self._stream_exact_length else "~"
            trimming = ("MAXLEN", how, self._stream_max_length)
        pairs = [_bytes(part) for pair in fields.items() for part in pair]
        return ("XADD", self._get_stream_key(), *trimming, "*", *pairs)


def _check_name(model_name: str, stream_name: object) -> None:
    if not isinstance(stream_name, str) or not stream_name:
        raise ModelException(
            f"{model_name} has an empty _stream_name ({stream_name!r}): give its stream a name"
        )


def _check_partition_field(
    model_name: str, partition_field: object, fields: Mapping[str, object]
) -> None:
    if partition_field not in fields:
        raise ModelException(
            f"{model_name}._stream_partition_field is {partition_field!r}, which is no field of "
            f"{model_name}; fields are {', '.join(fields)}"
        )


def _value_of(record: Any, name: str) -> object:
    """An attribute's value, of a relationship the target's key; None for an unknown name."""
    field: Field[Any] | None = record._meta.by_name.get(name)
    if field is not None and field.is_reference:
        # Reading the attribute itself could load the target.
        return field.referred_key(record)
    return getattr(record, name, None)


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _log_lost(record: object, op: str, error: ModelException) -> None:
    logger.error("No %s event was written for a %s: %s", op, type(record).__name__, error)
