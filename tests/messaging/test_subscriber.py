"""Receiving messages: polled, in a blocking loop, in an event loop."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterable
from contextlib import aclosing
from operator import itemgetter
from typing import Any

import pytest
import redis

import popoto
from popoto import Publisher, Subscriber, SubscriberException, redis_db
from tests.driver import engine
from tests.messaging.waiting import until


class Ears(Subscriber):
    sub_channel_names = ["north", "south"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.heard: list[Any] = []
        self.failure: Exception | None = None
        super().__init__(*args, **kwargs)

    def pre_handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
        self.heard.append("first")

    def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.heard.append((channel, data))


@pytest.fixture(autouse=True)
def _polls_wait_for_what_comes_from_another_node(monkeypatch: pytest.MonkeyPatch) -> None:
    if engine() == "cluster":
        monkeypatch.setattr("popoto.pubsub.subscriber._UNDER_WAY", 0.5)


def publish(data: Any, channel: str = "north") -> None:
    Publisher(channel_name=channel).publish(data)


def by_channel(messages: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Of several channels, in one order: on a cluster several nodes send them."""
    return sorted(messages, key=itemgetter(0))


def listening() -> Ears:
    """A subscriber that has seen the confirmations of both channels."""
    ears = Ears(1, two=2)
    assert ears() is None
    assert ears() is None
    return ears


def test_a_poll_handles_one_waiting_message() -> None:
    with listening() as ears:
        assert ears() is None
        assert ears.heard == []
        publish({"a": 1, 2: "b"})
        publish([b"x"])
        assert ears() is None
        assert ears.heard == ["first", ("north", {"a": 1, 2: "b"})]
        assert ears() is None
        assert ears.heard[2:] == ["first", ("north", [b"x"])]
        assert ears() is None
        assert len(ears.heard) == 4


def test_it_has_a_pubsub_of_its_own() -> None:
    with listening() as one, listening() as two:
        assert isinstance(one.pubsub, redis.client.PubSub)
        assert one.pubsub is not two.pubsub
        publish({"a": 1})
        one()
        two()
        assert one.heard == two.heard != []


def test_a_subscriber_without_channels_hears_nothing() -> None:
    with Subscriber() as nobody:
        with pytest.warns(UserWarning, match="no channels to wait for"):
            assert nobody() is None
        with pytest.raises(SubscriberException, match="sub_channel_names"):
            nobody.listen()


