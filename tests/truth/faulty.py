"""The same histories, on connections that lose replies, delay them, and close.

Before a step some trouble may be ordered. What the step then says has to be true: done, refused,
nothing written, or unknown, and in each case it was carried out whole or not at all.
"""

from __future__ import annotations

from typing import Any

import redis
from hypothesis import strategies as st
from hypothesis.stateful import rule

from popoto import redis_db
from popoto.testing.faults import FaultProxy
from tests.truth.machine import Machine

#: What scripts are called by, for writes and queries alike, and how single commands begin.
MARKERS = (b"EVALSHA", b"HMGET", b"LRANGE")


class FaultyMachine(Machine):
    """Clients that reach the server through a proxy."""

    def __init__(self, client: redis.Redis, proxy: FaultProxy) -> None:
        super().__init__(client)
        self.proxy = proxy
        self.proxy.calm()
        self.wait_for_replies(1)

    def wait_for_replies(self, seconds: float) -> None:
        redis_db.set_REDIS_DB_settings(
            host="127.0.0.1", port=self.proxy.port, socket_timeout=seconds
        )

    def teardown(self) -> None:
        self.proxy.calm()
        # From now on each reply comes, however busy the machine is.
        self.wait_for_replies(60)
        super().teardown()

    @rule(
        kind=st.sampled_from(["lose_reply", "cut", "drop"]),
        marker=st.sampled_from(MARKERS),
        times=st.sampled_from([1, 1, 2, 3, 4]),
    )
    def order_trouble(self, kind: str, marker: bytes, times: int) -> None:
        if kind == "drop":
            self.proxy.drop_connections()
        else:
            getattr(self.proxy, kind)(marker, times=times)

    @rule()
    def order_silence(self) -> None:
        self.proxy.stall(b"EVALSHA")

    def settle_after(self, error: Exception) -> None:
        self.proxy.calm()
        super().settle_after(error)

    def attempt(self, expected: Any, step: Any) -> Any:
        try:
            return super().attempt(expected, step)
        finally:
            self.proxy.calm()
