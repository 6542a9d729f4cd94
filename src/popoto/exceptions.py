"""Every exception of the package, in one place.

Three roots exist because callers of the published package catch them by name:
`ModelException` (definitions, values, saving), `QueryException` (asking) and
`PopotoException` (the framework itself). Errors of the server pass through as
redis-py raises them; the subclasses of `redis.ConnectionError` below only
add whether anything can have been written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import redis.exceptions

__all__ = [
    "AlreadyExistsError",
    "BlockingReadError",
    "BulkError",
    "CommandRefusedError",
    "ConfigurationError",
    "ConflictError",
    "KeyMutationError",
    "MatchExistsError",
    "MissingTargetError",
    "ModelException",
    "NoStreamError",
    "NotReplicatedError",
    "NotStoredError",
    "NothingWrittenError",
    "NumberOverflowError",
    "OutcomeUnknownError",
    "OutcomeUnknownTimeoutError",
    "PartlyRefusedClusterDownError",
    "PartlyRefusedError",
    "PartlyRefusedLoadingError",
    "PartlyRefusedMasterDownError",
    "PartlyRefusedMemoryError",
    "PartlyRefusedReadOnlyError",
    "PartlyRefusedTryAgainError",
    "PartlyWrittenError",
    "PopotoException",
    "ProtectedError",
    "PublisherException",
    "QueryException",
    "RecordGoneError",
    "RefusedClusterDownError",
    "RefusedError",
    "RefusedLoadingError",
    "RefusedMasterDownError",
    "RefusedMemoryError",
    "RefusedReadOnlyError",
    "RefusedTryAgainError",
    "RowError",
    "SkipSaveException",
    "StoredDataError",
    "SubscriberException",
    "UniquenessError",
    "UnknownNameError",
    "UnsavedError",
    "ValidationError",
    "VectorMismatchError",
]

_logger = logging.getLogger("POPOTO-REDIS_DB")


class PopotoException(Exception):
    """A failure of the framework itself. Creating one logs its message at ERROR."""

    def __init__(self, message: str) -> None:
        self.message = message
        _logger.error(message)
        super().__init__(message)


def _as_it_was(kind: type[Exception], args: tuple[object, ...], state: dict[str, Any]) -> Exception:
    made = kind.__new__(kind, *args)
    vars(made).update(state)
    return made


def _reduced(self: Exception) -> tuple[Any, ...]:
    """`__reduce__` of errors that are copied and pickled whatever their class is called with."""
    return _as_it_was, (type(self), self.args, vars(self))


class ModelException(Exception):
    """A model definition, a value, or a save, load or delete that cannot be carried out."""

    __reduce__ = _reduced


class ValidationError(ModelException, ValueError):
    """A value does not fit its field. Raised before anything is written.

    Attributes: `model_name`, `field_name`, `value` (each may be None when unknown).
    """

    def __init__(
        self,
        message: str,
        *,
        model_name: str | None = None,
        field_name: str | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.model_name = model_name
        self.field_name = field_name
        self.value = value


class UnknownNameError(ModelException, TypeError):
    """A keyword or an option that nobody knows, where such names are refused. Nothing was written.

    Constructors warn of unknown keywords unless `Meta.strict` or `configure(strict=True)` asks for
    errors. `save` and `delete` always refuse what no hook takes.
    """


class UniquenessError(ModelException):
    """Another live record holds a value that has to be unique. Nothing was written."""


class AlreadyExistsError(ModelException):
    """`create()` or a key migration met a stored record under the key. Nothing was written."""


class MatchExistsError(AlreadyExistsError):
    """What `get_or_create` looked for was created by others, and was gone again each time."""


class RowError(NamedTuple):
    """One row of a bulk operation that cannot be carried out, and why."""

    position: int
    instance: Any
    error: ModelException


class BulkError(ModelException):
    """A batch of a bulk operation was not carried out: some of its rows cannot be.

    Attributes: `errors` (a `RowError` for each of these rows, `position` counting the rows
    given from 0), `done` (how many rows have been written, most of the time those of the
    batches before), `stored` (positions of the rows of this batch that have been written all
    the same: empty, except where a batch takes several steps, see docs/bulk.md).
    """

    def __init__(
        self, message: str, errors: Sequence[RowError], done: int, stored: Sequence[int] = ()
    ) -> None:
        super().__init__(message)
        self.errors = list(errors)
        self.done = done
        self.stored = list(stored)


class CommandRefusedError(ModelException, redis.exceptions.ResponseError):
    """The server refused a command that a hook had queued with a write.

    The write itself was carried out, with everything that belongs to it.
    """


class NoStreamError(ModelException, redis.exceptions.ResponseError):
    """The key of a stream holds something else, which another program uses."""


class KeyMutationError(ModelException):
    """A key field of a stored record changed without `save(migrate_key=True)`."""


class ConflictError(ModelException):
    """The stored record is not as the caller expects it. Nothing was written.

    Attributes, by field name: `expected`, the values that the record should have had;
    `stored`, what the server holds (None when the record is gone); `mine`, what was to be
    written. They are empty where other writers were faster many times in a row.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = MappingProxyType({}),
        mine: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.expected = dict(expected or {})
        self.stored = None if stored is None else dict(stored)
        self.mine = dict(mine or {})


