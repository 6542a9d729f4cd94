"""Messages, events and consumers where keys are spread over three nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from popoto import (
    EventStreamMixin,
    KeyField,
    Model,
    Publisher,
    StreamConsumer,
    Subscriber,
    redis_db,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


class Order(EventStreamMixin, Model):
    number = KeyField()


class Ears(Subscriber):
    sub_channel_names = ["north"]

    def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
        self.heard = (channel, data)


def test_events_lie_beside_their_records_and_are_consumed() -> None:
    seen: list[Any] = []
    order = Order.create(number="7")
    order._xadd_event("boost")
    order.delete()
    consumer = StreamConsumer("{Order}stream:mutations", "group", "one", seen.extend, block_ms=0)
    assert consumer.process_batch_sync() == 3
    assert [fields["op"] for _, fields in seen] == ["create", "boost", "delete"]


@pytest.mark.parametrize(
    ("stream", "dead"), [("{a}s", "dead:{a}s"), ("plain", "dead:{plain}")], ids=str
)
def test_dead_letters_lie_beside_their_stream(stream: str, dead: str) -> None:
    def fail(entries: object) -> None:
        raise ValueError("bad")

    redis_db.POPOTO_REDIS_DB.xadd(stream, {"n": "1"})
    consumer = StreamConsumer(
        stream, "group", "one", fail, block_ms=0, max_retries=0, claim_timeout_ms=0
    )

    async def twice() -> None:
        with pytest.raises(ValueError, match="bad"):
            await consumer.process_batch()
        assert await consumer.process_batch() == 0

    asyncio.run(twice())
    assert redis_db.POPOTO_REDIS_DB.xlen(dead) == 1


async def test_messages_reach_every_node() -> None:
    with Ears() as ears:
        ears()
        Publisher(channel_name="north").publish({"a": 1})
        for _ in range(100):
            ears()
        assert ears.heard == ("north", {"a": 1})
    async with Ears() as ears:
        await Publisher(channel_name="north").async_publish({"a": 2})
        async for message in ears:
            assert message == ("north", {"a": 2})
            break
