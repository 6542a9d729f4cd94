"""Reports of popoto's own exceptions to Sentry, for those who switch them on.

Nothing is sent before `enable_error_reporting()`. Then popoto has a Sentry client of its own
beside the application's, without integrations, breadcrumbs or request data; it knows the
exception, its message and where in the code it was raised, not the values of variables.
Messages do quote the value that was refused.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from popoto._version import __version__
from popoto.exceptions import (
    ModelException,
    PublisherException,
    QueryException,
    SkipSaveException,
    SubscriberException,
)

__all__ = ["capture_exception", "enable_error_reporting"]

logger = logging.getLogger("POPOTO-REDIS_DB")

if TYPE_CHECKING:
    from sentry_sdk.types import Event

#: Where reports go when neither the argument nor POPOTO_SENTRY_DSN says it: nowhere.
_DEFAULT_DSN: str | None = None

_REPORTED: tuple[type[Exception], ...] = (
    ModelException,
    QueryException,
    PublisherException,
    SubscriberException,
)
_MOST_FRAMES = 50


class _Client(Protocol):
    def capture_event(self, event: Event, hint: dict[str, Any]) -> object: ...


_enabled = False
_client: _Client | None = None
_original_inits: dict[type[Exception], Callable[..., None]] = {}


def enable_error_reporting(dsn: str | None = None) -> None:
    """Report popoto's exceptions to Sentry from now on. Opt-in, never raises.

    `dsn`  the address of the Sentry project; else the environment variable POPOTO_SENTRY_DSN

    Without an address, or without the package (``pip install 'popoto[monitoring]'``), nothing
    happens. Reported is every `ModelException`, `QueryException`, `PublisherException` and
    `SubscriberException` when it is made, except `SkipSaveException`. A report is sent by a
    thread of the client; making the exception costs some 100 us more. A second call changes
    nothing.
    """
    address = dsn or os.environ.get("POPOTO_SENTRY_DSN", "").strip() or _DEFAULT_DSN
    if _enabled or not address:
        return
    try:
        _do_enable(address)
    except Exception as error:  # noqa: BLE001  # reporting must never be what breaks a program
        # Its message may quote the address, in which there is a key.
        reason = error if isinstance(error, ImportError) else type(error).__name__
        logger.debug("Errors are not reported: %s", reason)


def _do_enable(dsn: str) -> None:
    """Make the client and watch the exceptions. Raises ImportError, and what Sentry raises."""
    global _client, _enabled  # noqa: PLW0603  # one process, one client
    import sentry_sdk  # optional

    with warnings.catch_warnings():
        # Newer releases call send_default_pii old; the oldest ones know nothing else.
        warnings.simplefilter("ignore", DeprecationWarning)
        client: Any = sentry_sdk.Client(
            dsn=dsn,
            default_integrations=False,
            auto_enabling_integrations=False,
            send_default_pii=False,
            before_send=_before_send,
            release=f"popoto@{__version__}",
        )
    _client = client
    for kind in _REPORTED:
        if kind not in _original_inits:
            _watch(kind)
    _enabled = True


def _watch(kind: type[Exception]) -> None:
    """Have exceptions of this class captured when they are made."""
    original: Callable[..., None] = kind.__init__
    _original_inits[kind] = original

    def __init__(self: Exception, *args: object, **kwargs: object) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        if not isinstance(self, SkipSaveException):
            capture_exception(self)

    kind.__init__ = __init__  # type: ignore[method-assign, assignment]  # a patch it is


def capture_exception(exc: BaseException | None = None) -> None:
    """Report an exception, or the one that is being handled. Does nothing unless enabled.

    Errors of the client are swallowed.
    """
    error = exc if exc is not None else sys.exc_info()[1]
    client = _client
    if not _enabled or client is None or error is None:
        return
    try:
        client.capture_event(_event(error), {"exc_info": (type(error), error, error.__traceback__)})
    except Exception as failure:  # noqa: BLE001  # as above
        logger.debug("An error could not be reported: %s", failure)


def _event(error: BaseException) -> Event:
    """The report: Sentry's own would be without a place, since nothing has been raised yet."""
    if error.__traceback__ is not None:
        stack = traceback.extract_tb(error.__traceback__)
    else:
        stack = traceback.extract_stack(limit=_MOST_FRAMES)
    frames = [
        {
            "filename": frame.filename,
            "abs_path": frame.filename,
            "function": frame.name,
            "lineno": frame.lineno,
            "context_line": frame.line,
        }
        for frame in stack
        if frame.filename != __file__
    ]
    value = {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "value": str(error),
        "mechanism": {"type": "popoto", "handled": True},
        "stacktrace": {"frames": frames},
    }
    return {"level": "error", "platform": "python", "exception": {"values": [value]}}


def _before_send(event: Event, hint: Any) -> Event | None:
    """The event if its exception is popoto's, else None."""
    try:
        module = str(hint["exc_info"][0].__module__)
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return event if module.partition(".")[0] == "popoto" else None
