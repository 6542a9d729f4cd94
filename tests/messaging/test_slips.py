"""What publishers, subscribers and consumers are given to no effect is told of, or refused."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from popoto import Publisher, PublisherException, StreamConsumer, Subscriber, SubscriberException


class Ears(Subscriber):
    heard: list[Any]
    sub_channel_names = ["north"]

    def __init__(self) -> None:
        super().__init__()
        self.heard = []

    def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> Any:
        self.heard.append((channel, data))

    def hears(self, channel: str) -> bool:
        self()
        Publisher(channel_name=channel).publish(channel)
        for _ in range(50):
            self()
        return (channel, channel) in self.heard


def assign(subscriber: Subscriber, **channels: Any) -> None:
    for name, value in channels.items():
        setattr(subscriber, name, value)


def test_channels_that_are_assigned_later_are_heard(redis_client: redis.Redis) -> None:
    with Ears() as ears:
        assert ears.hears("north")
        assign(ears, sub_channel_names=["north", "south"])
        assign(ears, sub_channel_patterns=["e*"])
        Publisher(channel_name="north").publish("waits")
        assert ears.hears("south")
        assert ears.hears("east")
        assert ("north", "waits") in ears.heard
        assign(ears, sub_channel_names=["south"])
        ears.heard.clear()
        assert ears.hears("south")
        assert not ears.hears("north")


async def test_channels_that_are_assigned_later_are_heard_in_an_event_loop() -> None:
    async with Ears() as ears:
        messages = aiter(ears)
        await Publisher(channel_name="north").async_publish("one")
        assert await anext(messages) == ("north", "one")
        assign(ears, sub_channel_names=["south"])
        waiting = asyncio.ensure_future(anext(messages))
        receivers = Publisher(channel_name="south")
        async with asyncio.timeout(5):
            while not waiting.done():
                await receivers.async_publish("two")
                await asyncio.sleep(0.05)
        assert await waiting == ("south", "two")


@pytest.mark.parametrize("wrong", ["south", ["south", 3], [Publisher], 7])
def test_channels_that_are_none_are_refused(wrong: Any) -> None:
    with Ears() as ears:
        assign(ears, sub_channel_names=wrong)
        with pytest.raises(SubscriberException, match="sub_channel_names must be a list"):
            ears()


def test_a_channel_of_a_publisher_is_a_text() -> None:
    with pytest.raises(PublisherException, match="named by a text"):
        Publisher(channel_name=["a", "b"]).publish({"a": 1})


def _reads_it(self: Subscriber) -> None:
    """A constructor of somebody's own."""


@pytest.mark.parametrize(
    "body", [{"channels": ["north"]}, {"pub_channels": ("north",)}, {"topic": "north"}]
)
def test_channels_under_another_name_are_told_of(body: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="nothing reads it.*sub_channel_names"):
        type("Deaf", (Subscriber,), body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Hearing", (Subscriber,), {**body, "sub_channel_names": ["north"]})
        type("Own", (Subscriber,), {**body, "__init__": _reads_it})


def test_the_channel_of_a_publisher_under_another_name_is_told_of() -> None:
    for name in ("channel", "pub_channel_name", "chanel_name"):
        with pytest.warns(UserWarning, match="channel_name"):
            type("Speaker", (Publisher,), {name: "north"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Speaker", (Publisher,), {"channel_name": "north"})


def test_what_a_constructor_does_nothing_with_is_told_of() -> None:
    with pytest.warns(UserWarning, match="a Subscriber takes no") as told:
        Subscriber(["north"], handle=print).close()
    assert [str(each.message).partition(":")[0] for each in told] == [
        "Subscriber(['north'])",
        "Subscriber(handle=…)",
    ]


def test_a_constructor_that_calls_no_other_is_named() -> None:
    class Own(Subscriber):
        sub_channel_names = ["north"]

        def __init__(self) -> None:  # leaves out what it should call
            pass

    with pytest.raises(SubscriberException, match=r"did not call super\(\).__init__"):
        Own()()


def test_a_handler_with_a_yield_is_an_error(redis_client: redis.Redis) -> None:
    class Lazy(Ears):
        def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> Any:
            yield data

    with Lazy() as lazy, pytest.raises(SubscriberException, match="with a yield"):
        lazy.hears("north")


async def test_a_handler_with_a_yield_is_an_error_in_an_event_loop() -> None:
    class Lazy(Ears):
        def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> Any:
            return _async_lazy(data)

    async with Lazy() as lazy:
        await Publisher(channel_name="north").async_publish("one")
        with pytest.raises(SubscriberException, match="with a yield"):
            await lazy.async_listen()


def _lazy(entries: Any) -> Iterator[Any]:
    yield entries


async def _async_lazy(entries: Any) -> AsyncIterator[Any]:
    yield entries


class _Hidden:
    """A handler that nobody can tell to have a yield before it is called."""

    def __init__(self, handler: Callable[[Any], Any]) -> None:
        self.handler = handler

    def __call__(self, entries: Any) -> Any:
        return self.handler(entries)


@pytest.mark.parametrize("handler", [_lazy, _async_lazy])
def test_a_consumer_acknowledges_nothing_that_no_handler_saw(
    handler: Callable[[Any], Any], redis_client: redis.Redis
) -> None:
    with pytest.raises(TypeError, match="has a yield"):
        StreamConsumer("jobs", "group", "one", handler)

    redis_client.xadd("jobs", {"a": "1"})
    hidden = StreamConsumer("jobs", "group", "one", _Hidden(handler), block_ms=0)
    with pytest.raises(TypeError, match="has a yield"):
        hidden.process_batch_sync()
    assert redis_client.xpending("jobs", "group")["pending"] == 1
