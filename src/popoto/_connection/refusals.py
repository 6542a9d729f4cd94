"""What a server answers that carries a command out neither now nor in part."""

from __future__ import annotations

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from popoto.exceptions import (
    NothingWrittenError,
    PartlyRefusedClusterDownError,
    PartlyRefusedError,
    PartlyRefusedLoadingError,
    PartlyRefusedMasterDownError,
    PartlyRefusedMemoryError,
    PartlyRefusedReadOnlyError,
    PartlyRefusedTryAgainError,
    PartlyWrittenError,
    RefusedClusterDownError,
    RefusedError,
    RefusedLoadingError,
    RefusedMasterDownError,
    RefusedMemoryError,
    RefusedReadOnlyError,
    RefusedTryAgainError,
)

__all__ = ["is_refusal", "kind_after_others", "refused", "with_remedy"]

# A derived class stands before its base.
_CLASSES: Final[tuple[tuple[type[RedisError], type[RefusedError]], ...]] = (
    (OutOfMemoryError, RefusedMemoryError),
    (ReadOnlyError, RefusedReadOnlyError),
    (BusyLoadingError, RefusedLoadingError),
    (MasterDownError, RefusedMasterDownError),
    (ClusterDownError, RefusedClusterDownError),
    (TryAgainError, RefusedTryAgainError),
)
_AFTER_OTHERS: Final[dict[type[RedisError], type[PartlyRefusedError]]] = {
    RefusedMemoryError: PartlyRefusedMemoryError,
    RefusedReadOnlyError: PartlyRefusedReadOnlyError,
    RefusedLoadingError: PartlyRefusedLoadingError,
    RefusedMasterDownError: PartlyRefusedMasterDownError,
    RefusedClusterDownError: PartlyRefusedClusterDownError,
    RefusedTryAgainError: PartlyRefusedTryAgainError,
    RefusedError: PartlyRefusedError,
}
# For these redis-py has no class.
_CODES: Final = frozenset({"BUSY", "MISCONF", "NOREPLICAS"})


def _class_of(error: BaseException) -> type[RefusedError] | None:
    for known, refusal in _CLASSES:
        if isinstance(error, known):
            return refusal
    if isinstance(error, ResponseError) and str(error).partition(" ")[0] in _CODES:
        return RefusedError
    return None


def is_refusal(error: object) -> bool:
    """Whether a command was refused for a reason that lies in the server, before any of it.

    A script meets full memory, a replica, a full disk or missing replicas at its first write:
    none of them changes while it runs, and servers let it go on once it has written.
    """
    return isinstance(error, RedisError) and _class_of(error) is not None


def refused(error: RedisError, *, repeatable: bool) -> RedisError:
    """The error to raise for the answer to a command. A refused write says that it is none."""
    kind = None if repeatable or isinstance(error, NothingWrittenError) else _class_of(error)
    if kind is None:
        return error
    found = kind(f"{str(error).rstrip('.')}; nothing was written")
    found.__cause__ = error
    return found


def kind_after_others(error: NothingWrittenError) -> type[PartlyWrittenError]:
    """The class of the error for a step of which nothing was written, after others were."""
    return _AFTER_OTHERS.get(type(error), PartlyWrittenError)


def with_remedy(error: RedisError) -> RedisError:
    """The error itself; if nobody has logged in, or a database is none, one that says what to do.

    Servers cut long commands off before they look at them, as an error of the protocol.
    """
    text = str(error)
    if text == "DB index is out of range":
        return ResponseError(
            f"{text}. The server has fewer databases than that, 16 unless `databases` in its "
            "configuration says otherwise: take a lower number, at the end of the URL"
        )
    if text != "Authentication required." and "error: unauthenticated " not in text:
        return error
    return AuthenticationError(
        f"{text.rstrip('.')}. The server wants a password and was given none. Put it into the URL: "
        "redis://:password@host:port/0, or redis://user:password@host:port/0"
    )
