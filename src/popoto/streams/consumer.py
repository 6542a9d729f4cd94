"""`StreamConsumer`: works through a Redis stream as a member of a group."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from popoto import redis_db
from popoto._unknown_names import warn_caller
from popoto.engine.outcome import wrong_kind
from popoto.engine.request import Argument, ScriptCall
from popoto.engine.scripts import RECLAIM
from popoto.exceptions import NoStreamError

__all__ = ["Entry", "Handler", "StreamConsumer"]

T = TypeVar("T")

Entry = tuple[str, dict[str, str]]
"""An entry's id, and its fields."""

Handler = Callable[[list[Entry]], object]
"""Takes a batch of entries. What it returns is awaited if it is awaitable, and not used."""

logger = logging.getLogger("POPOTO.StreamConsumer")

_PAUSE_AFTER_ERROR: Final = 1.0
_PAUSE_WHEN_IDLE: Final = 0.1
"""Seconds; the second where `block_ms` is 0, so that nothing else waits."""

_LATENESS: Final = 1.0
"""Seconds by which the server may end a wait late: it looks at its `hz`, 1 to 500 a second."""


_NEVER_RUN: Final = (
    "{} has a yield, so nothing of it runs when it is called: entries would be acknowledged "
    "unseen; handle them in a plain or async function without yield"
)