class ProtectedError(ModelException):
    """A record cannot be deleted, because others refer to it by a relationship with PROTECT.

    `holders` are the keys of those that do, the first 1,000 of them.
    """

    def __init__(self, message: str, holders: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.holders = tuple(holders)


class NotStoredError(ModelException):
    """The record is not stored (never saved, deleted or expired). Nothing was written."""


class RecordGoneError(NotStoredError):
    """A save of a record that was stored, and that somebody has deleted since, or that expired.

    Nothing was written: what was taken away on purpose does not come back by a stale copy.
    `save(recreate=True)` writes the record again, whole.
    """


class MissingTargetError(NotStoredError, AttributeError):
    """Something was asked of a related record that is not stored."""


class UnsavedError(NotStoredError, TypeError):
    """An operation on a stored record was called on an instance that was never saved."""


class NumberOverflowError(ValidationError, OverflowError):
    """The sum is beyond what the field can hold. Nothing was written."""


class StoredDataError(ModelException):
    """Bytes on the server cannot be decoded as the field that they belong to."""


class BlockingReadError(ModelException, RuntimeError):
    """An attribute would read the server while the event loop of its thread is running."""


class SkipSaveException(ModelException):
    """Raised inside a write filter to leave a record unsaved; `save()` catches it."""


class QueryException(Exception):
    """A query that cannot be answered as written, or a lookup with several answers."""


class NoTextError(QueryException, AttributeError):
    """What is to be searched for is no text. An AttributeError too, as popoto 1.6 raises it."""


class VectorMismatchError(ModelException, QueryException):
    """Vectors are stored that another embedding model has made; `reembed` makes them anew."""


class PublisherException(Exception):
    """A message has no channel to go to."""


class SubscriberException(Exception):
    """A message handler failed."""


class ConfigurationError(ValueError):
    """A connection URL or setting that cannot be used. Raised before any connection is opened."""


class NothingWrittenError(redis.exceptions.ConnectionError):
    """Nothing was written: the server could not be reached, or refused the write as a whole."""


class RefusedError(NothingWrittenError, redis.exceptions.ResponseError):
    """The server takes no writes now (MISCONF, NOREPLICAS, BUSY, ...). Nothing was written.

    Where redis-py has a class for the reason, the error is one of that class too.
    """


class RefusedMemoryError(RefusedError, redis.exceptions.OutOfMemoryError):
    """OOM: the server's memory is full. Nothing was written."""


class RefusedReadOnlyError(RefusedError, redis.exceptions.ReadOnlyError):
    """READONLY: the server is a replica. Nothing was written."""


class RefusedLoadingError(RefusedError, redis.exceptions.BusyLoadingError):
    """LOADING: the server went on reading its data for too long. Nothing was written."""


class RefusedClusterDownError(RefusedError, redis.exceptions.ClusterDownError):
    """CLUSTERDOWN: the cluster went on being down for too long. Nothing was written."""


class RefusedMasterDownError(RefusedError, redis.exceptions.MasterDownError):
    """MASTERDOWN: a replica has lost its primary. Nothing was written."""


class RefusedTryAgainError(RefusedError, redis.exceptions.TryAgainError):
    """TRYAGAIN: a slot of the cluster went on moving for too long. Nothing was written."""


class OutcomeUnknownError(redis.exceptions.ConnectionError):
    """The connection failed after a write was sent: it may or may not have been carried out."""


class PartlyWrittenError(OutcomeUnknownError):
    """A bulk operation ended half-way: the server could not be reached, or refused a batch.

    What was under way then was not written. `done` says how many rows were written, `stored` has
    the positions of those among them that are of the batch under way: as of a `BulkError`.
    """

    __reduce__ = _reduced

    def __init__(self, message: str, *, done: int = 0, stored: Sequence[int] = ()) -> None:
        super().__init__(message)  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
        self.done = done
        self.stored = list(stored)


class PartlyRefusedError(PartlyWrittenError, redis.exceptions.ResponseError):
    """The server takes no writes any more (MISCONF, NOREPLICAS, ...); earlier rows are stored.

    Where redis-py has a class for the reason, the error is one of that class too.
    """


class PartlyRefusedMemoryError(PartlyRefusedError, redis.exceptions.OutOfMemoryError):
    """OOM in the middle of a bulk operation. `done` says how many rows are stored."""


class PartlyRefusedReadOnlyError(PartlyRefusedError, redis.exceptions.ReadOnlyError):
    """READONLY in the middle of a bulk operation. `done` says how many rows are stored."""


class PartlyRefusedLoadingError(PartlyRefusedError, redis.exceptions.BusyLoadingError):
    """LOADING in the middle of a bulk operation. `done` says how many rows are stored."""


class PartlyRefusedClusterDownError(PartlyRefusedError, redis.exceptions.ClusterDownError):
    """CLUSTERDOWN in the middle of a bulk operation. `done` says how many rows are stored."""


class PartlyRefusedMasterDownError(PartlyRefusedError, redis.exceptions.MasterDownError):
    """MASTERDOWN in the middle of a bulk operation. `done` says how many rows are stored."""


class PartlyRefusedTryAgainError(PartlyRefusedError, redis.exceptions.TryAgainError):
    """TRYAGAIN in the middle of a bulk operation. `done` says how many rows are stored."""


class NotReplicatedError(OutcomeUnknownError):
    """The write was carried out by the primary, and fewer replicas have it than were asked for.

    It stays where it is, and is lost only if the primary is lost, or replaced, before a
    replica has it. The instance knows what is stored. Do not write it again: look, if at all.

    Attributes: `wanted` (how many replicas were to have it), `replicas` (how many had said so
    in time), `result` (what the operation would have returned).
    """

    __reduce__ = _reduced

    def __init__(self, message: str, *, wanted: int, replicas: int, result: object = None) -> None:
        super().__init__(message)  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
        self.wanted = wanted
        self.replicas = replicas
        self.result = result


class OutcomeUnknownTimeoutError(OutcomeUnknownError, redis.exceptions.TimeoutError):
    """No reply to a write within `socket_timeout`: it may or may not have been carried out."""
