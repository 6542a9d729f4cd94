"""`Publisher`: sends data to a channel."""

# redis-py leaves many of its methods without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import logging
from abc import ABC
from typing import Any, TypeVar

import redis.asyncio.client
import redis.client

from popoto._unknown_names import tell_of_slips, warn_caller
from popoto.exceptions import PublisherException
from popoto.pubsub.messages import packed
from popoto.pubsub.named import tell_of_arguments, tell_of_channels
from popoto.redis_db import POPOTO_REDIS_DB, get_async_redis_db

__all__ = ["Publisher", "PublisherException"]

logger = logging.getLogger("POPOTO-publisher")

AnyPipeline = TypeVar("AnyPipeline", bound="redis.client.Pipeline | redis.asyncio.client.Pipeline")


class Publisher(ABC):  # noqa: B024  # a base class, and of use by itself
    """Sends data to the subscribers that a channel has at that moment.

    By itself (``Publisher(channel_name="news")``), as a base class, or mixed into a model,
    before or after `Model`. The channel is `channel_name`, by default the name of the class.

    A message is the msgpack form of the data: a dict by convention, `record.to_dict()` say, but
    any value that msgpack knows or a record stores. A `Subscriber` is given dates, times,
    datetimes, Decimals, sets, UUIDs and timedeltas as such; tuples as lists, members of an
    Enum as their values. Nobody keeps messages; for those that must not be lost use a stream.
    """

    _publish_data: Any = None
    """What `publish()` without data sends: the last data of this instance."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "channel_name" not in vars(cls):
            tell_of_channels(cls, "channel_name", tell_of_slips(cls, ("channel_name",)))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "channel_name" in kwargs:
            self.channel_name = kwargs.pop("channel_name")
        bases = type(self).__mro__
        following = bases[bases.index(Publisher) + 1 :]
        if any("__init__" in vars(base) for base in following if base is not object):
            super().__init__(*args, **kwargs)
            return
        tell_of_arguments(
            self,
            args,
            kwargs,
            is_own=type(self).__init__ is not Publisher.__init__,
            by_position="a Publisher takes channel_name=… alone",
            by_keyword="a Publisher takes channel_name=… alone",
            remedy="",
        )

    @property
    def channel_name(self) -> str:
        """The channel that `publish()` sends to."""
        name: str = vars(self).get("_channel_name", type(self).__name__)
        return name

    @channel_name.setter
    def channel_name(self, name: str) -> None:
        vars(self)["_channel_name"] = name

    def publish(
        self,
        data: Any = None,
        channel_name: str | None = None,
        pipeline: AnyPipeline | None = None,
    ) -> int | AnyPipeline | None:
        """Send `data`, or without it what this instance sent last, to a channel.

        Returns how many received it (on a cluster: at the node that was asked); None where
        there is nothing to send, which an empty dict counts as; with a pipeline that
        pipeline, to which the message was added.

        Raises PublisherException without a channel, and for data that have no form;
        errors of the server pass through. One command, sent once: a lost connection may
        leave it unknown whether the message went out.
        """
        message = self._message(data, channel_name)
        if message is None:
            return pipeline
        if pipeline is not None:
            pipeline.publish(*message)
            return pipeline
        receivers: Any = POPOTO_REDIS_DB.publish(*message)
        return int(receivers)

    async def async_publish(
        self,
        data: Any = None,
        channel_name: str | None = None,
        pipeline: AnyPipeline | None = None,
    ) -> int | AnyPipeline | None:
        """`publish` for asyncio."""
        message = self._message(data, channel_name)
        if message is None:
            return pipeline
        if pipeline is not None:
            pipeline.publish(*message)
            return pipeline
        receivers: Any = await (await get_async_redis_db()).publish(*message)
        return int(receivers)

    def _message(self, data: Any, channel_name: str | None) -> tuple[str | bytes, bytes] | None:
        """The channel and the payload, or None for nothing to send."""
        name = type(self).__name__
        is_left_out = data is None or data == {}
        if is_left_out and not (self._publish_data is None or self._publish_data == {}):
            if data is not None:
                warn_caller(
                    f"{name}.publish({{}}) sends once more what this instance sent last, as "
                    "without data; an empty dict cannot be sent"
                )
            data = self._publish_data
        elif is_left_out:
            warn_caller(
                f"{name}.publish(): there is nothing to send, so nothing is sent; give data that "
                "are not empty, such as record.to_dict()"
            )
            return None
        channel: Any = self.channel_name if channel_name is None else channel_name
        if not channel:
            raise PublisherException(f"{name}: missing channel to publish to; set channel_name")
        if not isinstance(channel, (str, bytes)):
            raise PublisherException(f"{name}: a channel is named by a text, and not {channel!r}")
        try:
            payload = packed(data)
        except (TypeError, ValueError, OverflowError) as error:
            raise PublisherException(
                f"{name} cannot publish to {channel!r}: {error}; "
                "give plain data, such as record.to_dict()"
            ) from error
        self._publish_data = data
        logger.debug("%s publishes %d bytes to %r", name, len(payload), channel)
        return channel, payload