class StreamConsumer:
    """Hands the entries of a stream to a handler, each at least once, sharing with its group.

    `stream_key`              the key of the stream, such as ``stream:mutations``
    `group_name`              consumers of one group share the entries; it starts with the
                              oldest entry and is made at the first use
    `consumer_name`           another one for each process
    `handler`                 called with ``[(id, {field: value})]``, all text; may be async. A
                              plain one blocks the event loop while it runs. Bytes that are not
                              UTF-8 become lone surrogates, which
                              ``value.encode("utf-8", "surrogateescape")`` turns back
    `batch_size`              entries in one call of the handler, at most
    `block_ms`                milliseconds to wait for new entries; 0 does not wait
    `max_retries`             how often an entry is tried again after the first time
    `claim_timeout_ms`        milliseconds after which an unacknowledged entry, also that of a
                              consumer that died, counts as failed and is tried again; longer
                              than the handler ever takes
    `dead_letter_max_length`  entries to keep in the dead letter stream; None keeps all
    `dead_letter_exact`       exactly so many; else the server may keep some hundred more
    `clock`                   seconds since 1970, for dead letters
    `sleep`                   used for pauses of `run()`

    An entry that has been tried often enough goes to the stream ``dead:STREAM_KEY``: its own
    fields as they were, then `original_stream`, `original_id`, `failure_count`, `last_error`,
    `dead_letter_ts`. On its last try an entry is handed over alone, so that one bad
    entry takes no good ones along.

    On a cluster give the whole key (``{Order}stream:mutations`` for the events of a model
    `Order`). The dead letters of a key without hash tag are there in ``dead:{STREAM_KEY}``.
    Needs Redis 6.2. Raises ValueError for numbers that make no sense, and TypeError for
    a handler that cannot be called.
    """

    def __init__(
        self,
        stream_key: str,
        group_name: str,
        consumer_name: str,
        handler: Handler,
        batch_size: int = 50,
        block_ms: int = 5000,
        max_retries: int = 3,
        claim_timeout_ms: int = 180000,
        dead_letter_max_length: int | None = None,
        *,
        dead_letter_exact: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        names = {
            "stream_key": stream_key,
            "group_name": group_name,
            "consumer_name": consumer_name,
        }
        for name, text in names.items():
            if not isinstance(text, (str, bytes)) or not text:
                raise ValueError(f"{name} must be a text that is not empty, got {text!r}")
        if dead_letter_exact not in (True, False):
            raise TypeError(f"dead_letter_exact is True or False, got {dead_letter_exact!r}")
        if dead_letter_exact and dead_letter_max_length is None:
            warn_caller(
                "StreamConsumer(dead_letter_exact=True) has no effect without "
                "dead_letter_max_length: all dead letters are kept"
            )
        if not callable(handler):
            raise TypeError(
                f"handler must be a function of a list of entries, got {handler!r}: every entry "
                "would fail, and end among the dead letters"
            )
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise TypeError(_NEVER_RUN.format(f"the handler {handler!r}"))
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size!r}")
        numbers = {
            "block_ms": block_ms,
            "max_retries": max_retries,
            "claim_timeout_ms": claim_timeout_ms,
            "dead_letter_max_length": dead_letter_max_length or 0,
        }
        for name, number in numbers.items():
            if number < 0:
                raise ValueError(f"{name} must be 0 or more, got {number!r}")
        self.stream_key = stream_key
        self.group_name = group_name
        self.consumer_name = consumer_name
        self.handler = handler
        self.batch_size = batch_size
        self.block_ms = block_ms
        self.max_retries = max_retries
        self.claim_timeout_ms = claim_timeout_ms
        self.dead_letter_max_length = dead_letter_max_length
        self.dead_letter_exact = dead_letter_exact
        self._clock = clock
        self._sleep = sleep
        self._running = False
        self._group_ensured = False

    # Running -------------------------------------------------------------------------

    async def run(self) -> None:
        """Process batches until `stop()`. Errors are logged, and followed by a second's pause."""
        self._running = True
        try:
            while self._running:
                try:
                    processed = await self.process_batch()
                except Exception:  # the loop outlives everything that a batch can meet
                    logger.exception("%s failed on a batch and goes on", self)
                    await self._sleep(_PAUSE_AFTER_ERROR)
                else:
                    if not processed and not self.block_ms:
                        await self._sleep(_PAUSE_WHEN_IDLE)
        finally:
            self._running = False

    def stop(self) -> None:
        """Let `run()` end after the batch it is at; at most `block_ms` later if it waits.

        May be called from another thread, from the handler, or by a signal handler of the loop
        (``loop.add_signal_handler(signal.SIGTERM, consumer.stop)``).
        """
        self._running = False

    def run_sync(self) -> None:
        """`run` in an event loop of its own. Raises RuntimeError inside a running loop."""
        self._in_own_loop(self.run)

    def process_batch_sync(self) -> int:
        """`process_batch` in an event loop of its own. Raises RuntimeError inside a running one."""
        return self._in_own_loop(self.process_batch)

    # One batch -----------------------------------------------------------------------

    async def process_batch(self) -> int:
        """Try abandoned entries again, then handle new ones; returns how many were handled.

        Waits for new entries up to `block_ms` if there is nothing to try again. What a
        handler raises is raised when the rest of the batch was handled; its entries stay
        pending and are tried again after `claim_timeout_ms`. Server errors pass through; a key
        that holds no stream is a NoStreamError.
        Three commands, four if something was tried again.
        """
        connection = await redis_db.async_connection()
        try:
            await self._ensure_group(connection)
            again = await self._abandoned(connection)
            new = await self._new_entries(connection, waits=not again)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                await self._name_stranger(connection, error)
                raise
            # Somebody has deleted the stream or the group: begin anew.
            self._group_ensured = False
            await self._ensure_group(connection)
            again, new = [], await self._new_entries(connection, waits=False)
        processed = 0
        failure: Exception | None = None
        for entries in self._portions(again, new):
            try:
                await self._handle(connection, entries)
            except Exception as error:  # raised below
                if failure is not None:
                    logger.exception("%s: the handler failed again in one batch", self)
                failure = failure or error
            else:
                processed += len(entries)
        if failure is not None:
            raise failure
        return processed

    async def _name_stranger(
        self, connection: redis_db.AsyncConnection, error: ResponseError
    ) -> None:
        """Raise NoStreamError if the key of the stream holds something else."""
        if str(error).startswith("WRONGTYPE"):
            kind: Any = await connection.call(("TYPE", self.stream_key), repeatable=True)
            if kind not in (b"stream", b"none"):
                told = wrong_kind(self.stream_key, kind.decode(), "stream", writes=False)
                raise NoStreamError(str(told)) from error

    async def _ensure_group(self, connection: redis_db.AsyncConnection) -> None:
        if self._group_ensured:
            return
        try:
            await connection.call(
                ("XGROUP", "CREATE", self.stream_key, self.group_name, "0", "MKSTREAM"),
                repeatable=True,
            )
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._group_ensured = True

    async def _abandoned(self, connection: redis_db.AsyncConnection) -> list[tuple[int, Entry]]:
        """Claim entries to be tried again, with the number of the try; bury the hopeless ones."""
        trimming = "=" if self.dead_letter_exact else "~"
        arguments: list[Argument] = [
            self.group_name,
            self.consumer_name,
            self.claim_timeout_ms,
            self.max_retries,
            self.batch_size,
            self.stream_key,
            self.max_retries,
            f"Exceeded max_retries ({self.max_retries})",
            str(self._clock()),
            "" if self.dead_letter_max_length is None else trimming,
            self.dead_letter_max_length or 0,
        ]
        dead_letters = f"dead:{self.stream_key}"
        if connection.is_cluster and "{" not in self.stream_key:
            # The two have to be in one slot.
            dead_letters = f"dead:{{{self.stream_key}}}"
        call = ScriptCall(RECLAIM, [self.stream_key, dead_letters], arguments)
        try:
            try:
                reply: Any = await connection.call(call.command(""), repeatable=False)
            except NoScriptError:
                reply = await connection.call(call.command("", by_text=True), repeatable=False)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                raise
            # New entries can be handled all the same.
            logger.exception("%s cannot look after entries that failed", self)
            return []
        claimed, dead, gone = reply
        if dead:
            logger.error(
                "%s put %d entries into %s, as they failed %d times: %s",
                self,
                len(dead),
                dead_letters,
                self.max_retries + 1,
                ", ".join(map(_text, dead)),
            )
        if gone:
            logger.warning(
                "%s gave up %d entries that failed and that the stream does not hold any more",
                self,
                len(gone),
            )
        return [(tries, _entry(entry_id, parts)) for entry_id, tries, parts in claimed]

    async def _new_entries(
        self, connection: redis_db.AsyncConnection, *, waits: bool
    ) -> list[Entry]:
        waiting = ("BLOCK", self.block_ms) if waits and self.block_ms else ()
        reply: Any = await connection.call(
            (
                *("XREADGROUP", "GROUP", self.group_name, self.consumer_name),
                *("COUNT", self.batch_size, *waiting, "STREAMS", self.stream_key, ">"),
            ),
            # Entries of a lost reply are pending, and will be tried again as abandoned ones.
            repeatable=True,
            blocks_for=self.block_ms / 1000 + _LATENESS if waiting else 0.0,
        )
        return [_entry(*entry) for entry in reply[0][1]] if reply else []

    def _portions(self, again: list[tuple[int, Entry]], new: list[Entry]) -> Iterator[list[Entry]]:
        """What the handler is called with, in order."""
        together = [entry for tries, entry in again if tries <= self.max_retries]
        if together:
            yield together
        for tries, entry in again:
            if tries > self.max_retries:
                yield [entry]
        if new:
            yield new

    async def _handle(self, connection: redis_db.AsyncConnection, entries: list[Entry]) -> None:
        result = self.handler(entries)
        if inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(_NEVER_RUN.format(f"what {self.handler!r} returned"))
        ids = [entry_id for entry_id, _ in entries]
        await connection.call(("XACK", self.stream_key, self.group_name, *ids), repeatable=True)

    def _in_own_loop(self, coroutine_function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(coroutine_function())
        raise RuntimeError(
            f"an event loop is running here: await {coroutine_function.__name__}() instead"
        )

    def __str__(self) -> str:
        return f"Consumer {self.consumer_name!r} of {self.stream_key!r} ({self.group_name!r})"


def _entry(entry_id: bytes, parts: list[bytes]) -> Entry:
    texts = iter([_text(part) for part in parts])
    return _text(entry_id), dict(zip(texts, texts, strict=True))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