def test_the_stock_handler_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Plain(Subscriber):
        sub_channel_names = ["north"]

    with Plain() as plain:
        plain()
        publish({"a": 1})
        plain()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\xa5ab",
        b"\x01\x01",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x91" * 5000,
        b"\xdf\xff\xff\xff\xff",
    ],
    ids=repr,
)
def test_malformed_payloads_are_dropped_and_logged(
    payload: bytes, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with listening() as ears:
        redis_client.publish("north", payload)
        assert ears() is None
        assert ears.heard == []
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        publish({"a": 1})
        ears()
        assert ears.heard[-1] == ("north", {"a": 1})


def test_a_key_error_of_the_handler_is_dropped_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with listening() as ears:
        ears.failure = KeyError("missing")
        publish({"a": 1})
        assert ears() is None
        assert "missing" in caplog.text


def test_other_errors_of_the_handler_are_raised_and_the_next_call_goes_on() -> None:
    with listening() as ears:
        ears.failure = ZeroDivisionError("by nothing")
        publish({"a": 1})
        publish({"a": 2})
        with pytest.raises(SubscriberException, match=r"Ears.*by nothing") as caught:
            ears()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        ears.failure = None
        ears()
        assert ears.heard[-1] == ("north", {"a": 2})


def test_an_async_handler_that_nobody_awaits_is_told_of() -> None:
    class Dreamer(Subscriber):
        sub_channel_names = ["north"]

        async def handle(self, channel: str, data: Any, *_: Any, **__: Any) -> None:
            raise AssertionError

    with Dreamer() as dreamer:
        assert dreamer() is None
        publish({"a": 1})
        with pytest.raises(SubscriberException, match=r"Dreamer.*async_listen\(\) awaits"):
            dreamer()


def test_a_message_longer_than_a_read_arrives_whole() -> None:
    with listening() as ears:
        publish({"a": "x" * 300_000})
        while not ears.heard:
            ears()
        assert len(ears.heard[-1][1]["a"]) == 300_000


def test_it_is_closed_for_good(redis_client: redis.Redis) -> None:
    ears = listening()
    ears.close()
    ears.close()
    assert redis_client.pubsub_numsub("north") == [(b"north", 0)]
    with pytest.raises(SubscriberException, match="closed"):
        ears()
    with pytest.raises(SubscriberException, match="closed"), ears:
        pass


def test_iteration_gives_messages_until_it_is_closed(redis_client: redis.Redis) -> None:
    with listening() as ears:
        publish({"n": 1})
        publish({"n": 2}, "south")
        got = []
        for channel, data in ears:
            got.append((channel, data))
            if len(got) == 2:
                ears.close()
        assert by_channel(got) == [("north", {"n": 1}), ("south", {"n": 2})]
        assert ears.heard == []
    assert redis_client.pubsub_numsub("north") == [(b"north", 0)]


def test_listening_handles_messages_until_a_handler_closes() -> None:
    class Until(Ears):
        def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
            super().handle(channel, data)
            if data == "end":
                self.close()

    with Until() as ears:
        writer = threading.Thread(target=lambda: (publish({"n": 1}), publish("end")))
        writer.start()
        ears.listen()
        writer.join()
    assert ears.heard[1::2] == [("north", {"n": 1}), ("north", "end")]


def test_it_subscribes_again_after_a_lost_connection(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with listening() as ears:
        redis_client.client_kill_filter(_type="pubsub")
        assert ears() is None
        assert "subscribes again" in caplog.text
        publish({"a": 1})
        for _ in range(3):
            ears()
        assert ears.heard[-1] == ("north", {"a": 1})


def test_it_moves_to_another_server_with_the_process(server_url: str) -> None:
    with listening() as ears:
        path = server_url.removeprefix("unix://")
        redis_db.set_REDIS_DB_settings(host="localhost", port=1)
        with pytest.raises(redis.ConnectionError):
            ears()
        redis_db.set_REDIS_DB_settings(unix_socket_path=path)
        ears()
        publish({"a": 1})
        for _ in range(3):
            ears()
        assert ears.heard[-1] == ("north", {"a": 1})


# ── patterns ───


class Patterns(Ears):
    sub_channel_names = ["south"]
    sub_channel_patterns = ["nor*", "h[ae]llo"]


class Alone(Ears):
    sub_channel_names = []
    sub_channel_patterns = ["nor*", "h[ae]llo"]


def test_patterns_move_to_another_server_with_the_process(server_url: str) -> None:
    with Alone() as ears:
        redis_db.set_REDIS_DB_settings(host="localhost", port=1)
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                ears()
        redis_db.set_REDIS_DB_settings(url=server_url)
        ears()
        publish({"a": 1})
        ears()
        assert ears.heard[-1] == ("north", {"a": 1})


def test_channels_that_match_a_pattern_are_heard_by_their_name() -> None:
    with Alone() as ears:
        for channel in ("north", "hillo", "hallo", "south", "northern.lights"):
            publish({"n": 1}, channel)
        for _ in range(3):
            ears()
        expected = [(channel, {"n": 1}) for channel in ("hallo", "north", "northern.lights")]
        assert by_channel(ears.heard[1::2]) == expected
        ears()
        assert len(ears.heard) == 6


def test_what_matches_twice_is_heard_twice() -> None:
    class Twice(Ears):
        sub_channel_names = ["north"]
        sub_channel_patterns = ["n*", "*h"]

    with Twice() as ears:
        publish({"n": 1})
        messages = iter(ears)
        assert [next(messages) for _ in range(3)] == [("north", {"n": 1})] * 3


def test_no_message_is_missed_while_patterns_are_confirmed(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed = redis.client.PubSub.psubscribe

    def busy(pubsub: redis.client.PubSub, *patterns: str) -> object:
        publish({"n": 1}, "south")
        return subscribed(pubsub, *patterns)

    monkeypatch.setattr(redis.client.PubSub, "psubscribe", busy)
    with Patterns() as ears:
        publish({"n": 2}, "north")
        messages = iter(ears)
        both = [next(messages), next(messages)]
        assert by_channel(both) == [("north", {"n": 2}), ("south", {"n": 1})]


def test_patterns_survive_a_lost_connection(redis_client: redis.Redis) -> None:
    with Patterns() as ears:
        assert ears() is None
        redis_client.client_kill_filter(_type="pubsub")
        assert ears() is None
        assert redis_client.pubsub_numpat() == 2
        publish({"n": 1}, "hello")
        ears()
        ears()
        assert ears.heard[-1] == ("hello", {"n": 1})


async def test_patterns_in_an_event_loop(redis_client: redis.Redis) -> None:
    async with Patterns() as ears:
        messages = aiter(ears)
        publish({"n": 1}, "northern")
        assert await anext(messages) == ("northern", {"n": 1})
        redis_client.client_kill_filter(_type="pubsub")
        following = asyncio.ensure_future(anext(messages))
        await until(lambda: redis_client.pubsub_numpat() == 2)
        await until(lambda: redis_client.pubsub_numsub("south") == [(b"south", 1)])
        publish({"n": 2}, "hello")
        assert await following == ("hello", {"n": 2})
        await messages.aclose()


# ── asyncio ──────────────────────────────────────────────────────────────────


async def test_messages_in_an_event_loop(redis_client: redis.Redis) -> None:
    async with Ears() as ears:
        assert redis_client.pubsub_numsub("north") == [(b"north", 1)]
        publish({"n": 1})
        publish({"n": 2}, "south")
        got = []
        async for message in ears:
            got.append(message)
            if len(got) == 2:
                break
    assert by_channel(got) == [("north", {"n": 1}), ("south", {"n": 2})]
    await until(lambda: redis_client.pubsub_numsub("north") == [(b"north", 0)])


async def test_leaving_a_loop_keeps_the_subscription() -> None:
    async with Ears() as ears:
        publish({"n": 1})
        publish({"n": 2})
        for expected in (1, 2):
            async with aclosing(aiter(ears)) as messages:
                assert await anext(messages) == ("north", {"n": expected})


async def test_listening_awaits_handlers() -> None:
    class Slow(Ears):
        async def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            self.heard.append((channel, data))
            self.close()

    async with Slow() as ears:
        publish({"n": 1})
        await ears.async_listen()
    assert ears.heard == ["first", ("north", {"n": 1})]


async def test_errors_of_handlers_in_an_event_loop() -> None:
    async with Ears() as ears:
        publish({"n": 1})
        ears.failure = ZeroDivisionError("by nothing")
        with pytest.raises(SubscriberException, match=r"Ears.*by nothing"):
            await ears.async_listen()


async def test_it_subscribes_again_in_an_event_loop(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Ears() as ears:
        messages = aiter(ears)
        publish({"n": 1})
        await anext(messages)
        redis_client.client_kill_filter(_type="pubsub")
        following = asyncio.ensure_future(anext(messages))
        await until(lambda: redis_client.pubsub_numsub("north") == [(b"north", 1)])
        publish({"n": 2})
        assert await following == ("north", {"n": 2})
        await messages.aclose()


def test_a_second_event_loop_can_go_on_with_it() -> None:
    ears = Ears()

    async def one_message(number: int) -> Any:
        await ears._subscription()
        publish({"n": number})
        async with aclosing(aiter(ears)) as messages:
            return await anext(messages)

    assert asyncio.run(one_message(1)) == ("north", {"n": 1})
    assert asyncio.run(one_message(2)) == ("north", {"n": 2})
    ears.close()


def test_the_exception_is_one_class() -> None:
    from popoto.pubsub.subscriber import SubscriberException as there

    assert there is SubscriberException is popoto.exceptions.SubscriberException


def test_no_numpy_package_is_needed() -> None:
    with listening() as ears:
        publish({"a": 1})
        ears()
    assert ears.heard
    assert "msgpack_numpy" not in sys.modules
