"""`Subscriber`: handles the messages of channels."""

# redis-py leaves many of its methods without types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import inspect
import logging
from abc import ABC
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Final, Self

import redis
import redis.asyncio
import redis.asyncio.client
import redis.client

from popoto import redis_db
from popoto._unknown_names import is_strict, tell, tell_of_slips
from popoto.exceptions import SubscriberException
from popoto.pubsub.messages import unpacked
from popoto.pubsub.named import channels_of, tell_of_arguments, tell_of_channels
from popoto.redis_db import POPOTO_REDIS_DB

__all__ = ["POPOTO_REDIS_DB", "Subscriber", "SubscriberException"]

logger = logging.getLogger("POPOTO-subscriber")

Message = tuple[str, Any]

_GLANCE: Final = 1.0
"""Seconds after which a blocking read looks whether it was closed or the server changed."""

_UNDER_WAY: Final = 0.002
"""Seconds that a poll grants a message which the server is just sending."""

_REST_OF_A_MESSAGE: Final = 5.0
"""Seconds to wait for the rest of a message that has begun to arrive."""


class Subscriber(ABC):
    """Receives what is published to the channels of `sub_channel_names`.

    And to those that match a pattern of `sub_channel_patterns`: `news.*`, `h?llo`, `h[ae]llo`,
    where a backslash takes the next character as it is. Handlers are told the channel. A message
    comes once for the channel and once for each pattern that it matches.

    It subscribes when it is made, on a connection of its own (`pubsub`), in one round trip.
    Then either call it now and then, or `listen()`, or iterate over it:

    ==================================== ====================================================
    `subscriber()`                       handles one waiting message, if there is one
    `subscriber.listen()`                handles messages as they come, until `close()`
    `await subscriber.async_listen()`    the same in an event loop; handlers may be async
    `for channel, data in subscriber`    gives messages to the loop instead of `handle`
    `async for channel, data in …`       the same in an event loop
    ==================================== ====================================================

    The asyncio half subscribes anew, on the connection of the running loop, when
    ``async with subscriber:`` is entered or the first message is waited for, and the blocking
    subscription ends there: what arrived before is not seen.

    Pub/sub keeps nothing. After a lost connection it subscribes again and goes on;
    what was published meanwhile is missing, which is logged. It moves along when the process
    is given another server. Not to be shared among threads, except for `close()`.
    """

    sub_channel_names: ClassVar[list[str]] = []
    sub_channel_patterns: ClassVar[list[str]] = []

    pubsub: redis.client.PubSub

    _is_closed: bool | None = None
    """None as long as `__init__` was not called."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        told = tell_of_slips(cls, ("sub_channel_names", "sub_channel_patterns", "pre_handle"))
        if not (cls.sub_channel_names or cls.sub_channel_patterns):
            tell_of_channels(cls, "sub_channel_names", told)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        tell_of_arguments(
            self,
            args,
            kwargs,
            is_own=type(self).__init__ is not Subscriber.__init__,
            by_position="a Subscriber takes nothing by position",
            by_keyword="a Subscriber takes no such keyword",
            remedy="; its channels are sub_channel_names and sub_channel_patterns, and it calls "
            "its method handle()",
        )
        self._is_closed = False
        self._is_reading = False
        self._early: deque[dict[str, Any]] = deque()
        self._async_pubsub: redis.asyncio.client.PubSub | None = None
        self._async_client: redis.asyncio.Redis | None = None
        self._open()

    # What subclasses define ----------------------------------------------------------

    def pre_handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Called with each message before `handle`. May be overridden; this one does nothing."""
        return None

    def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Called with each message. To be overridden; this one logs a warning."""
        logger.warning(
            "%s received a message on %r and has no handle() for it", type(self).__name__, channel
        )

    # Receiving -----------------------------------------------------------------------

    def __call__(self) -> None:
        """Handle the next waiting message, if there is one. Waits no longer than 2 ms.

        The first call for each channel meets the confirmation of the subscription. A payload
        that is no msgpack, and a KeyError of the handlers, are logged and dropped. Raises
        SubscriberException for other errors of the handlers, and when it is closed;
        ConnectionError when the server cannot be reached any more.
        """
        message = self._read(_UNDER_WAY)
        if message is not None:
            self._dispatch(message)
        elif not self._hears and self.pubsub.connection is None:
            tell(self._no_channels(), refuse=is_strict())

    def listen(self) -> None:
        """Handle messages as they come, until another thread or a handler calls `close()`.

        Raises as a call does; it can be called again after that.
        """
        for message in self:
            self._dispatch(message)

    async def async_listen(self) -> None:
        """`listen` for asyncio. Awaits what the handlers return, if that is awaitable."""
        async for channel, data in self:
            try:
                for handler in (self.pre_handle, self.handle):
                    result = handler(channel, data)
                    if inspect.isawaitable(result):
                        result = await result
                    _check_has_run(result)
            except Exception as error:  # noqa: BLE001  # of any kind: raised again as ours
                self._after_handler(channel, error)

    def __iter__(self) -> Iterator[Message]:
        self._check_open()
        self._check_channels(self.pubsub)
        self._is_reading = True
        try:
            while not self._is_closed:
                message = self._read(_GLANCE)
                if message is not None:
                    yield message
        finally:
            self._is_reading = False
            if self._is_closed:
                self.pubsub.close()

    async def __aiter__(self) -> AsyncIterator[Message]:
        self._check_open()
        try:
            while not self._is_closed:
                message = await self._async_read(_GLANCE)
                if message is not None:
                    yield message
        finally:
            if self._is_closed:
                await self._close_async()

    # Opening and closing -------------------------------------------------------------

    def close(self) -> None:
        """End the subscription. A loop over it ends within a second. May be called twice."""
        self._is_closed = True
        if not self._is_reading:
            self.pubsub.close()

    async def aclose(self) -> None:
        """End the subscription of the running event loop, and the blocking one."""
        self.close()
        await self._close_async()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._check_open()
        await self._subscription()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()

    def _open(self) -> None:
        self._heard = names, patterns = channels_of(self)
        self._client = redis_db.get_REDIS_DB()
        self._pool = self._client.connection_pool
        self.pubsub = self._client.pubsub()
        if names:
            self.pubsub.subscribe(*names)
            # From the confirmation on, which the first poll takes, nothing is missed.
            connection: Any = self.pubsub.connection
            connection.can_read(timeout=_REST_OF_A_MESSAGE)
        if patterns:
            self.pubsub.psubscribe(*patterns)
            self._wait_for(patterns)

    def _changes(self) -> Iterator[tuple[str, list[str | bytes]]]:
        """What a subscription has to do for names that have come or gone since."""
        before = self._heard
        asked = (self.sub_channel_names, self.sub_channel_patterns)
        if before == tuple(tuple(each) if isinstance(each, list) else each for each in asked):
            return
        self._heard = channels_of(self)
        for now, then, prefix in zip(self._heard, before, ("", "p"), strict=True):
            added = [name for name in now if name not in then]
            gone = [name for name in then if name not in now]
            if added:
                yield f"{prefix}subscribe", added
            if gone:
                yield f"{prefix}unsubscribe", gone

    def _wait_for(self, patterns: Collection[str | bytes]) -> None:
        """Return when all patterns are confirmed; what comes meanwhile is kept."""
        unconfirmed = len(set(patterns))
        while unconfirmed:
            event: Any = self.pubsub.get_message(timeout=_REST_OF_A_MESSAGE)
            if event is None:
                return
            if event["type"] == "psubscribe":
                unconfirmed -= 1
            else:
                self._early.append(event)

    @property
    def _hears(self) -> bool:
        return bool(self.sub_channel_names or self.sub_channel_patterns)

    def _reopen(self) -> None:
        self.pubsub.close()
        self._open()

    async def _subscription(self) -> redis.asyncio.client.PubSub:
        """The subscription of the running loop, on the server that is current."""
        client = await redis_db.get_async_redis_db()
        if self._async_pubsub is not None and client is self._async_client:
            for method, channels in self._changes():
                await getattr(self._async_pubsub, method)(*channels)
            return self._async_pubsub
        await self._close_async()
        self.pubsub.close()
        self._async_client = client
        pubsub: redis.asyncio.client.PubSub = client.pubsub()
        self._heard = names, patterns = channels_of(self)
        if names:
            await pubsub.subscribe(*names)
        if patterns:
            await pubsub.psubscribe(*patterns)
        self._async_pubsub = pubsub
        return pubsub

    async def _close_async(self) -> None:
        pubsub, self._async_pubsub = self._async_pubsub, None
        if pubsub is not None:
            # The loop that it belongs to may be gone, and its connection with it.
            with suppress(RuntimeError):
                await pubsub.aclose()

    def _check_channels(self, pubsub: Any) -> None:
        if not self._hears and pubsub.connection is None:
            raise SubscriberException(self._no_channels())

    def _no_channels(self) -> str:
        return (
            f"{type(self).__name__} has no channels to wait for: set sub_channel_names or "
            "sub_channel_patterns"
        )

    def _check_open(self) -> None:
        if self._is_closed is None:
            raise SubscriberException(
                f"the __init__ of {type(self).__name__} did not call super().__init__(), which "
                "subscribes"
            )
        if self._is_closed:
            raise SubscriberException(f"{type(self).__name__} is closed; make a new one")

    # One message ---------------------------------------------------------------------

    def _read(self, patience: float) -> Message | None:
        """The next message; None if none comes in time, or something else comes."""
        self._check_open()
        connection: Any = self.pubsub.connection
        if self._client.connection_pool is not self._pool or (connection is None and self._hears):
            self._reopen()
            connection = self.pubsub.connection
        for method, channels in self._changes():
            getattr(self.pubsub, method)(*channels)
            connection = self.pubsub.connection
        if self._early:
            return self._message(self._early.popleft())
        if connection is None:
            return None
        try:
            if not connection.can_read(timeout=patience):
                return None
            event = self.pubsub.get_message(timeout=_REST_OF_A_MESSAGE)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._log_lost(error)
            self._reopen()
            return None
        return self._message(event)

    async def _async_read(self, patience: float) -> Message | None:
        pubsub = await self._subscription()
        self._check_channels(pubsub)
        try:
            event = await pubsub.get_message(timeout=patience)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._log_lost(error)
            connection: Any = pubsub.connection
            if not connection.is_connected:
                # Else redis-py has subscribed again already.
                await self._close_async()
                await self._subscription()
            return None
        return self._message(event)

    def _log_lost(self, error: Exception) -> None:
        logger.warning(
            "%s lost its connection and subscribes again; messages may have been missed: %s",
            type(self).__name__,
            error,
        )

    def _message(self, event: dict[str, Any] | None) -> Message | None:
        if event is None or event["type"] not in ("message", "pmessage"):
            return None
        channel = event["channel"].decode("utf-8", "surrogateescape")
        try:
            return channel, unpacked(event["data"])
        except (ValueError, TypeError) as error:
            logger.error(  # noqa: TRY400  # the traceback would tell of msgpack alone
                "%s dropped a message on %r that is no msgpack: %s",
                type(self).__name__,
                channel,
                error or type(error).__name__,
            )
            return None

    def _dispatch(self, message: Message) -> None:
        channel, data = message
        try:
            for handler in (self.pre_handle, self.handle):
                _check_is_done(handler(channel, data))
        except Exception as error:  # noqa: BLE001  # of any kind: raised again as ours
            self._after_handler(channel, error)

    def _after_handler(self, channel: str, error: Exception) -> None:
        if not isinstance(error, KeyError):
            raise SubscriberException(
                f"{type(self).__name__} failed on a message of {channel!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        logger.error(
            "%s dropped a message on %r, in which its handler missed %s",
            type(self).__name__,
            channel,
            error,
        )


def _check_is_done(result: object) -> None:
    """Refuse what a handler returns that somebody would have to await."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("it is an async handler, which async_listen() awaits, and nothing else")
    _check_has_run(result)


def _check_has_run(result: object) -> None:
    """Refuse a handler with a `yield`, whose body nobody runs."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("it is a handler with a yield, so that calling it does nothing")
