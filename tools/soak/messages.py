"""Messages on the way: every event reaches a consumer's handler, and subscribers hear again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import redis

from popoto import Publisher, StreamConsumer, Subscriber
from tools.soak.books import Books
from tools.soak.lane import Lane, patiently
from tools.soak.models import STREAM

CHANNEL = "soak"
_PATIENCE = 15.0
#: After so long an entry that was handed over and not acknowledged is handed over again.
_CLAIM_SECONDS = 0.5


class _Hearing(Subscriber):
    sub_channel_names: ClassVar[list[str]] = [CHANNEL]

    def __init__(self) -> None:
        super().__init__()
        self.last: Any = None

    def handle(self, channel: str, data: Any, *_: Any, **__: Any) -> None:
        """Remember the last one."""
        self.last = data


class Post:
    """Who receives what the lanes send."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._lock = threading.Lock()
        self._subscriber = _Hearing()
        self._publisher = Publisher(channel_name=CHANNEL)
        self._number = 0

    def _handle(self, entries: Sequence[tuple[str, dict[str, str]]]) -> None:
        with self._lock:
            self.seen.update(entry_id for entry_id, _ in entries)

    def _consumer(self, name: str) -> StreamConsumer:
        return StreamConsumer(
            f"stream:{STREAM}",
            "soak",
            name,
            self._handle,
            block_ms=0,
            max_retries=1000,
            claim_timeout_ms=int(_CLAIM_SECONDS * 1000),
        )

    async def consume(self, lane: Lane) -> None:
        """Handle the next entries of the stream, as a member of the group."""
        consumer = self._consumer(lane.name)
        try:
            if lane.is_async:
                await consumer.process_batch()
            else:
                consumer.process_batch_sync()
        except redis.RedisError as error:
            lane.books.error(error)
        lane.books.done("stream consumer")

    async def publish(self, lane: Lane) -> None:
        """Send something to whom it may concern."""
        publisher = Publisher(channel_name=CHANNEL)
        await lane.write("publish", lambda: lane.call(publisher.publish, {"from": lane.name}), {})

    def check(self, client: redis.Redis, books: Books) -> None:
        """All events have been handled, and the subscriber hears."""
        time.sleep(_CLAIM_SECONDS)
        consumer = self._consumer("last")
        while patiently(consumer.process_batch_sync):
            pass
        sent = {each.decode() for each, _ in client.xrange(f"stream:{STREAM}")}
        if not sent <= self.seen:
            books.violation("event not handled", str(sorted(sent - self.seen)[:5]))
        self._number += 1
        deadline = time.monotonic() + _PATIENCE
        while self._subscriber.last != {"number": self._number}:
            if time.monotonic() > deadline:
                books.violation("subscriber is deaf", f"check {self._number}")
                break
            # What is sent before it has subscribed again is lost.
            patiently(lambda: self._publisher.publish({"number": self._number}))
            for _ in range(20):
                self._subscriber()

    def close(self) -> None:
        """Hear no more."""
        self._subscriber.close()
